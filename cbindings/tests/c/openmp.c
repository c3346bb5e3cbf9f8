/* A program whose own threads are OpenMP's: around the calls, and in them. */
#include "check.h"
#include <omp.h>

enum { INPUT = 3, BATCH = 16, STEPS = 7, UNITS = 20, CALLS = 200, TEAM = 4 };

static float x[BATCH * STEPS * INPUT];

int main(void) {
    elman_network *network;
    elman_optimizer *optimizer;
    float expected[BATCH * UNITS];
    OK(elman_create(INPUT, &network));
    OK(elman_add_rnn(network, UNITS, ELMAN_TANH));
    OK(elman_initialize(network, ELMAN_INIT_PYTORCH, 1.0f, 5));
    OK(elman_sgd_create(0.01, 0.0, 0, 0.0, &optimizer));
    for (size_t i = 0; i < COUNT(x); i++) x[i] = sinf((float)i);
    OK(elman_predict(network, x, BATCH, STEPS, NULL, NULL, expected, NULL));
    OK(elman_set_threads(network, 2));
    OK(elman_set_parallel_threshold(network, 0));

    int used = 0;
#pragma omp parallel for num_threads(TEAM) schedule(dynamic) reduction(max : used)
    for (int call = 0; call < CALLS; call++) {
        float y[BATCH * UNITS];
        OK(elman_predict(network, x, BATCH, STEPS, NULL, NULL, y, NULL));
        SAME(y, expected, COUNT(y));
        used = omp_get_num_threads();
    }
    CHECK(used == TEAM);

    /* One after the other: the caller prepares its data with its threads, then trains. */
    for (int call = 0; call < CALLS; call++) {
        float y[BATCH * UNITS];
#pragma omp parallel for num_threads(TEAM)
        for (int i = 0; i < (int)COUNT(x); i++) x[i] = sinf((float)(i + call));
        OK(elman_forward(network, x, BATCH, STEPS, NULL, NULL, y, NULL));
        OK(elman_backward(network, y, NULL, NULL, NULL));
        OK(elman_update(network, optimizer));
    }
    elman_destroy(network);
    elman_optimizer_destroy(optimizer);
    puts("ok");
    return 0;
}
