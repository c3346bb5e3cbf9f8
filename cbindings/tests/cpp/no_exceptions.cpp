// elman.hpp in programs without exceptions: calls give results.
#ifndef ELMAN_NO_EXCEPTIONS
#define ELMAN_NO_EXCEPTIONS
#endif
#include "check.hpp"

#include <cstring>

namespace {

// A call that fails says how, and leaves nothing to go on with.
template <typename T> bool failed(const elman::Result<T> &result, elman_status status, const char *text) {
    return !result && result.status() == status && std::strstr(result.message(), text) != nullptr;
}

elman::Result<void> layers(elman::Network &network) {
    if (elman::Result<void> added = network.add_rnn(4, elman::Activation::tanh); !added) return added;
    return network.add_dense(2, elman::Activation::linear);
}

} // namespace

int main() {
    elman::Result<elman::Network> created = elman::Network::create(1);
    CHECK(created && created.status() == ELMAN_OK && std::strcmp(created.message(), "") == 0);
    elman::Network network = std::move(created).value();
    CHECK(layers(network));

    elman::Result<elman::Network> none = elman::Network::create(0);
    CHECK(failed(none, ELMAN_ERROR_ZERO_SIZE, "input_size") && !none.value());
    CHECK(failed(none->add_gru(1), ELMAN_ERROR_NULL, "network"));
    CHECK(failed(elman::Network::load("nowhere"), ELMAN_ERROR_IO, "nowhere"));
    CHECK(failed(network.layer(2), ELMAN_ERROR_OUT_OF_RANGE, "layer"));

    const std::vector<float> x{0.1f, 0.5f, 0.9f, 0.8f, 0.4f, 0.2f, 0.7f, 0.9f, 0.3f};
    const std::vector<std::size_t> lengths{3, 2, 2, 2}, labels{1, 0, 1, 0};
    elman::Result<elman::Dataset> dataset = elman::Dataset::with_classes(1, x, lengths, labels, 2);
    elman::Result<elman::Optimizer> adam = elman::Optimizer::adam(0.01);
    CHECK(dataset && adam && dataset->class_name(1).value() == "1");
    CHECK(failed(elman::Dataset::create(2, x, lengths), ELMAN_ERROR_LENGTH, "x has 9 elements, expected 18"));

    elman::FitOptions options;
    options.epochs = 200;
    std::size_t epochs = 0;
    const auto enough = [&](elman::Progress &progress) {
        epochs = progress.epoch;
        return progress.epoch == 150 ? elman::Next::stop : elman::Next::go_on;
    };
    CHECK(network.fit(*dataset, *adam, options, enough) && epochs == 150);
    elman::Result<elman::Evaluation> measured = network.evaluate(*dataset);
    CHECK(measured && measured->accuracy == 1.0);

    std::vector<float> answer(2);
    CHECK(network.predict(elman::span<const float>(x.data(), 3), {1, 3}, answer) && answer[1] > answer[0]);
    CHECK(failed(network.predict(x, {1, 3}, answer), ELMAN_ERROR_LENGTH, "x has 9 elements, expected 3"));
    CHECK(failed(network.backward(answer), ELMAN_ERROR_CALL_ORDER, "forward()"));

    elman::Result<elman::Session> session = elman::Session::create(network);
    float y[2];
    CHECK(session && session->step(elman::span<const float>(x.data(), 1), y));
    CHECK(failed(session->step(x, y), ELMAN_ERROR_LENGTH, "x has 9 elements, expected 1"));
    CHECK(elman::tier() && elman::tier().value() == elman_tier());
    elman::Result<elman::Network> clone = network.clone();
    const elman::Result<elman::LayerInfo> info = network.layer(0);
    CHECK(info && info->units == 4 && (*info).units == (*network.layer(0)).units);
    CHECK(clone && clone->parameters().value() == network.parameters().value());
    CHECK(elman::softmax_cross_entropy(answer, std::vector<std::size_t>{1}, 2).value() < 0.7);
    std::puts("ok");
}
