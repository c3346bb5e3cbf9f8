// From C++: a stream that goes on by itself.
//
// Trains a network to tell the next number of a wave from those before, then lets it go on by itself: each number that
// it gives is its next input.
#include <elman.hpp>

#include <cmath>
#include <cstdio>

namespace {

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
    const elman::Dataset dataset = elman::Dataset::with_step_values(1, x, lengths, next, 1);

    elman::Network network(1);
    network.set_seed(1);
    network.add_rnn(32, elman::Activation::tanh);
    network.add_dense(1, elman::Activation::linear);
    network.set_output(elman::Output::all);

    elman::Optimizer adam = elman::Optimizer::adam(0.003);
    elman::FitOptions options;
    options.loss = elman::Loss::mean_squared_error;
    options.epochs = 150;
    options.clip = elman::Clip::norm;
    network.fit(dataset, adam, options, [](elman::Progress &progress) {
        if (progress.epoch % 50 == 0) std::printf("epoch %zu: loss %.6f\n", progress.epoch, progress.loss);
    });

    elman::Session session(network);
    float input[1] = {}, output[1] = {}, error = 0.0f;
    for (std::size_t step = 0; step < 100; step++) {
        input[0] = step < 50 ? wave(step) : output[0];
        session.step(input, output);
        if (step >= 50) {
            error = std::fmax(error, std::fabs(output[0] - wave(step + 1)));
            if (step % 10 == 0) std::printf("step %zu: %6.3f, the wave is %6.3f\n", step + 1, output[0], wave(step + 1));
        }
    }
    std::printf("largest error over 50 steps of its own: %.3f\n", error);
    return error < 0.3f ? 0 : 1;
} catch (const elman::Error &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
