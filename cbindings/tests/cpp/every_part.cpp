// Every part of elman.hpp, rightly and wrongly. The arguments are the directories of the Japanese Vowels data set and of
// models to import.
#include "check.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <string>
#include <thread>

namespace {

constexpr std::size_t input = 3, batch = 4, steps = 6;
const std::vector<std::size_t> lengths{6, 2, 5, 1};

// The call must throw an elman::Error of that status, whose message has a text in it.
template <typename Call> void fails(elman_status status, const char *text, Call call) {
    try {
        call();
    } catch (const elman::Error &error) {
        if (error.status() == status && std::strstr(error.what(), text) != nullptr) return;
        std::fprintf(stderr, "status %d, '%s'; expected %d, '%s'\n", static_cast<int>(error.status()), error.what(),
                     static_cast<int>(status), text);
        std::exit(1);
    }
    std::fprintf(stderr, "no error; expected %d, '%s'\n", static_cast<int>(status), text);
    std::exit(1);
}

// Options keep nothing that ends with the call that gives it.
template <typename T, typename = void> struct keeps : std::false_type {};
template <typename T>
struct keeps<T, std::void_t<decltype(std::declval<elman::FitOptions &>().validate_on(std::declval<T>()))>>
    : std::true_type {};
static_assert(keeps<elman::Dataset &>::value && keeps<const elman::Dataset &>::value && !keeps<elman::Dataset>::value);

// Nor is anything written to a buffer that nobody has.
static_assert(std::is_convertible_v<std::vector<float> &, elman::span<float>>);
static_assert(std::is_convertible_v<std::vector<float>, elman::span<const float>>);
static_assert(!std::is_convertible_v<std::vector<float>, elman::span<float>>);
static_assert(!std::is_convertible_v<const std::vector<float> &, elman::span<float>>);

template <typename T> void only_moves() {
    static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T>);
    static_assert(!std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T>);
}

elman::Network network_of(elman::Output::Type output) {
    elman::Network network(input);
    network.set_seed(5);
    network.add_rnn(5, elman::Activation::tanh);
    network.add_dropout(0.25f);
    network.add_dense(2, elman::Activation::linear);
    network.set_output(output);
    return network;
}

std::vector<float> inputs() {
    std::vector<float> x(batch * steps * input);
    for (std::size_t i = 0; i < x.size(); i++) x[i] = std::sin(0.7f * static_cast<float>(i));
    return x;
}

void objects() {
    only_moves<elman::Network>();
    only_moves<elman::Session>();
    only_moves<elman::Optimizer>();
    only_moves<elman::Dataset>();
    only_moves<elman::CtcWorkspace>();
    only_moves<elman::Cancellation>();
    static_assert(sizeof(elman::Optimizer) == sizeof(elman_optimizer *) && sizeof(elman::Dataset) == sizeof(void *));

    elman::Network first = network_of(elman::Output::all);
    const elman_network *const address = first.get();
    elman::Network second = std::move(first);
    CHECK(second.get() == address && !first && second);
    fails(ELMAN_ERROR_NULL, "network is NULL", [&] { first.add_dense(1, elman::Activation::linear); });
    std::vector<float> x = inputs(), y(2);
    fails(ELMAN_ERROR_NULL, "network is NULL", [&] { first.predict(x, {batch, steps}, elman::none); });
    fails(ELMAN_ERROR_NULL, "network is NULL", [&] { first.backward(y); });
    fails(ELMAN_ERROR_NULL, "network is NULL", [&] { first.set_standardization(y, y); });
    fails(ELMAN_ERROR_NULL, "dataset is NULL", [&] { second.predict(elman::Dataset(), y); });
    elman::Session session(second), moved = std::move(session);
    fails(ELMAN_ERROR_NULL, "session is NULL", [&] { session.step(x, y); });
    fails(ELMAN_ERROR_NULL, "session is NULL", [&] { elman::Session().run(x, y); });
    fails(ELMAN_ERROR_LENGTH, "x has 72 elements, expected 3", [&] { moved.step(x, y); });
    first = std::move(second);
    CHECK(first.get() == address && !second);
    first = network_of(elman::Output::last); // frees the other one
    elman_network *const raw = first.release();
    CHECK(!first && raw != nullptr);
    const elman::Network taken(raw);
    CHECK(elman::NetworkView(taken).output_size() == 2 && elman::NetworkView(raw).parameters() == taken.parameters());

    const std::string version(elman::version());
    CHECK(version == std::to_string(ELMAN_VERSION_MAJOR) + "." + std::to_string(ELMAN_VERSION_MINOR) + "." +
                         std::to_string(ELMAN_VERSION_PATCH));
    CHECK(!elman::tier().empty());
    CHECK(elman::status_string(elman::Status::length) == "wrong number of elements");
}

void settings() {
    elman::Network network(input);
    elman::RecurrentOptions options;
    options.direction = elman::Direction::bidirectional;
    options.merge = elman::Merge::sum;
    options.gates[0] = elman::Activation::hard_sigmoid;
    network.add_lstm(4, options);
    network.add_gru(4);
    network.add_lstm(4);
    network.add_recurrent(4, elman::Activation::relu, elman::RecurrentOptions());
    network.add_residual(3);
    network.add_concat({0, 5});
    network.add_layer_norm();
    network.add_activation(elman::Activation::leaky_relu, 0.1f, 0.0f);
    network.add_dense(2, elman::Activation::sigmoid);
    CHECK(network.layer_count() == 9 && network.input_size() == input && network.output_size() == 2);
    const elman::RecurrentOptions again = network.recurrent_options(0);
    CHECK(again.direction == elman::Direction::bidirectional && again.merge == elman::Merge::sum);
    CHECK(again.gates[0] == elman::Activation::hard_sigmoid && again.gates[1] == elman::Activation::sigmoid);
    CHECK(network.layer(0).kind == elman::LayerKind::lstm && network.layer(5).kind == elman::LayerKind::concat);
    CHECK((network.layer_numbers(5) == std::vector<std::size_t>{0, 5}));
    CHECK(std::strcmp(network.tensor(0, 0).name, "W_x") == 0 && network.tensor(0, 0).rows == input);
    fails(ELMAN_ERROR_OUT_OF_RANGE, "layer", [&] { network.layer(9); });
    fails(ELMAN_ERROR_OUT_OF_RANGE, "layer", [&] { network.layer_numbers(9); });
    fails(ELMAN_ERROR_MISMATCH, "peepholes", [&] {
        elman::RecurrentOptions wrong;
        wrong.peepholes = 1;
        network.add_gru(3, wrong);
    });

    network.set_trainable(0, false);
    CHECK(network.layer(0).trainable == 0 && network.layer(1).trainable == 1);
    network.set_threads(2);
    network.set_parallel_threshold(0);
    network.set_time_major(true);
    network.set_seed(9);
    CHECK(network.threads() >= 1 && network.time_major() && network.seed() == 9);
    CHECK(network.epochs() == 0 && network.passes() == 0 && network.output() == elman::Output::last);

    std::vector<float> parameters = network.parameters();
    CHECK(parameters.size() == network.parameter_count());
    network.initialize(elman::Init::constant, 0.5f, 0);
    network.get_parameters(parameters);
    CHECK(parameters[0] == 0.5f);
    parameters[0] = 0.25f;
    network.set_parameters(parameters);
    CHECK(network.parameters()[0] == 0.25f);
    parameters.pop_back();
    fails(ELMAN_ERROR_LENGTH, "parameters", [&] { network.set_parameters(parameters); });
    fails(ELMAN_ERROR_LENGTH, "parameters", [&] { network.get_parameters(parameters); });

    const std::array<float, input> mean{0.1f, 0.2f, 0.3f};
    const float deviation[] = {1.0f, 2.0f, 0.5f};
    network.set_standardization(mean, deviation);
    std::array<float, input> got{};
    network.get_standardization(elman::none, got);
    CHECK(got[1] == 2.0f);
    std::array<float, 2> few{};
    fails(ELMAN_ERROR_LENGTH, "mean has 2 elements, expected 3", [&] { network.set_standardization(few, deviation); });
    fails(ELMAN_ERROR_LENGTH, "deviation has 2 elements, expected 3", [&] { network.get_standardization(got, few); });
    network.clear_standardization();
    network.get_standardization(got, elman::none);
    CHECK(got[1] == 0.0f);

    network.set_class_names({"up", "down"});
    CHECK(network.class_name_count() == 2 && network.class_name(1) == "down");
    const char *const names[] = {"left", "right"};
    network.set_class_names(names);
    CHECK(network.class_name(0) == "left");
    fails(ELMAN_ERROR_LENGTH, "names", [&] { network.set_class_names(std::vector<std::string>{"one"}); });
    network.clear_class_names();
    CHECK(network.class_name_count() == 0);
    fails(ELMAN_ERROR_OUT_OF_RANGE, "index", [&] { network.class_name(0); });

    elman::Network words(2);
    words.add_embedding({1}, 10, 4);
    CHECK(words.output_size() == 5);
}

void passes() {
    const std::vector<float> x = inputs();
    elman::Network network = network_of(elman::Output::all);
    const std::size_t outputs = batch * steps * 2, states = batch * network.state_size();
    std::vector<float> y(outputs), dy(outputs, 1.0f), state(states), dx(x.size()), again(outputs);

    fails(ELMAN_ERROR_CALL_ORDER, "forward()", [&] { network.backward(dy); });
    network.predict(x, {batch, steps, lengths}, y, elman::none, state);
    elman_predict(network.get(), x.data(), batch, steps, lengths.data(), nullptr, again.data(), nullptr);
    CHECK(y == again);
    network.predict(x, {batch, steps}, y);
    CHECK(y != again);

    // Every buffer is held against the shape, before anything is written.
    std::vector<float> shorter(outputs - 1, 7.0f), few(states - 1), nothing;
    const std::vector<float> untouched = shorter;
    fails(ELMAN_ERROR_LENGTH, "y has 47 elements, expected 48", [&] { network.predict(x, {batch, steps}, shorter); });
    fails(ELMAN_ERROR_LENGTH, "y has 0 elements, expected 48", [&] { network.predict(x, {batch, steps}, nothing); });
    fails(ELMAN_ERROR_LENGTH, "x has 72 elements, expected 90", [&] { network.predict(x, {batch + 1, steps}, y); });
    fails(ELMAN_ERROR_LENGTH, "lengths has 4 elements, expected 2",
          [&] { network.predict(x, {2, 12, lengths}, y); });
    fails(ELMAN_ERROR_LENGTH, "state_in has 19 elements, expected 20",
          [&] { network.predict(x, {batch, steps}, y, few); });
    fails(ELMAN_ERROR_LENGTH, "state_out has 19 elements, expected 20",
          [&] { network.predict(x, {batch, steps}, y, elman::none, few); });
    fails(ELMAN_ERROR_SIZE_OVERFLOW, "sizes of x", [&] { network.predict(x, {batch, SIZE_MAX / 2}, y); });
    fails(ELMAN_ERROR_OUT_OF_RANGE, "lengths[0]", [&] {
        network.predict(x, {batch, steps, std::vector<std::size_t>{7, 1, 1, 1}}, y);
    });
    CHECK(shorter == untouched);
    network.predict(x, {batch, steps}, elman::none, state, elman::none);

    network.forward(x, {batch, steps, lengths}, y, state);
    network.backward(dy, elman::none, dx, state);
    fails(ELMAN_ERROR_LENGTH, "dy has 47 elements, expected 48", [&] { network.backward(shorter); });
    fails(ELMAN_ERROR_LENGTH, "dx has 47 elements, expected 72", [&] { network.backward(dy, elman::none, shorter); });
    fails(ELMAN_ERROR_LENGTH, "dstate_out", [&] { network.backward(dy, few); });
    fails(ELMAN_ERROR_LENGTH, "dstate_in", [&] { network.backward(dy, elman::none, elman::none, few); });
    const elman::span<float> gradients = network.gradients();
    CHECK(gradients.size() == network.parameter_count());
    float largest = 0.0f;
    for (const float gradient : gradients) largest = std::fmax(largest, std::fabs(gradient));
    CHECK(largest > 0.0f && network.clip_gradients_by_norm(0.5) > 0.5);
    network.clip_gradients_by_value(0.01);
    CHECK(std::fabs(gradients[0]) <= 0.01f);
    network.clear_gradients();
    CHECK(gradients[0] == 0.0f);
    CHECK(network.gradient_check(x, {batch, steps, lengths}, elman::none, dy) < 1e-6);
    fails(ELMAN_ERROR_LENGTH, "dy", [&] { network.gradient_check(x, {batch, steps}, elman::none, shorter); });

    elman::Network twin = network.clone();
    CHECK(twin.parameters() == network.parameters() && twin.get() != network.get());
    elman::Optimizer optimizers[] = {
        elman::Optimizer::sgd(0.1, 0.9, true), elman::Optimizer::adagrad(), elman::Optimizer::rmsprop(),
        elman::Optimizer::adam(),              elman::Optimizer::adamw(),   elman::Optimizer::rprop(),
        elman::Optimizer::rprop_unbounded(),
    };
    for (elman::Optimizer &optimizer : optimizers) {
        const std::vector<float> before = network.parameters();
        network.forward(x, {batch, steps}, y);
        network.backward(dy);
        network.update(optimizer);
        CHECK(network.parameters() != before);
    }
    elman::Optimizer &sgd = optimizers[0];
    sgd.set_learning_rate(0.05);
    sgd.save("cpp-optimizer.safetensors");
    CHECK(elman::Optimizer::load("cpp-optimizer.safetensors").learning_rate() == 0.05);
    std::remove("cpp-optimizer.safetensors");
    sgd.reset();
    fails(ELMAN_ERROR_OUT_OF_RANGE, "beta1", [] { elman::Optimizer::adam(0.1, 2.0); });
    fails(ELMAN_ERROR_IO, "nowhere", [] { elman::Optimizer::load("nowhere"); });
}

void streams() {
    const std::vector<float> x = inputs();
    elman::Network network = network_of(elman::Output::all);
    std::vector<float> whole(steps * 2), stepped(2), block(steps * 2);
    const elman::span<const float> first(x.data(), steps * input);
    network.predict(first, {1, steps}, whole);

    elman::Session session(network);
    CHECK(session.streams() == 1 && session.input_size() == input && session.output_size() == 2);
    CHECK(session.state_size() == 5 && session.bytes() > 0);
    session.run(first, block);
    CHECK(block == whole);
    session.reset();
    for (std::size_t step = 0; step < steps; step++) {
        session.step(first.subspan(step * input, input), stepped);
        CHECK(stepped[0] == whole[step * 2] && stepped[1] == whole[step * 2 + 1]);
    }
    elman::Session other = session.clone();
    CHECK(other.state() == session.state());
    other.reset(0);
    CHECK(other.state() != session.state());
    other.set_state(session.state());
    std::vector<float> state(5);
    other.get_state(state);
    CHECK(state == session.state());

    fails(ELMAN_ERROR_LENGTH, "x has 4 elements, expected 3",
          [&] { session.step(elman::span<const float>(x.data(), 4), stepped); });
    fails(ELMAN_ERROR_LENGTH, "y has 12 elements, expected 2",
          [&] { session.step(elman::span<const float>(x.data(), 3), block); });
    fails(ELMAN_ERROR_LENGTH, "x has 4 elements, expected 3",
          [&] { session.run(elman::span<const float>(x.data(), 4), stepped); });
    fails(ELMAN_ERROR_LENGTH, "y has 2 elements, expected 12", [&] { session.run(first, stepped); });
    fails(ELMAN_ERROR_LENGTH, "state", [&] { session.set_state(elman::span<const float>(x.data(), 4)); });
    CHECK(session.state() == state);
    session.run(elman::span<const float>(), elman::span<float>());

    elman::Session several(network, 2);
    CHECK(several.streams() == 2);
    several.set_state(1, state);
    std::vector<float> one(5);
    several.get_state(1, one);
    CHECK(one == state);
    several.get_state(0, one);
    CHECK(one != state);
    fails(ELMAN_ERROR_OUT_OF_RANGE, "stream", [&] { several.reset(2); });

    elman::Network both(1);
    elman::RecurrentOptions options;
    options.direction = elman::Direction::reverse;
    both.add_gru(2, options);
    fails(ELMAN_ERROR_MISMATCH, "network", [&] { elman::Session ahead(both); });
}

void losses() {
    const std::vector<float> logits{1.0f, 2.0f, 3.0f, 0.5f};
    const std::vector<std::size_t> labels{1, 0}, counts{1, 1};
    std::vector<float> gradient(4), three(3);
    elman::softmax(logits, 2, gradient);
    CHECK(std::fabs(gradient[0] + gradient[1] - 1.0f) < 1e-6f);
    const double loss = elman::softmax_cross_entropy(logits, labels, 2, gradient);
    CHECK(std::fabs(loss - (std::log1p(std::exp(-1.0)) + std::log1p(std::exp(-2.5))) / 2.0) < 1e-6 && gradient[0] > 0.0f);
    CHECK(elman::softmax_cross_entropy(logits, labels, {1, 2, std::vector<std::size_t>{2}}, 2, gradient) == loss);
    const std::vector<float> weights{0.0f, 2.0f}, ones{1.0f, 1.0f};
    CHECK(elman::softmax_cross_entropy(logits, labels, 2, elman::none, ones) == loss);
    CHECK(elman::softmax_cross_entropy(logits, labels, {2, 1, counts}, 2, elman::none, ones) == loss);
    CHECK(elman::softmax_cross_entropy(logits, labels, 2, gradient, weights) > loss && gradient[2] == 0.0f);
    CHECK(elman::mean_squared_error(logits, logits, gradient) == 0.0);
    CHECK(elman::mean_squared_error(logits, logits, {2, 1, counts}, 2) == 0.0);
    const std::vector<float> halves(4, 0.5f);
    const double binary = elman::binary_cross_entropy_with_logits(logits, halves, gradient);
    CHECK(binary > 0.0 && elman::binary_cross_entropy_with_logits(logits, halves, {2, 1, counts}, 2, gradient) == binary);
    CHECK(elman::mean_squared_error(std::vector<float>(), std::vector<float>()) == 0.0);

    fails(ELMAN_ERROR_LENGTH, "probabilities", [&] { elman::softmax(logits, 2, three); });
    fails(ELMAN_ERROR_LENGTH, "logits has 4 elements, expected 6", [&] { elman::softmax_cross_entropy(logits, labels, 3); });
    fails(ELMAN_ERROR_LENGTH, "dlogits", [&] { elman::softmax_cross_entropy(logits, labels, 2, three); });
    fails(ELMAN_ERROR_LENGTH, "weights", [&] { elman::softmax_cross_entropy(logits, labels, 2, gradient, three); });
    fails(ELMAN_ERROR_LENGTH, "targets", [&] { elman::mean_squared_error(logits, three); });
    fails(ELMAN_ERROR_LENGTH, "targets", [&] { elman::binary_cross_entropy_with_logits(logits, three); });
    fails(ELMAN_ERROR_OUT_OF_RANGE, "labels[0]", [&] {
        elman::softmax_cross_entropy(logits, std::vector<std::size_t>{2, 0}, 2);
    });
    CHECK(elman::softmax_cross_entropy(logits, std::vector<std::size_t>(2, elman::no_label), 2) == 0.0);

    elman::CtcWorkspace workspace = elman::CtcWorkspace::create();
    elman::CtcOptions options;
    options.reduction = elman::CtcReduction::sum;
    const std::vector<std::size_t> spelt{1}, spelt_lengths{1};
    CHECK(elman::ctc(logits, spelt, spelt_lengths, {1, 2}, 2, options, workspace, gradient) > 0.0);
    fails(ELMAN_ERROR_LENGTH, "labels has 2 elements, expected 1",
          [&] { elman::ctc(logits, labels, spelt_lengths, {1, 2}, 2, options, workspace); });
    std::vector<std::size_t> read(2), read_lengths(1);
    elman::ctc_greedy_decode(logits, {1, 2}, 2, 0, read, read_lengths);
    CHECK(read_lengths[0] == 1 && read[0] == 1);
    fails(ELMAN_ERROR_LENGTH, "labels has 1 elements, expected 2",
          [&] { elman::ctc_greedy_decode(logits, {1, 2}, 2, 0, read_lengths, read_lengths); });
}

void data_sets(const std::string &vowels) {
    const std::vector<float> x(14 * input, 0.5f), values(14 * 2, 0.1f), vectors(4 * 2, 0.1f);
    const std::vector<std::size_t> labels{0, 1, 0, 1}, step_labels(14, 1);
    const elman::Dataset plain = elman::Dataset::create(input, x, lengths);
    CHECK(plain.sequence_count() == 4 && plain.total_steps() == 14 && plain.max_length() == 6);
    CHECK(plain.input_size() == input && plain.targets() == elman::Targets::none && plain.class_count() == 0);
    CHECK(plain.sequence(1).size() == 2 * input && plain.sequence(1)[0] == 0.5f);
    fails(ELMAN_ERROR_OUT_OF_RANGE, "index", [&] { plain.sequence(4); });
    fails(ELMAN_ERROR_MISMATCH, "", [&] { plain.labels(); });
    const elman::Dataset classes = elman::Dataset::with_classes(input, x, lengths, labels, 2);
    CHECK(classes.labels().size() == 4 && classes.labels()[1] == 1 && classes.class_name(1) == "1");
    CHECK(elman::Dataset::with_step_classes(input, x, lengths, step_labels, 2).labels().size() == 14);
    CHECK(elman::Dataset::with_values(input, x, lengths, vectors, 2).values().size() == 8);
    CHECK(elman::Dataset::with_step_values(input, x, lengths, values, 2).values().size() == 28);
    fails(ELMAN_ERROR_LENGTH, "x has 42 elements, expected 28", [&] { elman::Dataset::create(2, x, lengths); });
    fails(ELMAN_ERROR_LENGTH, "labels has 14 elements, expected 4",
          [&] { elman::Dataset::with_classes(input, x, lengths, step_labels, 2); });
    fails(ELMAN_ERROR_LENGTH, "labels has 4 elements, expected 14",
          [&] { elman::Dataset::with_step_classes(input, x, lengths, labels, 2); });
    fails(ELMAN_ERROR_LENGTH, "values has 28 elements, expected 8",
          [&] { elman::Dataset::with_values(input, x, lengths, values, 2); });
    fails(ELMAN_ERROR_SIZE_OVERFLOW, "sizes of x", [&] {
        elman::Dataset::create(input, x, std::vector<std::size_t>{SIZE_MAX, 2});
    });

    const elman::Dataset train = elman::Dataset::read_ts(vowels + "/JapaneseVowels_TRAIN.ts");
    elman::TsOptions options;
    options.missing = elman::Missing::carry;
    const elman::Dataset same = elman::Dataset::read_ts(vowels + "/JapaneseVowels_TRAIN.ts", options);
    CHECK(train.class_count() == 9 && same.total_steps() == train.total_steps());
    for (std::size_t index = 0; index < train.note_count(); index++) CHECK(!train.note(index).empty());
    fails(ELMAN_ERROR_OUT_OF_RANGE, "index", [&] { train.note(train.note_count()); });
    fails(ELMAN_ERROR_IO, "nowhere", [] { elman::Dataset::read_ts("nowhere"); });

    // Trains, measures, saves.
    elman::Network network(12);
    network.standardize(train);
    network.add_gru(16);
    network.add_dense(9, elman::Activation::linear);
    elman::Optimizer adam = elman::Optimizer::adam(0.01);
    elman::FitOptions fit;
    fit.epochs = 8;
    fit.clip = elman::Clip::norm;
    fit.patience = 5;
    fit.watch = elman::Watch::accuracy;
    fit.average = 1;
    const std::vector<float> weights(9, 1.0f);
    fit.validate_on(same).weigh_classes(weights);
    std::size_t epochs = 0, batches = 0;
    network.fit(
        train, adam, fit,
        [&](elman::Progress &progress, elman::NetworkView view) {
            epochs = progress.epoch;
            CHECK(progress.average_epoch >= 1 && progress.average_loss > 0.0);
            CHECK(view.parameter_count() == network.parameter_count());
        },
        [&](elman::BatchProgress &progress) {
            batches++;
            CHECK(progress.gradient_count == network.parameter_count());
        });
    CHECK(epochs == 8 && batches == 8 * 17 && network.epochs() == 8 && network.passes() > 0);
    std::vector<std::size_t> confusion(81);
    const elman::Evaluation measured = network.evaluate(train, fit, confusion);
    CHECK(measured.accuracy > 0.8 && measured.loss < 1.0 && confusion[0] > 0);
    CHECK(network.evaluate(train).accuracy == measured.accuracy);
    std::vector<float> answers(train.sequence_count() * 9);
    network.predict(train, answers);
    std::size_t right = 0;
    for (std::size_t index = 0; index < train.sequence_count(); index++) {
        const float *const row = &answers[index * 9];
        if (static_cast<std::size_t>(std::max_element(row, row + 9) - row) == train.labels()[index]) right++;
    }
    CHECK(right == static_cast<std::size_t>(std::lround(measured.accuracy * 270.0)));
    fails(ELMAN_ERROR_LENGTH, "confusion has 9 elements, expected 81", [&] {
        std::vector<std::size_t> row(9);
        network.evaluate(train, fit, row);
    });
    fails(ELMAN_ERROR_LENGTH, "y has 2430 elements, expected 38466", [&] {
        network.set_output(elman::Output::all);
        network.predict(train, answers);
    });
    network.set_output(elman::Output::last);
    const std::vector<float> three(3, 1.0f);
    fit.weigh_classes(three);
    fails(ELMAN_ERROR_LENGTH, "class_weights has 3 elements, expected 9", [&] { network.fit(train, adam, fit); });

    network.save("cpp-network.safetensors");
    CHECK(elman::Network::load("cpp-network.safetensors").parameters() == network.parameters());
    CHECK(elman::Network::import("cpp-network.safetensors").class_name_count() == 9);
    const std::vector<std::uint8_t> bytes = network.save_memory();
    CHECK(elman::Network::load_memory(bytes).parameters() == network.parameters());
    fails(ELMAN_ERROR_FORMAT, "", [&] { elman::Network::load_memory(elman::span<const std::uint8_t>(bytes.data(), 9)); });
    fails(ELMAN_ERROR_IO, "nowhere", [] { elman::Network::load("nowhere"); });
    network.save_onnx("cpp-network.onnx");
    CHECK(elman::Network::import("cpp-network.onnx").input_size() == network.input_size());
    std::remove("cpp-network.onnx");
    fails(ELMAN_ERROR_IO, "nowhere", [&] { network.save_onnx("nowhere/x"); });
    network.save_state_dict("cpp-network.safetensors", std::vector<std::string>{"gru", "head"});
    elman::ImportOptions as;
    as.description = "{\"output\": \"last\"}";
    const elman::Network back = elman::Network::import("cpp-network.safetensors", as);
    CHECK(back.parameters() == network.parameters());
    std::remove("cpp-network.safetensors");
}

void imports(const std::string &models) {
    const elman::Network amp = elman::Network::import(models + "/lstm.nam");
    elman::Session session(amp);
    const float silence = 0.0f;
    float sample = NAN;
    session.step(elman::span<const float>(&silence, 1), elman::span<float>(&sample, 1));
    CHECK(std::isfinite(sample));
    const std::uint8_t nonsense[] = {1, 2, 3};
    fails(ELMAN_ERROR_FORMAT, "", [&] { elman::Network::import_memory(nonsense); });
}

struct Oops {
    int number;
};

void callbacks() {
    const std::vector<float> x(14 * input, 0.5f);
    const std::vector<std::size_t> labels{0, 1, 0, 1};
    const elman::Dataset dataset = elman::Dataset::with_classes(input, x, lengths, labels, 2);
    elman::Network network = network_of(elman::Output::last);
    elman::Optimizer sgd = elman::Optimizer::sgd(0.1);
    elman::FitOptions options;
    options.epochs = 10;

    // What a callback throws comes out of fit(), and no callback is called again.
    int calls = 0;
    bool caught = false;
    const auto count = [&](elman::Progress &) { calls++; };
    try {
        network.fit(dataset, sgd, options, count, [&](elman::BatchProgress &progress) {
            if (progress.epoch == 3) throw Oops{7};
        });
    } catch (const Oops &oops) {
        caught = oops.number == 7;
    }
    CHECK(caught && calls == 2);
    calls = 0;
    caught = false;
    try {
        network.fit(dataset, sgd, options, [&](elman::Progress &) {
            calls++;
            throw Oops{8};
        });
    } catch (const Oops &oops) {
        caught = oops.number == 8;
    }
    CHECK(caught && calls == 1);

    // They may stop, and a function object that changes is the caller's own.
    struct Stop {
        int left;
        elman::Next::Type operator()(elman::Progress &) { return --left == 0 ? elman::Next::stop : elman::Next::go_on; }
    } stop{4};
    network.set_seed(1);
    network.fit(dataset, sgd, options, stop);
    CHECK(stop.left == 0 && network.epochs() == 4);
    const Stop never{-1};
    network.fit(dataset, sgd, options, Stop(never));
    CHECK(network.epochs() == 14);

    // Functions of C work as they do there, where none of C++ are given.
    options.user = &calls;
    calls = 0;
    options.callback = [](void *user, elman_progress *, const elman_network *) -> std::uint32_t {
        ++*static_cast<int *>(user);
        return ELMAN_CONTINUE;
    };
    network.fit(dataset, sgd, options);
    CHECK(calls == 10);

    const elman::Cancellation cancellation = elman::Cancellation::create();
    elman::FitOptions endless;
    endless.epochs = SIZE_MAX;
    endless.cancel_by(cancellation);
    std::atomic<bool> runs{false};
    std::thread other([&] {
        while (!runs) std::this_thread::yield();
        cancellation.set();
    });
    fails(ELMAN_ERROR_CANCELLED, "", [&] { network.fit(dataset, sgd, endless, [&](elman::Progress &) { runs = true; }); });
    other.join();
    cancellation.set(false);
}

} // namespace

int main(int count, char **arguments) {
    CHECK(count == 3);
    objects();
    settings();
    passes();
    streams();
    losses();
    data_sets(arguments[1]);
    imports(arguments[2]);
    callbacks();
    std::puts("ok");
}
