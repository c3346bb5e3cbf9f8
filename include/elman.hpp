/*
 * elman for C++17: recurrent neural networks, trained and run on the CPU
 * =======================================================================
 *
 * Everything of elman.h, whose texts say what each call does, as objects that free themselves, buffers that know their
 * length, and errors as exceptions. Nothing to build: include this header and link with elman. A complete program:
 *
 *     #include <elman.hpp>
 *     #include <cstdio>
 *     #include <vector>
 *
 *     int main() try {
 *         // Four sequences of one number a step: do they rise (class 1) or fall (class 0)?
 *         const std::vector<float> x{0.1f, 0.5f, 0.9f,   0.8f, 0.4f,   0.2f, 0.7f,   0.9f, 0.3f};
 *         const std::vector<std::size_t> lengths{3, 2, 2, 2}, labels{1, 0, 1, 0};
 *         const elman::Dataset dataset = elman::Dataset::with_classes(1, x, lengths, labels, 2);
 *
 *         elman::Network network(1);
 *         network.set_seed(42); // where the layers draw their parameters from
 *         network.add_rnn(8, elman::Activation::tanh);
 *         network.add_dense(2, elman::Activation::linear);
 *
 *         elman::Optimizer adam = elman::Optimizer::adam(0.01);
 *         elman::FitOptions options;
 *         options.epochs = 200;
 *         network.fit(dataset, adam, options, [](elman::Progress &progress) {
 *             return progress.loss < 0.01 ? elman::Next::stop : elman::Next::go_on;
 *         });
 *
 *         const std::vector<float> question{0.3f, 0.4f, 0.8f};
 *         std::vector<float> answer(2);
 *         network.predict(question, {1, 3}, answer); // 1 sequence of 3 steps
 *         std::puts(answer[1] > answer[0] ? "it rises" : "it falls");
 *     } catch (const elman::Error &error) {
 *         std::fprintf(stderr, "%s\n", error.what());
 *         return 1;
 *     }
 *
 * Objects. Network, Session, Optimizer, Dataset, CtcWorkspace and Cancellation own what they stand for: they move, do not
 * copy (Network and Session have clone()), and free it at their end. get() gives the pointer that C has, for calls of
 * elman.h; a constructor takes such a pointer over, and release() hands it out. An object that was moved from is empty;
 * calls on it fail with ELMAN_ERROR_NULL. NetworkView is a network that somebody else owns, to look at.
 *
 * Buffers. They come as elman::span, which is std::span where there is one (C++20) and a small equal of it before: vectors,
 * arrays and other containers whose elements lie side by side become one by themselves. Their lengths are held against the
 * sizes of the call before anything is read or written, so a buffer that is too short, or too long, is ELMAN_ERROR_LENGTH.
 * Where C takes NULL for what is not wanted, there is elman::none, most often by default. An empty buffer is not none.
 *
 * Errors. A call that fails throws elman::Error, which has the status of C and its message; what allocates for C++ may throw
 * std::bad_alloc, too. Where exceptions are off (-fno-exceptions), or ELMAN_NO_EXCEPTIONS is defined before this header, calls
 * give an elman::Result instead: true where they have succeeded, with value(), or with status() and message(). Compilers warn
 * of one that nobody looks at. Objects are then made by create() and its like, since constructors have no result:
 *
 *     elman::Result<elman::Network> network = elman::Network::create(1);
 *     if (!network) return fail(network.message());
 *     if (elman::Result<void> added = network->add_rnn(8, elman::Activation::tanh); !added) return fail(added.message());
 *
 * The parts of one program may be compiled either way: names of both, and of C++17 and C++20, are kept apart.
 *
 * Constants. They are those of C with their type: elman::Activation::tanh is ELMAN_TANH. They convert to the numbers that
 * fields of options hold, so `options.direction = elman::Direction::bidirectional` is as good as the constant of C. Options
 * are the structs of C, with their defaults filled in.
 *
 * Callbacks are lambdas or other functions, of which no copy is made: see Network::fit(). What one of them throws does not go
 * through C: the training stops, and fit() throws it on.
 *
 * Cost. All of this is inline: a call is the call of C behind the comparison of its lengths. Only what is said to give a
 * std::vector, or takes a std::vector of strings, allocates. Steps of a Session are real-time safe, as in C; one that fails is
 * only without exceptions, which may allocate when they are thrown.
 *
 * Threads, results, floating point: as in elman.h. Where a method is const, any number of threads may call it at the same
 * time. Paths and names are zero-terminated, `const char *` or std::string; on Windows, UTF-8.
 */
#ifndef ELMAN_HPP
#define ELMAN_HPP

#if (!defined(_MSVC_LANG) && __cplusplus < 201703L) || (defined(_MSVC_LANG) && _MSVC_LANG < 201703L)
#error "elman.hpp needs C++17: -std=c++17, or /std:c++17"
#endif

#include <elman.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#if !defined(ELMAN_NO_EXCEPTIONS) && !defined(__cpp_exceptions)
#define ELMAN_NO_EXCEPTIONS
#endif
#ifndef ELMAN_NO_EXCEPTIONS
#include <exception>
#include <stdexcept>
#endif

#if defined(__has_include) && __cplusplus >= 202002L
#if __has_include(<span>)
#define ELMAN_HPP_STD_SPAN
#include <span>
#endif
#endif

// What only happens where a call fails stays out of the way of those that succeed.
#if defined(__GNUC__)
#define ELMAN_HPP_COLD __attribute__((cold, noinline))
#else
#define ELMAN_HPP_COLD
#endif

// What differs by the way in which this header is compiled has different names for the linker.
#if defined(ELMAN_NO_EXCEPTIONS) && defined(ELMAN_HPP_STD_SPAN)
#define ELMAN_HPP_MODE results_and_std_span
#elif defined(ELMAN_NO_EXCEPTIONS)
#define ELMAN_HPP_MODE results
#elif defined(ELMAN_HPP_STD_SPAN)
#define ELMAN_HPP_MODE exceptions_and_std_span
#else
#define ELMAN_HPP_MODE exceptions
#endif

namespace elman {

/*
 * 1. Constants and errors
 * -----------------------
 */

/// What a call says about itself. Error::status() is to be compared with these or with those of C.
struct Status {
    enum Type : elman_status {
        ok = ELMAN_OK,
        null = ELMAN_ERROR_NULL,
        alignment = ELMAN_ERROR_ALIGNMENT,
        overlap = ELMAN_ERROR_OVERLAP,
        zero_size = ELMAN_ERROR_ZERO_SIZE,
        size_overflow = ELMAN_ERROR_SIZE_OVERFLOW,
        length = ELMAN_ERROR_LENGTH,
        out_of_range = ELMAN_ERROR_OUT_OF_RANGE,
        unknown_constant = ELMAN_ERROR_UNKNOWN_CONSTANT,
        call_order = ELMAN_ERROR_CALL_ORDER,
        mismatch = ELMAN_ERROR_MISMATCH,
        not_finite = ELMAN_ERROR_NOT_FINITE,
        out_of_memory = ELMAN_ERROR_OUT_OF_MEMORY,
        threads = ELMAN_ERROR_THREADS,
        tier = ELMAN_ERROR_TIER,
        io = ELMAN_ERROR_IO,
        parse = ELMAN_ERROR_PARSE,
        format = ELMAN_ERROR_FORMAT,
        internal = ELMAN_ERROR_INTERNAL,
        cancelled = ELMAN_ERROR_CANCELLED,
        unsupported = ELMAN_ERROR_UNSUPPORTED,
    };
};

/// The activation of a layer.
struct Activation {
    enum Type : std::uint32_t {
        tanh = ELMAN_TANH,
        relu = ELMAN_RELU,
        sigmoid = ELMAN_SIGMOID,
        linear = ELMAN_LINEAR,
        hard_sigmoid = ELMAN_HARD_SIGMOID,
        hard_tanh = ELMAN_HARD_TANH,
        leaky_relu = ELMAN_LEAKY_RELU,
        elu = ELMAN_ELU,
        softsign = ELMAN_SOFTSIGN,
        softplus = ELMAN_SOFTPLUS,
        affine = ELMAN_AFFINE,
        scaled_tanh = ELMAN_SCALED_TANH,
        thresholded_relu = ELMAN_THRESHOLDED_RELU,
    };
};

/// What a network gives for a sequence: the output of its last step, or those of all steps.
struct Output {
    enum Type : std::uint32_t { last = ELMAN_OUTPUT_LAST, all = ELMAN_OUTPUT_ALL };
};

/// How Network::initialize() draws parameters.
struct Init {
    enum Type : std::uint32_t {
        pytorch = ELMAN_INIT_PYTORCH,
        glorot_normal = ELMAN_INIT_GLOROT_NORMAL,
        glorot_uniform = ELMAN_INIT_GLOROT_UNIFORM,
        he_normal = ELMAN_INIT_HE_NORMAL,
        he_uniform = ELMAN_INIT_HE_UNIFORM,
        orthogonal = ELMAN_INIT_ORTHOGONAL,
        identity = ELMAN_INIT_IDENTITY,
        gaussian = ELMAN_INIT_GAUSSIAN,
        constant = ELMAN_INIT_CONSTANT,
        keras = ELMAN_INIT_KERAS,
    };
};

/// RecurrentOptions::direction.
struct Direction {
    enum Type : std::uint32_t {
        forward = ELMAN_FORWARD,
        reverse = ELMAN_REVERSE,
        bidirectional = ELMAN_BIDIRECTIONAL,
    };
};

/// RecurrentOptions::merge.
struct Merge {
    enum Type : std::uint32_t {
        concat = ELMAN_MERGE_CONCAT,
        sum = ELMAN_MERGE_SUM,
        mean = ELMAN_MERGE_MEAN,
        product = ELMAN_MERGE_PRODUCT,
    };
};

/// RecurrentOptions::last.
struct Last {
    enum Type : std::uint32_t { state = ELMAN_LAST_STATE, step = ELMAN_LAST_STEP };
};

/// RecurrentOptions::reset.
struct Reset {
    enum Type : std::uint32_t { after = ELMAN_RESET_AFTER, before = ELMAN_RESET_BEFORE };
};

/// RecurrentOptions::initial_state.
struct Initial {
    enum Type : std::uint32_t {
        zeros = ELMAN_INITIAL_ZEROS,
        fixed = ELMAN_INITIAL_FIXED,
        trainable = ELMAN_INITIAL_TRAINABLE,
    };
};

/// LayerInfo::kind.
struct LayerKind {
    enum Type : std::uint32_t {
        rnn = ELMAN_LAYER_RNN,
        dense = ELMAN_LAYER_DENSE,
        dropout = ELMAN_LAYER_DROPOUT,
        activation = ELMAN_LAYER_ACTIVATION,
        gru = ELMAN_LAYER_GRU,
        lstm = ELMAN_LAYER_LSTM,
        norm = ELMAN_LAYER_NORM,
        embedding = ELMAN_LAYER_EMBEDDING,
        concat = ELMAN_LAYER_CONCAT,
        residual = ELMAN_LAYER_RESIDUAL,
    };
};

/// What the targets of a data set are.
struct Targets {
    enum Type : std::uint32_t {
        none = ELMAN_TARGETS_NONE,
        classes = ELMAN_TARGETS_CLASSES,
        step_classes = ELMAN_TARGETS_STEP_CLASSES,
        values = ELMAN_TARGETS_VALUES,
        step_values = ELMAN_TARGETS_STEP_VALUES,
    };
};

/// TsOptions::missing.
struct Missing {
    enum Type : std::uint32_t {
        error = ELMAN_MISSING_ERROR,
        carry = ELMAN_MISSING_CARRY,
        linear = ELMAN_MISSING_LINEAR,
    };
};

/// FitOptions::loss.
struct Loss {
    enum Type : std::uint32_t {
        softmax_cross_entropy = ELMAN_LOSS_SOFTMAX_CROSS_ENTROPY,
        mean_squared_error = ELMAN_LOSS_MEAN_SQUARED_ERROR,
        binary_cross_entropy = ELMAN_LOSS_BINARY_CROSS_ENTROPY,
    };
};

/// FitOptions::clip.
struct Clip {
    enum Type : std::uint32_t { none = ELMAN_CLIP_NONE, norm = ELMAN_CLIP_NORM, value = ELMAN_CLIP_VALUE };
};

/// FitOptions::watch.
struct Watch {
    enum Type : std::uint32_t { loss = ELMAN_WATCH_LOSS, accuracy = ELMAN_WATCH_ACCURACY };
};

/// What a callback returns.
struct Next {
    enum Type : std::uint32_t { go_on = ELMAN_CONTINUE, stop = ELMAN_STOP };
};

/// CtcOptions::reduction.
struct CtcReduction {
    enum Type : std::uint32_t { mean = ELMAN_CTC_MEAN, sum = ELMAN_CTC_SUM };
};

/// The label of a row that has none, and does not count.
inline constexpr std::size_t no_label = ELMAN_NO_LABEL;

#ifndef ELMAN_NO_EXCEPTIONS
/// What a call that fails throws; what() is its message.
class Error : public std::runtime_error {
  public:
    Error(elman_status status, const char *message) : std::runtime_error(message), status_(status) {}
    elman_status status() const noexcept { return status_; }

  private:
    elman_status status_;
};
#endif

inline namespace ELMAN_HPP_MODE {

/*
 * 2. Buffers
 * ----------
 */

#ifdef ELMAN_HPP_STD_SPAN
template <typename T> using span = std::span<T>;
#else
/// Elements side by side that somebody else owns: as much of C++20's std::span as this header and its users need.
template <typename T> class span {
    template <typename C>
    using element_of = std::remove_pointer_t<decltype(std::data(std::declval<C &>()))>;

  public:
    constexpr span() noexcept = default;
    constexpr span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
    /// From a container with data() and size(), or an array, whose elements are T but for const. One that ends with the call
    /// is only taken to be read.
    template <typename C, typename = std::enable_if_t<(std::is_lvalue_reference_v<C> || std::is_const_v<T>) &&
                                                      std::is_convertible_v<element_of<C> (*)[], T (*)[]>>>
    constexpr span(C &&elements) noexcept : data_(std::data(elements)), size_(std::size(elements)) {}

    constexpr T *data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr T *begin() const noexcept { return data_; }
    constexpr T *end() const noexcept { return data_ + size_; }
    constexpr T &operator[](std::size_t index) const noexcept { return data_[index]; }
    constexpr span subspan(std::size_t offset, std::size_t count) const noexcept { return {data_ + offset, count}; }

  private:
    T *data_ = nullptr;
    std::size_t size_ = 0;
};
#endif

/// In the place of a buffer: none is given, or the result is not wanted.
struct None {};
inline constexpr None none{};

/// A buffer, or none.
template <typename T> class optional_span {
  public:
    constexpr optional_span(None) noexcept {}
    template <typename C, typename = std::enable_if_t<std::is_convertible_v<C &&, span<T>>>>
    constexpr optional_span(C &&elements) noexcept : elements_(std::forward<C>(elements)), given_(true) {}

    constexpr bool given() const noexcept { return given_; }
    /// The buffer; without elements where none is given.
    constexpr span<T> elements() const noexcept { return elements_; }

  private:
    span<T> elements_;
    bool given_ = false;
};

/// A string that ends with 0.
class CString {
  public:
    constexpr CString(const char *text) noexcept : text_(text) {}
    CString(const std::string &text) noexcept : text_(text.c_str()) {}
    constexpr const char *c_str() const noexcept { return text_; }

  private:
    const char *text_;
};

/// The shape of a batch: so many sequences of so many steps, of which the first lengths[i] of sequence i count, or all.
struct Shape {
    std::size_t batch;
    std::size_t steps;
    optional_span<const std::size_t> lengths = none;
};

/*
 * 3. Results
 * ----------
 */

#ifndef ELMAN_NO_EXCEPTIONS
/// What a call gives: its value. It throws an Error where there is none.
template <typename T> using Return = T;
#else
/// What a call gives: its value, or why there is none.
template <typename T> class [[nodiscard]] Result {
  public:
    Result(T value) : value_(std::move(value)) {}
    Result(elman_status status, const char *message) noexcept : status_(status), message_(message) {}

    explicit operator bool() const noexcept { return status_ == ELMAN_OK; }
    elman_status status() const noexcept { return status_; }
    /// The message, "" after success. It stays until the next call on this thread that fails.
    const char *message() const noexcept { return message_; }
    /// The value; after a failure an empty object or 0, with which nothing can go wrong either.
    T &value() & noexcept { return value_; }
    const T &value() const & noexcept { return value_; }
    T &&value() && noexcept { return std::move(value_); }
    T &operator*() & noexcept { return value_; }
    const T &operator*() const & noexcept { return value_; }
    T &&operator*() && noexcept { return std::move(value_); }
    T *operator->() noexcept { return &value_; }
    const T *operator->() const noexcept { return &value_; }

  private:
    T value_{};
    elman_status status_ = ELMAN_OK;
    const char *message_ = "";
};

/// The same of a call without a value.
template <> class [[nodiscard]] Result<void> {
  public:
    Result() noexcept = default;
    Result(elman_status status, const char *message) noexcept : status_(status), message_(message) {}
    explicit operator bool() const noexcept { return status_ == ELMAN_OK; }
    elman_status status() const noexcept { return status_; }
    const char *message() const noexcept { return message_; }

  private:
    elman_status status_ = ELMAN_OK;
    const char *message_ = "";
};

template <typename T> using Return = Result<T>;
#endif

/// What a status means, in a few words.
inline std::string_view status_string(elman_status status) noexcept { return elman_status_string(status); }

// What the rest is made of; not for others.
namespace detail {

/// What has come of a call. The message is that of the library's last error where there is no other.
struct Outcome {
    elman_status status;
    const char *message;

    Outcome(elman_status call, const char *text = nullptr) noexcept : status(call), message(text) {}
    const char *text() const noexcept { return message != nullptr ? message : elman_last_error(); }
};

#ifndef ELMAN_NO_EXCEPTIONS
[[noreturn]] ELMAN_HPP_COLD inline void fail(const Outcome &outcome) { throw Error(outcome.status, outcome.text()); }

inline void finish(const Outcome &outcome) {
    if (outcome.status != ELMAN_OK) fail(outcome);
}

template <typename T> T finish(const Outcome &outcome, T &&value) {
    finish(outcome);
    return std::forward<T>(value);
}
#else
inline Result<void> finish(const Outcome &outcome) noexcept {
    if (outcome.status != ELMAN_OK) return {outcome.status, outcome.text()};
    return {};
}

template <typename T> Result<T> finish(const Outcome &outcome, T &&value) {
    if (outcome.status != ELMAN_OK) return {outcome.status, outcome.text()};
    return std::forward<T>(value);
}
#endif

/// A vector that a call fills.
template <typename T, typename Fill> Return<std::vector<T>> filled(std::size_t size, Fill fill) {
    std::vector<T> values(size);
    const Outcome outcome = fill(span<T>(values));
    return finish(outcome, std::move(values));
}

/// An object of C that a call makes.
template <typename Owner, typename Make> Return<Owner> made(Make make) {
    decltype(std::declval<Owner>().release()) object = nullptr;
    const Outcome outcome = make(&object);
    return finish(outcome, Owner(object));
}

/// What a wrong length is complained about with. Each thread has its own, as it has its own elman_last_error().
struct Complaint {
    char text[160];
};
inline thread_local Complaint complaint{};

/// Holds lengths of buffers against sizes. The first one that is wrong counts, and the call is not made.
class Lengths {
  public:
    Lengths() noexcept = default;
    /// Of the buffers of a call on an object: where there is none, that is what is wrong, whatever the lengths.
    Lengths(const void *object, const char *missing) noexcept {
        if (object == nullptr) refuse(ELMAN_ERROR_NULL, missing);
    }

    /// `buffer` has as many elements as the sizes multiplied.
    template <typename T>
    void expect(const char *name, span<T> buffer, std::initializer_list<std::size_t> sizes) noexcept {
        std::size_t expected = 1;
        bool overflows = false;
        for (const std::size_t size : sizes) {
            if (size != 0 && expected > static_cast<std::size_t>(-1) / size) overflows = true;
            expected *= size;
        }
        if (overflows || buffer.size() != expected) complain(name, buffer.size(), expected, overflows);
    }

    template <typename T>
    void expect(const char *name, optional_span<T> buffer, std::initializer_list<std::size_t> sizes) noexcept {
        if (buffer.given()) expect(name, buffer.elements(), sizes);
    }

    /// A complaint that is about no single buffer.
    void refuse(elman_status status, const char *message) noexcept {
        if (outcome_.status == ELMAN_OK) outcome_ = Outcome(status, message);
    }

    /// Makes the call if all lengths are right.
    template <typename Call> Outcome then(Call call) const {
        if (outcome_.status != ELMAN_OK) return outcome_;
        return Outcome(call());
    }

  private:
    ELMAN_HPP_COLD void complain(const char *name, std::size_t actual, std::size_t expected, bool overflows) noexcept {
        if (outcome_.status != ELMAN_OK) return;
        char *const text = complaint.text;
        if (overflows) {
            std::snprintf(text, sizeof complaint.text, "the sizes of %s multiply to more than memory can hold", name);
        } else {
            std::snprintf(text, sizeof complaint.text, "%s has %zu elements, expected %zu", name, actual, expected);
        }
        outcome_ = Outcome(overflows ? ELMAN_ERROR_SIZE_OVERFLOW : ELMAN_ERROR_LENGTH, text);
    }

    Outcome outcome_ = Outcome(ELMAN_OK);
};

/// The address of a buffer that C wants not to be NULL, also where it has no elements.
template <typename T> T *address(span<T> buffer) noexcept {
    static std::remove_const_t<T> nothing{};
    return buffer.data() != nullptr ? buffer.data() : &nothing;
}

/// The address of a buffer, or NULL where none is given.
template <typename T> T *address(optional_span<T> buffer) noexcept {
    return buffer.given() ? address(buffer.elements()) : nullptr;
}

inline std::uint32_t flag(bool value) noexcept { return value ? 1 : 0; }

/// The sum of lengths; the largest number of all where it is larger than that.
inline std::size_t sum(span<const std::size_t> lengths) noexcept {
    std::size_t sum = 0;
    for (const std::size_t length : lengths) {
        const std::size_t next = sum + length;
        sum = next < sum ? static_cast<std::size_t>(-1) : next;
    }
    return sum;
}

/// Owns an object of C.
template <typename T, void (*destroy)(T *)> class Handle {
  public:
    /// Nothing.
    constexpr Handle() noexcept = default;
    /// Takes an object over.
    explicit Handle(T *object) noexcept : object_(object) {}
    Handle(Handle &&other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    Handle &operator=(Handle &&other) noexcept {
        if (this != &other) destroy(std::exchange(object_, std::exchange(other.object_, nullptr)));
        return *this;
    }
    ~Handle() { destroy(object_); }

    T *get() noexcept { return object_; }
    const T *get() const noexcept { return object_; }
    /// Hands the object out, which the caller then has to destroy.
    T *release() noexcept { return std::exchange(object_, nullptr); }
    /// Whether there is an object.
    explicit operator bool() const noexcept { return object_ != nullptr; }

  private:
    T *object_ = nullptr;
};

/// Fills in the defaults of a struct of C. It can only fail where the library is older than this header: without exceptions
/// the size of the struct then stays 0, which the call that gets it refuses.
template <typename T> void defaults(T *options, elman_status (*init)(T *, std::size_t)) {
#ifndef ELMAN_NO_EXCEPTIONS
    finish(init(options, sizeof *options));
#else
    static_cast<void>(init(options, sizeof *options));
#endif
}

} // namespace detail

/// The version of the library, "major.minor.patch"; that of the headers is in the ELMAN_VERSION_ macros.
inline std::string_view version() noexcept { return elman_version(); }

/// The instructions that networks use: "portable", "neon", "avx2" or "avx512".
inline Return<std::string_view> tier() {
    std::string_view name = elman_tier();
    return detail::finish(name.empty() ? ELMAN_ERROR_TIER : ELMAN_OK, std::move(name));
}

/*
 * 4. Options and descriptions
 * ---------------------------
 *
 * The structs of C, where the caller makes them with every field at its default.
 */

using LayerInfo = elman_layer_info;
using TensorInfo = elman_tensor_info;
using Progress = elman_progress;
using BatchProgress = elman_batch_progress;

struct RecurrentOptions : elman_recurrent_options {
    RecurrentOptions() : elman_recurrent_options{} {
        detail::defaults<elman_recurrent_options>(this, elman_recurrent_options_init);
    }
};

struct ImportOptions : elman_import_options {
    ImportOptions() : elman_import_options{} { detail::defaults<elman_import_options>(this, elman_import_options_init); }
};

struct TsOptions : elman_ts_options {
    TsOptions() : elman_ts_options{} { detail::defaults<elman_ts_options>(this, elman_ts_options_init); }
};

struct CtcOptions : elman_ctc_options {
    CtcOptions() : elman_ctc_options{} { detail::defaults<elman_ctc_options>(this, elman_ctc_options_init); }
};

/*
 * 5. Data sets and optimizers
 * ---------------------------
 */

/// Sequences and their targets. Spans and strings of a data set last as long as it does.
class Dataset : public detail::Handle<elman_dataset, elman_dataset_destroy> {
  public:
    using Handle::Handle;

    /// Without targets: x has the steps of all sequences one after the other, [sum of lengths][input_size].
    static Return<Dataset> create(std::size_t input_size, span<const float> x, span<const std::size_t> lengths) {
        detail::Lengths ok = checked(input_size, x, lengths);
        return detail::made<Dataset>([&](elman_dataset **out) {
            return ok.then([&] {
                return elman_dataset_create(input_size, detail::address(x), detail::address(lengths), lengths.size(), out);
            });
        });
    }

    /// One class per sequence: labels [sequences], each below `classes` or no_label.
    static Return<Dataset> with_classes(std::size_t input_size, span<const float> x, span<const std::size_t> lengths,
                                        span<const std::size_t> labels, std::size_t classes) {
        return of_classes(input_size, x, lengths, labels, classes, false);
    }

    /// One class per step: labels [sum of lengths].
    static Return<Dataset> with_step_classes(std::size_t input_size, span<const float> x,
                                             span<const std::size_t> lengths, span<const std::size_t> labels,
                                             std::size_t classes) {
        return of_classes(input_size, x, lengths, labels, classes, true);
    }

    /// One vector of numbers per sequence: values [sequences][size].
    static Return<Dataset> with_values(std::size_t input_size, span<const float> x, span<const std::size_t> lengths,
                                       span<const float> values, std::size_t size) {
        return of_values(input_size, x, lengths, values, size, false);
    }

    /// One vector of numbers per step: values [sum of lengths][size].
    static Return<Dataset> with_step_values(std::size_t input_size, span<const float> x,
                                            span<const std::size_t> lengths, span<const float> values,
                                            std::size_t size) {
        return of_values(input_size, x, lengths, values, size, true);
    }

    /// From a .ts file.
    static Return<Dataset> read_ts(CString path) {
        return detail::made<Dataset>([&](elman_dataset **out) { return elman_dataset_read_ts(path.c_str(), out); });
    }
    static Return<Dataset> read_ts(CString path, const TsOptions &options) {
        return detail::made<Dataset>(
            [&](elman_dataset **out) { return elman_dataset_read_ts_with(path.c_str(), &options, out); });
    }

    std::size_t sequence_count() const noexcept { return elman_dataset_sequence_count(get()); }
    std::size_t input_size() const noexcept { return elman_dataset_input_size(get()); }
    std::size_t total_steps() const noexcept { return elman_dataset_total_steps(get()); }
    std::size_t max_length() const noexcept { return elman_dataset_max_length(get()); }
    Targets::Type targets() const noexcept { return static_cast<Targets::Type>(elman_dataset_targets(get())); }
    std::size_t class_count() const noexcept { return elman_dataset_class_count(get()); }
    std::size_t note_count() const noexcept { return elman_dataset_get_note_count(get()); }

    Return<std::string_view> class_name(std::size_t index) const {
        const char *name = "";
        const detail::Outcome outcome = elman_dataset_class_name(get(), index, &name);
        return detail::finish(outcome, std::string_view(name));
    }
    Return<std::string_view> note(std::size_t index) const {
        const char *note = "";
        const detail::Outcome outcome = elman_dataset_get_note(get(), index, &note);
        return detail::finish(outcome, std::string_view(note));
    }
    /// A sequence itself, [length][input_size].
    Return<span<const float>> sequence(std::size_t index) const {
        const float *x = nullptr;
        std::size_t length = 0;
        const detail::Outcome outcome = elman_dataset_sequence(get(), index, &x, &length);
        return detail::finish(outcome, span<const float>(x, length * input_size()));
    }
    /// The classes that are the targets: [sequences] or, with one per step, [total_steps].
    Return<span<const std::size_t>> labels() const {
        const std::size_t *labels = nullptr;
        std::size_t count = 0;
        const detail::Outcome outcome = elman_dataset_labels(get(), &labels, &count);
        return detail::finish(outcome, span<const std::size_t>(labels, count));
    }
    /// The numbers that are the targets: [sequences][size] or, with one vector per step, [total_steps][size].
    Return<span<const float>> values() const {
        const float *values = nullptr;
        std::size_t count = 0;
        const detail::Outcome outcome = elman_dataset_values(get(), &values, &count);
        return detail::finish(outcome, span<const float>(values, count));
    }

  private:
    static detail::Lengths checked(std::size_t input_size, span<const float> x, span<const std::size_t> lengths) {
        detail::Lengths ok;
        ok.expect("x", x, {detail::sum(lengths), input_size});
        return ok;
    }

    static Return<Dataset> of_classes(std::size_t input_size, span<const float> x, span<const std::size_t> lengths,
                                      span<const std::size_t> labels, std::size_t classes, bool per_step) {
        detail::Lengths ok = checked(input_size, x, lengths);
        ok.expect("labels", labels, {per_step ? detail::sum(lengths) : lengths.size()});
        return detail::made<Dataset>([&](elman_dataset **out) {
            return ok.then([&] {
                return elman_dataset_create_classes(input_size, detail::address(x), detail::address(lengths),
                                                    lengths.size(), detail::address(labels), classes,
                                                    detail::flag(per_step), out);
            });
        });
    }

    static Return<Dataset> of_values(std::size_t input_size, span<const float> x, span<const std::size_t> lengths,
                                     span<const float> values, std::size_t size, bool per_step) {
        detail::Lengths ok = checked(input_size, x, lengths);
        ok.expect("values", values, {per_step ? detail::sum(lengths) : lengths.size(), size});
        return detail::made<Dataset>([&](elman_dataset **out) {
            return ok.then([&] {
                return elman_dataset_create_values(input_size, detail::address(x), detail::address(lengths),
                                                   lengths.size(), detail::address(values), size,
                                                   detail::flag(per_step), out);
            });
        });
    }
};

/// An update rule, its settings, and what it remembers of the parameters that it has updated.
class Optimizer : public detail::Handle<elman_optimizer, elman_optimizer_destroy> {
  public:
    using Handle::Handle;

    static Return<Optimizer> sgd(double learning_rate, double momentum = 0.0, bool nesterov = false,
                                 double weight_decay = 0.0) {
        return detail::made<Optimizer>([&](elman_optimizer **out) {
            return elman_sgd_create(learning_rate, momentum, detail::flag(nesterov), weight_decay, out);
        });
    }
    static Return<Optimizer> adagrad(double learning_rate = 0.01, double epsilon = 1e-10) {
        return detail::made<Optimizer>(
            [&](elman_optimizer **out) { return elman_adagrad_create(learning_rate, epsilon, out); });
    }
    static Return<Optimizer> rmsprop(double learning_rate = 0.01, double alpha = 0.99, double epsilon = 1e-8,
                                     double momentum = 0.0) {
        return detail::made<Optimizer>([&](elman_optimizer **out) {
            return elman_rmsprop_create(learning_rate, alpha, epsilon, momentum, out);
        });
    }
    static Return<Optimizer> adam(double learning_rate = 0.001, double beta1 = 0.9, double beta2 = 0.999,
                                  double epsilon = 1e-8, double weight_decay = 0.0) {
        return detail::made<Optimizer>([&](elman_optimizer **out) {
            return elman_adam_create(learning_rate, beta1, beta2, epsilon, weight_decay, out);
        });
    }
    static Return<Optimizer> adamw(double learning_rate = 0.001, double beta1 = 0.9, double beta2 = 0.999,
                                   double epsilon = 1e-8, double weight_decay = 0.01) {
        return detail::made<Optimizer>([&](elman_optimizer **out) {
            return elman_adamw_create(learning_rate, beta1, beta2, epsilon, weight_decay, out);
        });
    }
    static Return<Optimizer> rprop(double learning_rate = 0.01, double eta_minus = 0.5, double eta_plus = 1.2,
                                   double min_step = 1e-6, double max_step = 50.0) {
        return detail::made<Optimizer>([&](elman_optimizer **out) {
            return elman_rprop_create(learning_rate, eta_minus, eta_plus, min_step, max_step, out);
        });
    }
    static Return<Optimizer> rprop_unbounded(double learning_rate = 0.001, double eta_minus = 0.5,
                                             double eta_plus = 1.2) {
        return detail::made<Optimizer>([&](elman_optimizer **out) {
            return elman_rprop_unbounded_create(learning_rate, eta_minus, eta_plus, out);
        });
    }
    static Return<Optimizer> load(CString path) {
        return detail::made<Optimizer>([&](elman_optimizer **out) { return elman_optimizer_load(path.c_str(), out); });
    }

    Return<void> save(CString path) const { return detail::finish(elman_optimizer_save(get(), path.c_str())); }
    double learning_rate() const noexcept { return elman_optimizer_get_learning_rate(get()); }
    Return<void> set_learning_rate(double learning_rate) {
        return detail::finish(elman_optimizer_set_learning_rate(get(), learning_rate));
    }
    Return<void> reset() { return detail::finish(elman_optimizer_reset(get())); }
};

/// What one thread ends the training of another by: FitOptions::cancel_by().
class Cancellation : public detail::Handle<elman_cancellation, elman_cancellation_destroy> {
  public:
    using Handle::Handle;

    static Return<Cancellation> create() {
        return detail::made<Cancellation>([](elman_cancellation **out) { return elman_cancellation_create(out); });
    }
    /// Ends the training, or no longer; from any thread, while another one trains.
    Return<void> set(bool cancelled = true) const {
        return detail::finish(elman_cancellation_set(get(), detail::flag(cancelled)));
    }
};

/// How Network::fit() trains and evaluate() measures: the struct of C and, for its pointers, functions that take objects.
/// These must outlive the options; what ends with the call is not taken. The fields `callback`, `batch_callback` and `user` are
/// overwritten where fit() gets functions.
struct FitOptions : elman_fit_options {
    FitOptions() : elman_fit_options{} { detail::defaults<elman_fit_options>(this, elman_fit_options_init); }

    /// What to measure the network on after each epoch.
    FitOptions &validate_on(const Dataset &dataset) noexcept {
        validation = dataset.get();
        return *this;
    }
    FitOptions &validate_on(const Dataset &&) = delete;
    /// What the rows of each class count for, [output_size] of the network.
    FitOptions &weigh_classes(span<const float> weights) noexcept {
        class_weights = detail::address(weights);
        class_weight_count_ = weights.size();
        return *this;
    }
    FitOptions &weigh_classes(std::vector<float> &&) = delete;
    /// What another thread ends the training by; fit() then fails with ELMAN_ERROR_CANCELLED.
    FitOptions &cancel_by(const Cancellation &cancellation) noexcept {
        cancel = cancellation.get();
        return *this;
    }
    FitOptions &cancel_by(const Cancellation &&) = delete;

    /// Holds the number of class weights, if it is known, against the network's outputs.
    void check(detail::Lengths &ok, std::size_t output_size) const noexcept {
        if (class_weight_count_ == unknown || class_weights == nullptr) return;
        ok.expect("class_weights", span<const float>(class_weights, class_weight_count_), {output_size});
    }

  private:
    static constexpr std::size_t unknown = static_cast<std::size_t>(-1);
    std::size_t class_weight_count_ = unknown;
};

/// What Network::evaluate() has measured.
struct Evaluation {
    double loss = 0.0;
    /// NAN where no row has a class.
    double accuracy = 0.0;
};

/*
 * 6. Networks
 * -----------
 */

class Network;

namespace detail {

/// The calls that leave a network as it is. `Self` has get().
template <typename Self> class NetworkCalls {
  public:
    std::size_t input_size() const noexcept { return elman_input_size(object()); }
    std::size_t output_size() const noexcept { return elman_output_size(object()); }
    std::size_t state_size() const noexcept { return elman_state_size(object()); }
    Output::Type output() const noexcept { return static_cast<Output::Type>(elman_output(object())); }
    bool time_major() const noexcept { return elman_get_time_major(object()) != 0; }
    std::size_t threads() const noexcept { return elman_threads(object()); }
    std::uint64_t seed() const noexcept { return elman_get_seed(object()); }
    std::uint64_t epochs() const noexcept { return elman_get_epochs(object()); }
    std::uint64_t passes() const noexcept { return elman_get_passes(object()); }
    std::size_t parameter_count() const noexcept { return elman_parameter_count(object()); }
    std::size_t layer_count() const noexcept { return elman_layer_count(object()); }
    std::size_t class_name_count() const noexcept { return elman_get_class_name_count(object()); }

    /// The name of the class that an output stands for; see elman_get_class_name() for how long it stays.
    Return<std::string_view> class_name(std::size_t index) const {
        const char *name = "";
        const Outcome outcome = elman_get_class_name(object(), index, &name);
        return finish(outcome, std::string_view(name));
    }

    Return<LayerInfo> layer(std::size_t index) const {
        LayerInfo info{};
        const Outcome outcome = elman_get_layer_info(object(), index, &info, sizeof info);
        return finish(outcome, std::move(info));
    }
    Return<TensorInfo> tensor(std::size_t layer, std::size_t index) const {
        TensorInfo info{};
        const Outcome outcome = elman_get_tensor_info(object(), layer, index, &info, sizeof info);
        return finish(outcome, std::move(info));
    }
    Return<RecurrentOptions> recurrent_options(std::size_t layer) const {
        RecurrentOptions options;
        const Outcome outcome = elman_get_recurrent_options(object(), layer, &options, sizeof(elman_recurrent_options));
        return finish(outcome, std::move(options));
    }
    /// The columns of an embedding, the layers of concat and residual: [number_count of the layer's info].
    Return<std::vector<std::size_t>> layer_numbers(std::size_t layer) const {
        elman_layer_info info{};
        Outcome outcome = elman_get_layer_info(object(), layer, &info, sizeof info);
        std::vector<std::size_t> numbers(info.number_count);
        if (outcome.status == ELMAN_OK) {
            outcome = elman_get_layer_numbers(object(), layer, address(span<std::size_t>(numbers)), numbers.size());
        }
        return finish(outcome, std::move(numbers));
    }

    /// mean and deviation [input_size]
    Return<void> get_standardization(optional_span<float> mean, optional_span<float> deviation) const {
        const std::size_t count = input_size();
        Lengths ok(object(), "network is NULL");
        ok.expect("mean", mean, {count});
        ok.expect("deviation", deviation, {count});
        return finish(ok.then([&] {
            return elman_get_standardization(object(), address(mean), address(deviation), count);
        }));
    }

    /// parameters [parameter_count]
    Return<void> get_parameters(span<float> parameters) const {
        return finish(elman_get_parameters(object(), address(parameters), parameters.size()));
    }
    Return<std::vector<float>> parameters() const {
        return filled<float>(parameter_count(), [&](span<float> values) {
            return elman_get_parameters(object(), address(values), values.size());
        });
    }

    /// Runs a batch: x [batch][steps][input_size]; states [batch][state_size]; y [batch][output_size] or, with Output::all,
    /// [batch][steps][output_size]. Time comes first after set_time_major().
    Return<void> predict(span<const float> x, const Shape &shape, optional_span<float> y,
                         optional_span<const float> state_in = none, optional_span<float> state_out = none) const {
        return finish(pass(x, shape, state_in, y, state_out).then([&] {
            return elman_predict(object(), address(x), shape.batch, shape.steps, address(shape.lengths),
                                 address(state_in), address(y), address(state_out));
        }));
    }

    /// Runs a data set: y [sequences][output_size] or, with Output::all, [total_steps][output_size].
    Return<void> predict(const Dataset &dataset, span<float> y, std::size_t batch_size = 64) const {
        const std::size_t rows = output() == Output::all ? dataset.total_steps() : dataset.sequence_count();
        Lengths ok(object(), "network is NULL");
        if (!dataset) ok.refuse(ELMAN_ERROR_NULL, "dataset is NULL");
        ok.expect("y", y, {rows, output_size()});
        return finish(
            ok.then([&] { return elman_predict_dataset(object(), dataset.get(), batch_size, address(y)); }));
    }

    /// Measures the network on a data set; confusion [output_size][output_size].
    Return<Evaluation> evaluate(const Dataset &dataset, const FitOptions &options = FitOptions(),
                                optional_span<std::size_t> confusion = none) const {
        const std::size_t outputs = output_size();
        Evaluation result;
        Lengths ok(object(), "network is NULL");
        ok.expect("confusion", confusion, {outputs, outputs});
        options.check(ok, outputs);
        const Outcome outcome = ok.then([&] {
            return elman_evaluate(object(), dataset.get(), &options, &result.loss, &result.accuracy, address(confusion));
        });
        return finish(outcome, std::move(result));
    }

    /// The largest relative error of the gradients against difference quotients, in double. Buffers as with predict() and
    /// Network::backward().
    Return<double> gradient_check(span<const float> x, const Shape &shape, optional_span<const float> state_in,
                                  optional_span<const float> dy, optional_span<const float> dstate_out = none) const {
        double error = 0.0;
        Lengths ok = pass(x, shape, state_in, none, none);
        ok.expect("dy", dy, {shape.batch, steps_of_output(shape.steps), output_size()});
        ok.expect("dstate_out", dstate_out, {shape.batch, state_size()});
        const Outcome outcome = ok.then([&] {
            return elman_gradient_check(object(), address(x), shape.batch, shape.steps, address(shape.lengths),
                                        address(state_in), address(dy), address(dstate_out), &error);
        });
        return finish(outcome, std::move(error));
    }

    Return<void> save(CString path) const { return finish(elman_save(object(), path.c_str())); }

    /// The bytes of the file that save() writes.
    Return<std::vector<std::uint8_t>> save_memory() const {
        std::size_t size = 0;
        Outcome outcome = elman_save_memory(object(), nullptr, 0, &size);
        std::vector<std::uint8_t> bytes(size);
        if (outcome.status == ELMAN_OK) {
            outcome = elman_save_memory(object(), address(span<std::uint8_t>(bytes)), bytes.size(), nullptr);
        }
        return finish(outcome, std::move(bytes));
    }

    /// An ONNX file, which ONNX Runtime runs to the same numbers.
    Return<void> save_onnx(CString path) const {
        return finish(elman_save_onnx(object(), path.c_str()));
    }

    /// A state dict for PyTorch: a module's name for each layer that has parameters.
    Return<void> save_state_dict(CString path, span<const char *const> modules) const {
        return finish(elman_save_state_dict(object(), path.c_str(), address(modules), modules.size()));
    }
    Return<void> save_state_dict(CString path, const std::vector<std::string> &modules) const {
        const std::vector<const char *> names = texts(modules);
        return save_state_dict(path, span<const char *const>(names.data(), names.size()));
    }

    /// A network of its own that goes on as this one would, bit for bit.
    Return<Network> clone() const;

  protected:
    static std::vector<const char *> texts(const std::vector<std::string> &strings) {
        std::vector<const char *> texts;
        texts.reserve(strings.size());
        for (const std::string &string : strings) texts.push_back(string.c_str());
        return texts;
    }

    /// How many steps of a sequence have an output.
    std::size_t steps_of_output(std::size_t steps) const noexcept { return output() == Output::all ? steps : 1; }

    /// Holds the buffers of a pass against its shape.
    Lengths pass(span<const float> x, const Shape &shape, optional_span<const float> state_in, optional_span<float> y,
                 optional_span<float> state_out) const noexcept {
        Lengths ok(object(), "network is NULL");
        ok.expect("x", x, {shape.batch, shape.steps, input_size()});
        ok.expect("lengths", shape.lengths, {shape.batch});
        ok.expect("y", y, {shape.batch, steps_of_output(shape.steps), output_size()});
        if (state_in.given() || state_out.given()) {
            const std::size_t size = state_size();
            ok.expect("state_in", state_in, {shape.batch, size});
            ok.expect("state_out", state_out, {shape.batch, size});
        }
        return ok;
    }

  private:
    const elman_network *object() const noexcept { return static_cast<const Self *>(this)->get(); }
};

} // namespace detail

/// A network that somebody else owns, to look at and to run.
class NetworkView : public detail::NetworkCalls<NetworkView> {
  public:
    explicit NetworkView(const elman_network *network) noexcept : network_(network) {}
    inline NetworkView(const Network &network) noexcept;
    const elman_network *get() const noexcept { return network_; }

  private:
    const elman_network *network_;
};

namespace detail {

/// The functions that fit() gets, on their way through C. `None` is none.
template <typename Epoch, typename Batch> class Callbacks {
  public:
    Callbacks(Epoch &epoch, Batch &batch) noexcept : epoch_(epoch), batch_(batch) {}

    static constexpr bool any = !std::is_same_v<Epoch, const None> || !std::is_same_v<Batch, const None>;

    void enter(elman_fit_options &options) noexcept {
        options.user = this;
        options.callback = nullptr;
        options.batch_callback = nullptr;
        if constexpr (!std::is_same_v<Epoch, const None>) options.callback = on_epoch;
        if constexpr (!std::is_same_v<Batch, const None>) options.batch_callback = on_batch;
    }

    /// Throws on what a function has thrown.
    void leave() const {
#ifndef ELMAN_NO_EXCEPTIONS
        if (thrown_) std::rethrow_exception(thrown_);
#endif
    }

  private:
    static std::uint32_t on_epoch(void *user, elman_progress *progress, const elman_network *network) noexcept {
        Callbacks &self = *static_cast<Callbacks *>(user);
        return self.guarded([&]() -> std::uint32_t {
            if constexpr (std::is_invocable_v<Epoch &, Progress &, NetworkView>) {
                return answer([&] { return self.epoch_(*progress, NetworkView(network)); });
            } else {
                return answer([&] { return self.epoch_(*progress); });
            }
        });
    }

    static std::uint32_t on_batch(void *user, elman_batch_progress *progress) noexcept {
        Callbacks &self = *static_cast<Callbacks *>(user);
        return self.guarded(
            [&]() -> std::uint32_t { return answer([&] { return self.batch_(*progress); }); });
    }

    /// What a function returns: nothing, to go on, or a Next.
    template <typename Call> static std::uint32_t answer(Call call) {
        using Answer = decltype(call());
        static_assert(std::is_void_v<Answer> || std::is_same_v<Answer, Next::Type>,
                      "a callback returns nothing or elman::Next::Type");
        if constexpr (std::is_void_v<Answer>) {
            call();
            return Next::go_on;
        } else {
            return call();
        }
    }

    template <typename Call> std::uint32_t guarded(Call call) noexcept {
#ifndef ELMAN_NO_EXCEPTIONS
        if (thrown_) return Next::stop;
        try {
            return call();
        } catch (...) {
            thrown_ = std::current_exception();
            return Next::stop;
        }
#else
        return call();
#endif
    }

    Epoch &epoch_;
    Batch &batch_;
#ifndef ELMAN_NO_EXCEPTIONS
    std::exception_ptr thrown_;
#endif
};

} // namespace detail

/// A recurrent neural network.
class Network : public detail::Handle<elman_network, elman_destroy>, public detail::NetworkCalls<Network> {
  public:
    /// Nothing.
    Network() noexcept = default;
    /// Takes a network over.
    explicit Network(elman_network *network) noexcept : Handle(network) {}

#ifndef ELMAN_NO_EXCEPTIONS
    /// A network for sequences of `input_size` features a step, without layers.
    explicit Network(std::size_t input_size) : Network(create(input_size)) {}
#endif
    static Return<Network> create(std::size_t input_size) {
        return detail::made<Network>([&](elman_network **out) { return elman_create(input_size, out); });
    }

    // Files, of elman and of other systems.

    static Return<Network> load(CString path) {
        return detail::made<Network>([&](elman_network **out) { return elman_load(path.c_str(), out); });
    }
    static Return<Network> load_memory(span<const std::uint8_t> bytes) {
        return detail::made<Network>(
            [&](elman_network **out) { return elman_load_memory(detail::address(bytes), bytes.size(), out); });
    }
    /// What another system has trained: elman_import() says what is taken.
    static Return<Network> import(CString path, const ImportOptions &options = ImportOptions()) {
        return detail::made<Network>([&](elman_network **out) { return elman_import(path.c_str(), &options, out); });
    }
    static Return<Network> import_memory(span<const std::uint8_t> bytes,
                                         const ImportOptions &options = ImportOptions()) {
        return detail::made<Network>([&](elman_network **out) {
            return elman_import_memory(detail::address(bytes), bytes.size(), &options, out);
        });
    }

    // Layers, from the input on.

    Return<void> add_rnn(std::size_t units, Activation::Type activation) {
        return detail::finish(elman_add_rnn(get(), units, activation));
    }
    Return<void> add_recurrent(std::size_t units, Activation::Type activation, const RecurrentOptions &options) {
        return detail::finish(elman_add_recurrent(get(), units, activation, &options));
    }
    Return<void> add_gru(std::size_t units) { return detail::finish(elman_add_gru(get(), units, nullptr)); }
    Return<void> add_gru(std::size_t units, const RecurrentOptions &options) {
        return detail::finish(elman_add_gru(get(), units, &options));
    }
    Return<void> add_lstm(std::size_t units) { return detail::finish(elman_add_lstm(get(), units, nullptr)); }
    Return<void> add_lstm(std::size_t units, const RecurrentOptions &options) {
        return detail::finish(elman_add_lstm(get(), units, &options));
    }
    Return<void> add_dense(std::size_t units, Activation::Type activation) {
        return detail::finish(elman_add_dense(get(), units, activation));
    }
    Return<void> add_dropout(float rate) { return detail::finish(elman_add_dropout(get(), rate)); }
    Return<void> add_activation(Activation::Type activation, float alpha, float beta) {
        return detail::finish(elman_add_activation(get(), activation, alpha, beta));
    }
    Return<void> add_layer_norm(float epsilon = 1e-5f) { return detail::finish(elman_add_layer_norm(get(), epsilon)); }
    Return<void> add_embedding(span<const std::size_t> columns, std::size_t classes, std::size_t size) {
        return detail::finish(elman_add_embedding(get(), detail::address(columns), columns.size(), classes, size));
    }
    Return<void> add_embedding(std::initializer_list<std::size_t> columns, std::size_t classes, std::size_t size) {
        return add_embedding(span<const std::size_t>(columns.begin(), columns.size()), classes, size);
    }
    Return<void> add_concat(span<const std::size_t> layers) {
        return detail::finish(elman_add_concat(get(), detail::address(layers), layers.size()));
    }
    Return<void> add_concat(std::initializer_list<std::size_t> layers) {
        return add_concat(span<const std::size_t>(layers.begin(), layers.size()));
    }
    Return<void> add_residual(std::size_t layer) { return detail::finish(elman_add_residual(get(), layer)); }

    // Settings.

    Return<void> set_output(Output::Type mode) { return detail::finish(elman_set_output(get(), mode)); }
    Return<void> set_time_major(bool time_major) {
        return detail::finish(elman_set_time_major(get(), detail::flag(time_major)));
    }
    Return<void> set_threads(std::size_t threads) { return detail::finish(elman_set_threads(get(), threads)); }
    Return<void> set_parallel_threshold(std::size_t operations) {
        return detail::finish(elman_set_parallel_threshold(get(), operations));
    }
    Return<void> set_seed(std::uint64_t seed) { return detail::finish(elman_set_seed(get(), seed)); }
    Return<void> initialize(Init::Type scheme, float scale, std::uint64_t seed) {
        return detail::finish(elman_initialize(get(), scheme, scale, seed));
    }
    Return<void> set_trainable(std::size_t layer, bool trainable) {
        return detail::finish(elman_set_trainable(get(), layer, detail::flag(trainable)));
    }

    /// mean and deviation [input_size]
    Return<void> set_standardization(span<const float> mean, span<const float> deviation) {
        const std::size_t count = input_size();
        detail::Lengths ok(get(), "network is NULL");
        ok.expect("mean", mean, {count});
        ok.expect("deviation", deviation, {count});
        return detail::finish(ok.then([&] {
            return elman_set_standardization(get(), detail::address(mean), detail::address(deviation), count);
        }));
    }
    /// Takes the inputs as they come again.
    Return<void> clear_standardization() {
        return detail::finish(elman_set_standardization(get(), nullptr, nullptr, 0));
    }
    /// Standardises as the features of a data set ask for.
    Return<void> standardize(const Dataset &dataset) { return detail::finish(elman_standardize(get(), dataset.get())); }

    /// names [output_size]
    Return<void> set_class_names(span<const char *const> names) {
        return detail::finish(elman_set_class_names(get(), detail::address(names), names.size()));
    }
    Return<void> set_class_names(const std::vector<std::string> &names) {
        const std::vector<const char *> pointers = texts(names);
        return set_class_names(span<const char *const>(pointers.data(), pointers.size()));
    }
    Return<void> clear_class_names() { return detail::finish(elman_set_class_names(get(), nullptr, 0)); }

    /// parameters [parameter_count]
    Return<void> set_parameters(span<const float> parameters) {
        return detail::finish(elman_set_parameters(get(), detail::address(parameters), parameters.size()));
    }

    // Training.

    /// Trains on a data set. `epoch` is called after each epoch, with a Progress & and, if it takes one, a NetworkView;
    /// `batch` before each update, with a BatchProgress &. They return nothing, or Next::go_on or Next::stop.
    ///
    /// If one throws, the training ends as with Next::stop, neither is called again, and fit() throws the same exception.
    /// In programs without exceptions they must return.
    template <typename Epoch = const None &, typename Batch = const None &>
    Return<void> fit(const Dataset &dataset, Optimizer &optimizer, const FitOptions &options = FitOptions(),
                     Epoch &&epoch = none, Batch &&batch = none) {
        using Calls = detail::Callbacks<std::remove_reference_t<Epoch>, std::remove_reference_t<Batch>>;
        detail::Lengths ok(get(), "network is NULL");
        options.check(ok, output_size());
        Calls calls(epoch, batch);
        const detail::Outcome outcome = ok.then([&] {
            if constexpr (Calls::any) {
                elman_fit_options with_calls = options;
                calls.enter(with_calls);
                return elman_fit(get(), dataset.get(), optimizer.get(), &with_calls);
            } else {
                return elman_fit(get(), dataset.get(), optimizer.get(), &options);
            }
        });
        calls.leave();
        return detail::finish(outcome);
    }

    /// Runs a batch as predict() does, and keeps what backward() needs.
    Return<void> forward(span<const float> x, const Shape &shape, optional_span<float> y,
                         optional_span<const float> state_in = none, optional_span<float> state_out = none) {
        const detail::Outcome outcome = pass(x, shape, state_in, y, state_out).then([&] {
            return elman_forward(get(), detail::address(x), shape.batch, shape.steps, detail::address(shape.lengths),
                                 detail::address(state_in), detail::address(y), detail::address(state_out));
        });
        if (outcome.status == ELMAN_OK) {
            batch_ = shape.batch;
            steps_ = shape.steps;
        }
        return detail::finish(outcome);
    }

    /// Goes back through the last forward() of this object and adds to the gradients: dy in the shape of its y, dx in that
    /// of its x, states [batch][state_size]. It does not see an elman_forward() on get(): go back from that with
    /// elman_backward().
    Return<void> backward(optional_span<const float> dy, optional_span<const float> dstate_out = none,
                          optional_span<float> dx = none, optional_span<float> dstate_in = none) {
        detail::Lengths ok(get(), "network is NULL");
        if (batch_ == 0) ok.refuse(ELMAN_ERROR_CALL_ORDER, "backward() comes before forward()");
        ok.expect("dy", dy, {batch_, steps_of_output(steps_), output_size()});
        ok.expect("dstate_out", dstate_out, {batch_, state_size()});
        ok.expect("dx", dx, {batch_, steps_, input_size()});
        ok.expect("dstate_in", dstate_in, {batch_, state_size()});
        return detail::finish(ok.then([&] {
            return elman_backward(get(), detail::address(dy), detail::address(dstate_out), detail::address(dx),
                                  detail::address(dstate_in));
        }));
    }

    Return<void> update(Optimizer &optimizer) { return detail::finish(elman_update(get(), optimizer.get())); }

    /// The gradients themselves, [parameter_count]; until a layer is added or the network ends.
    Return<span<float>> gradients() {
        float *values = nullptr;
        std::size_t count = 0;
        const detail::Outcome outcome = elman_gradients(get(), &values, &count);
        return detail::finish(outcome, span<float>(values, count));
    }
    Return<void> clear_gradients() { return detail::finish(elman_clear_gradients(get())); }
    /// Gives the norm that they had before.
    Return<double> clip_gradients_by_norm(double max_norm) {
        double norm = 0.0;
        const detail::Outcome outcome = elman_clip_gradients_by_norm(get(), max_norm, &norm);
        return detail::finish(outcome, std::move(norm));
    }
    Return<void> clip_gradients_by_value(double limit) {
        return detail::finish(elman_clip_gradients_by_value(get(), limit));
    }

  private:
    // Of the last forward().
    std::size_t batch_ = 0;
    std::size_t steps_ = 0;
};

inline NetworkView::NetworkView(const Network &network) noexcept : network_(network.get()) {}

template <typename Self> Return<Network> detail::NetworkCalls<Self>::clone() const {
    return made<Network>([&](elman_network **out) { return elman_clone(object(), out); });
}

/*
 * 7. Streams
 * ----------
 */

/// One sequence, or several in lockstep, in steps or blocks of steps. All methods but clone() and state() are real-time safe.
class Session : public detail::Handle<elman_session, elman_session_destroy> {
  public:
    /// Nothing.
    Session() noexcept = default;
    /// Takes a session over.
    explicit Session(elman_session *session) noexcept : Handle(session) {
        if (session == nullptr) return;
        x_ = streams() * input_size();
        y_ = streams() * output_size();
    }

#ifndef ELMAN_NO_EXCEPTIONS
    /// From the network's own state, with the parameters that it has now; it may change or end meanwhile.
    explicit Session(NetworkView network) : Session(create(network)) {}
    /// So many streams in lockstep.
    Session(NetworkView network, std::size_t streams) : Session(create(network, streams)) {}
#endif
    static Return<Session> create(NetworkView network) {
        return detail::made<Session>([&](elman_session **out) { return elman_session_create(network.get(), out); });
    }
    static Return<Session> create(NetworkView network, std::size_t streams) {
        return detail::made<Session>(
            [&](elman_session **out) { return elman_session_create_many(network.get(), streams, out); });
    }
    /// A second session that goes on from the same states.
    Return<Session> clone() const {
        return detail::made<Session>([&](elman_session **out) { return elman_session_clone(get(), out); });
    }

    std::size_t streams() const noexcept { return elman_session_get_streams(get()); }
    std::size_t input_size() const noexcept { return elman_session_get_input_size(get()); }
    std::size_t output_size() const noexcept { return elman_session_get_output_size(get()); }
    std::size_t state_size() const noexcept { return elman_session_get_state_size(get()); }
    std::size_t bytes() const noexcept { return elman_session_get_bytes(get()); }

    /// x [streams][input_size], y [streams][output_size]
    Return<void> step(span<const float> x, span<float> y) {
        detail::Lengths ok(get(), "session is NULL");
        ok.expect("x", x, {x_});
        ok.expect("y", y, {y_});
        return detail::finish(ok.then([&] { return elman_session_step(get(), x.data(), y.data()); }));
    }

    /// A block of steps: x [steps][streams][input_size], y [steps][streams][output_size], which may be x where they are of
    /// one size.
    Return<void> run(span<const float> x, span<float> y) {
        const std::size_t steps = x_ == 0 ? 0 : x.size() / x_;
        detail::Lengths ok(get(), "session is NULL");
        ok.expect("x", x, {steps, x_});
        ok.expect("y", y, {steps, y_});
        return detail::finish(
            ok.then([&] { return elman_session_run(get(), detail::address(x), steps, detail::address(y)); }));
    }

    /// Back to the network's own state: all streams, or one.
    Return<void> reset() { return detail::finish(elman_session_reset(get())); }
    Return<void> reset(std::size_t stream) { return detail::finish(elman_session_reset_stream(get(), stream)); }

    /// state [streams][state_size]
    Return<void> get_state(span<float> state) const {
        return detail::finish(elman_session_get_state(get(), detail::address(state), state.size()));
    }
    Return<void> set_state(span<const float> state) {
        return detail::finish(elman_session_set_state(get(), detail::address(state), state.size()));
    }
    /// Of one stream: state [state_size]
    Return<void> get_state(std::size_t stream, span<float> state) const {
        return detail::finish(elman_session_get_stream_state(get(), stream, detail::address(state), state.size()));
    }
    Return<void> set_state(std::size_t stream, span<const float> state) {
        return detail::finish(elman_session_set_stream_state(get(), stream, detail::address(state), state.size()));
    }
    /// The state of all streams, [streams][state_size].
    Return<std::vector<float>> state() const {
        return detail::filled<float>(streams() * state_size(), [&](span<float> values) {
            return elman_session_get_state(get(), detail::address(values), values.size());
        });
    }

  private:
    // Elements of a step, which never change.
    std::size_t x_ = 0;
    std::size_t y_ = 0;
};

/*
 * 8. Losses
 * ---------
 *
 * They give the loss and, where a buffer is given for it, its gradient in the shape of what it is the gradient of. With a
 * Shape they are those whose names end in _padded in C.
 */

/// logits and probabilities [rows][classes]
inline Return<void> softmax(span<const float> logits, std::size_t classes, span<float> probabilities) {
    const std::size_t rows = classes == 0 ? 0 : logits.size() / classes;
    detail::Lengths ok;
    ok.expect("logits", logits, {rows, classes});
    ok.expect("probabilities", probabilities, {rows, classes});
    return detail::finish(ok.then([&] {
        return elman_softmax(detail::address(logits), rows, classes, detail::address(probabilities));
    }));
}

namespace detail {

/// The loss that a call gives if all lengths are right.
template <typename Call> Return<double> loss_of(const Lengths &ok, Call call) {
    double loss = 0.0;
    const Outcome outcome = ok.then([&] { return call(&loss); });
    return finish(outcome, std::move(loss));
}

} // namespace detail

/// logits [rows][classes], labels [rows], weights [classes]
inline Return<double> softmax_cross_entropy(span<const float> logits, span<const std::size_t> labels,
                                            std::size_t classes, optional_span<float> dlogits = none,
                                            optional_span<const float> weights = none) {
    detail::Lengths ok;
    ok.expect("logits", logits, {labels.size(), classes});
    ok.expect("dlogits", dlogits, {labels.size(), classes});
    ok.expect("weights", weights, {classes});
    return detail::loss_of(ok, [&](double *loss) {
        if (!weights.given()) {
            return elman_softmax_cross_entropy(detail::address(logits), detail::address(labels), labels.size(), classes,
                                               loss, detail::address(dlogits));
        }
        return elman_softmax_cross_entropy_weighted(detail::address(logits), detail::address(labels), labels.size(),
                                                    classes, detail::address(weights), loss, detail::address(dlogits));
    });
}

/// logits [batch][steps][classes], labels [batch][steps], weights [classes]; the shape has lengths.
inline Return<double> softmax_cross_entropy(span<const float> logits, span<const std::size_t> labels, const Shape &shape,
                                            std::size_t classes, optional_span<float> dlogits = none,
                                            optional_span<const float> weights = none) {
    detail::Lengths ok;
    ok.expect("logits", logits, {shape.batch, shape.steps, classes});
    ok.expect("labels", labels, {shape.batch, shape.steps});
    ok.expect("lengths", shape.lengths, {shape.batch});
    ok.expect("dlogits", dlogits, {shape.batch, shape.steps, classes});
    ok.expect("weights", weights, {classes});
    return detail::loss_of(ok, [&](double *loss) {
        if (!weights.given()) {
            return elman_softmax_cross_entropy_padded(detail::address(logits), detail::address(labels), shape.batch,
                                                      shape.steps, detail::address(shape.lengths), classes, loss,
                                                      detail::address(dlogits));
        }
        return elman_softmax_cross_entropy_weighted_padded(
            detail::address(logits), detail::address(labels), shape.batch, shape.steps, detail::address(shape.lengths),
            classes, detail::address(weights), loss, detail::address(dlogits));
    });
}

/// y and targets of as many elements
inline Return<double> mean_squared_error(span<const float> y, span<const float> targets, optional_span<float> dy = none) {
    detail::Lengths ok;
    ok.expect("targets", targets, {y.size()});
    ok.expect("dy", dy, {y.size()});
    return detail::loss_of(ok, [&](double *loss) {
        return elman_mean_squared_error(detail::address(y), detail::address(targets), y.size(), loss,
                                        detail::address(dy));
    });
}

/// y and targets [batch][steps][size]; the shape has lengths.
inline Return<double> mean_squared_error(span<const float> y, span<const float> targets, const Shape &shape,
                                         std::size_t size, optional_span<float> dy = none) {
    detail::Lengths ok;
    ok.expect("y", y, {shape.batch, shape.steps, size});
    ok.expect("targets", targets, {shape.batch, shape.steps, size});
    ok.expect("lengths", shape.lengths, {shape.batch});
    ok.expect("dy", dy, {shape.batch, shape.steps, size});
    return detail::loss_of(ok, [&](double *loss) {
        return elman_mean_squared_error_padded(detail::address(y), detail::address(targets), shape.batch, shape.steps,
                                               detail::address(shape.lengths), size, loss, detail::address(dy));
    });
}

/// logits and targets of as many elements
inline Return<double> binary_cross_entropy_with_logits(span<const float> logits, span<const float> targets,
                                                       optional_span<float> dlogits = none) {
    detail::Lengths ok;
    ok.expect("targets", targets, {logits.size()});
    ok.expect("dlogits", dlogits, {logits.size()});
    return detail::loss_of(ok, [&](double *loss) {
        return elman_binary_cross_entropy_with_logits(detail::address(logits), detail::address(targets), logits.size(),
                                                      loss, detail::address(dlogits));
    });
}

/// logits and targets [batch][steps][size]; the shape has lengths.
inline Return<double> binary_cross_entropy_with_logits(span<const float> logits, span<const float> targets,
                                                       const Shape &shape, std::size_t size,
                                                       optional_span<float> dlogits = none) {
    detail::Lengths ok;
    ok.expect("logits", logits, {shape.batch, shape.steps, size});
    ok.expect("targets", targets, {shape.batch, shape.steps, size});
    ok.expect("lengths", shape.lengths, {shape.batch});
    ok.expect("dlogits", dlogits, {shape.batch, shape.steps, size});
    return detail::loss_of(ok, [&](double *loss) {
        return elman_binary_cross_entropy_with_logits_padded(detail::address(logits), detail::address(targets),
                                                             shape.batch, shape.steps, detail::address(shape.lengths),
                                                             size, loss, detail::address(dlogits));
    });
}

/// Room in which ctc() works.
class CtcWorkspace : public detail::Handle<elman_ctc_workspace, elman_ctc_workspace_destroy> {
  public:
    using Handle::Handle;

    static Return<CtcWorkspace> create() {
        return detail::made<CtcWorkspace>([](elman_ctc_workspace **out) { return elman_ctc_workspace_create(out); });
    }
};

/// logits [batch][steps][classes], labels [sum of label_lengths], label_lengths [batch]; an empty workspace is none.
inline Return<double> ctc(span<const float> logits, span<const std::size_t> labels,
                          span<const std::size_t> label_lengths, const Shape &shape, std::size_t classes,
                          const CtcOptions &options, CtcWorkspace &workspace, optional_span<float> dlogits = none) {
    detail::Lengths ok;
    ok.expect("logits", logits, {shape.batch, shape.steps, classes});
    ok.expect("label_lengths", label_lengths, {shape.batch});
    ok.expect("labels", labels, {detail::sum(label_lengths)});
    ok.expect("lengths", shape.lengths, {shape.batch});
    ok.expect("dlogits", dlogits, {shape.batch, shape.steps, classes});
    return detail::loss_of(ok, [&](double *loss) {
        return elman_ctc(detail::address(logits), detail::address(labels), detail::address(label_lengths), shape.batch,
                         shape.steps, detail::address(shape.lengths), classes, &options, workspace.get(), loss,
                         detail::address(dlogits));
    });
}

/// logits [batch][steps][classes], labels [batch * steps], label_lengths [batch]
inline Return<void> ctc_greedy_decode(span<const float> logits, const Shape &shape, std::size_t classes,
                                      std::size_t blank, span<std::size_t> labels, span<std::size_t> label_lengths) {
    detail::Lengths ok;
    ok.expect("logits", logits, {shape.batch, shape.steps, classes});
    ok.expect("lengths", shape.lengths, {shape.batch});
    ok.expect("labels", labels, {shape.batch, shape.steps});
    ok.expect("label_lengths", label_lengths, {shape.batch});
    return detail::finish(ok.then([&] {
        return elman_ctc_greedy_decode(detail::address(logits), shape.batch, shape.steps,
                                       detail::address(shape.lengths), classes, blank, detail::address(labels),
                                       detail::address(label_lengths));
    }));
}

} // namespace ELMAN_HPP_MODE
} // namespace elman

#endif
