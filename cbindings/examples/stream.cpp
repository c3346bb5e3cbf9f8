// From C++: objects that free themselves, errors as exceptions.
//
// Trains a network to tell the next number of a wave from those before, then lets it go on by itself: each number that
// it gives is its next input.
#include <elman.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <vector>

namespace {

struct Destroy {
    void operator()(elman_network *network) const { elman_destroy(network); }
    void operator()(elman_session *session) const { elman_session_destroy(session); }
    void operator()(elman_dataset *dataset) const { elman_dataset_destroy(dataset); }
    void operator()(elman_optimizer *optimizer) const { elman_optimizer_destroy(optimizer); }
};

template <typename T> using Handle = std::unique_ptr<T, Destroy>;

void check(elman_status status) {
    if (status != ELMAN_OK) throw std::runtime_error(elman_last_error());
}

// Calls a function that makes an object, with a place for it behind the other arguments.
template <typename T, typename Create, typename... Arguments> Handle<T> make(Create create, Arguments... arguments) {
    T *object = nullptr;
    check(create(arguments..., &object));
    return Handle<T>(object);
}

float wave(std::size_t step) {
    const double t = static_cast<double>(step);
    return static_cast<float>(0.6 * std::sin(0.3 * t) + 0.3 * std::sin(0.9 * t));
}

} // namespace

int main() try {
    // 40 pieces of the wave, 50 steps each; the target of a step is the step behind it.
    constexpr std::size_t pieces = 40, steps = 50;
    std::vector<float> x, next;
    for (std::size_t piece = 0; piece < pieces; piece++) {
        for (std::size_t step = 0; step < steps; step++) {
            x.push_back(wave(7 * piece + step));
            next.push_back(wave(7 * piece + step + 1));
        }
    }
    const std::vector<std::size_t> lengths(pieces, steps);
    const auto dataset =
        make<elman_dataset>(elman_dataset_create_values, 1, x.data(), lengths.data(), pieces, next.data(), 1, 1);

    const auto network = make<elman_network>(elman_create, 1);
    check(elman_add_rnn(network.get(), 32, ELMAN_TANH));
    check(elman_add_dense(network.get(), 1, ELMAN_LINEAR));
    check(elman_set_output(network.get(), ELMAN_OUTPUT_ALL));
    check(elman_initialize(network.get(), ELMAN_INIT_PYTORCH, 1.0f, 1));

    const auto adam = make<elman_optimizer>(elman_adam_create, 0.003, 0.9, 0.999, 1e-8, 0.0);
    elman_fit_options options;
    check(elman_fit_options_init(&options, sizeof options));
    options.loss = ELMAN_LOSS_MEAN_SQUARED_ERROR;
    options.epochs = 150;
    options.clip = ELMAN_CLIP_NORM;
    check(elman_fit(network.get(), dataset.get(), adam.get(), &options));

    const auto session = make<elman_session>(elman_session_create, network.get());
    float value = 0.0f, error = 0.0f;
    for (std::size_t step = 0; step < 100; step++) {
        const float input = step < 50 ? wave(step) : value;
        check(elman_session_step(session.get(), &input, &value));
        if (step >= 50) {
            error = std::fmax(error, std::fabs(value - wave(step + 1)));
            if (step % 10 == 0) std::printf("step %zu: %6.3f, the wave is %6.3f\n", step + 1, value, wave(step + 1));
        }
    }
    std::printf("largest error over 50 steps of its own: %.3f\n", error);
    return error < 0.3f ? 0 : 1;
} catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
