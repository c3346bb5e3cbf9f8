/* Your own training loop: forward, loss, backward, update.
 *
 * One sequence of three steps, a layer of four units whose weights are given. First the states and the gradients of the
 * sum of the last one; then 100 updates that draw the last state towards a target.
 */
#include <elman.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(call)                                                                                                    \
    do {                                                                                                               \
        const elman_status status = (call);                                                                            \
        if (status != ELMAN_OK) {                                                                                      \
            fprintf(stderr, "%s: %s\n", elman_status_string(status), elman_last_error());                              \
            exit(EXIT_FAILURE);                                                                                        \
        }                                                                                                              \
    } while (0)

enum { FEATURES = 2, UNITS = 4, STEPS = 3, PARAMETERS = (FEATURES + UNITS + 1) * UNITS };

static void print_row(const char *name, const float *values, size_t count) {
    printf("%s", name);
    for (size_t i = 0; i < count; i++) printf(" %9.6f", (double)values[i]);
    printf("\n");
}

int main(void) {
    const float x[STEPS][FEATURES] = {{0.01f, 0.02f}, {0.02f, 0.03f}, {0.03f, 0.04f}};
    const float parameters[PARAMETERS] = {
        0.01f, 0.03f, 0.05f, 0.07f, /* W_x [features][units] */
        0.03f, 0.05f, 0.07f, 0.08f,
        0.01f, 0.03f, 0.05f, 0.07f, /* W_h [units][units] */
        0.02f, 0.04f, 0.06f, 0.08f,
        0.03f, 0.05f, 0.07f, 0.08f,
        0.04f, 0.06f, 0.08f, 0.10f,
        1.00f, 1.00f, 1.00f, 1.00f, /* b [units] */
    };

    elman_network *network;
    CHECK(elman_create(FEATURES, &network));
    CHECK(elman_add_rnn(network, UNITS, ELMAN_TANH));
    CHECK(elman_set_output(network, ELMAN_OUTPUT_ALL));
    CHECK(elman_set_parameters(network, parameters, PARAMETERS));

    float states[STEPS][UNITS], dx[STEPS][FEATURES], *gradients;
    const float ones[UNITS] = {1.0f, 1.0f, 1.0f, 1.0f};
    CHECK(elman_forward(network, x[0], 1, STEPS, NULL, NULL, states[0], NULL));
    CHECK(elman_backward(network, NULL, ones, dx[0], NULL));
    CHECK(elman_gradients(network, &gradients, NULL));
    for (size_t step = 0; step < STEPS; step++) print_row("state   ", states[step], UNITS);
    for (size_t row = 0; row < FEATURES; row++) print_row("dW_x    ", gradients + row * UNITS, UNITS);
    for (size_t step = 0; step < STEPS; step++) print_row("dx      ", dx[step], FEATURES);

    const float target[UNITS] = {0.5f, -0.5f, 0.0f, 0.9f};
    float last[UNITS], dlast[UNITS];
    double loss = 0.0;
    elman_optimizer *sgd;
    CHECK(elman_sgd_create(0.5, 0.9, 1, 0.0, &sgd));
    CHECK(elman_clear_gradients(network));
    for (int update = 0; update < 100; update++) {
        CHECK(elman_forward(network, x[0], 1, STEPS, NULL, NULL, NULL, last));
        CHECK(elman_mean_squared_error(last, target, UNITS, &loss, dlast));
        CHECK(elman_backward(network, NULL, dlast, NULL, NULL));
        CHECK(elman_update(network, sgd));
    }
    print_row("target  ", target, UNITS);
    print_row("reached ", last, UNITS);
    printf("loss     %9.2g\n", loss);

    elman_optimizer_destroy(sgd);
    elman_destroy(network);
    return 0;
}
