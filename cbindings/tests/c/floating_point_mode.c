/* The caller's floating-point mode is the caller's: no call changes it, and what it says about denormal numbers holds. */
#include "check.h"
#if defined(__x86_64__)
#include <xmmintrin.h>

enum { BATCH = 64, STEPS = 50, INPUT = 3, UNITS = 48 };
enum { ROWS = 1 << 18 }; /* so many that the second thread wakes in time for its share */
enum { FLUSH_TO_ZERO = 0x8000, DENORMALS_ARE_ZERO = 0x40 };

/* The mode without the flags that record what has happened. */
static unsigned mode(void) { return _mm_getcsr() & ~0x3fu; }

/* Every kind of call that computes, each of which must leave the mode as it is. */
static void run(size_t threads) {
    const unsigned before = mode();
    static float x[BATCH * STEPS * INPUT], y[BATCH * STEPS * UNITS], dx[BATCH * STEPS * INPUT];
    for (size_t i = 0; i < COUNT(x); i++) x[i] = (float)(i % 7) * 0.1f;
    elman_network *network;
    OK(elman_create(INPUT, &network));
    OK(elman_add_rnn(network, UNITS, ELMAN_TANH));
    OK(elman_add_rnn(network, UNITS, ELMAN_SIGMOID));
    OK(elman_set_output(network, ELMAN_OUTPUT_ALL));
    OK(elman_set_threads(network, threads));
    OK(elman_initialize(network, ELMAN_INIT_PYTORCH, 1.0f, 1));
    elman_optimizer *adam;
    OK(elman_adam_create(0.01, 0.9, 0.999, 1e-8, 0.0, &adam));
    CHECK(mode() == before);
    for (size_t pass = 0; pass < 3; pass++) {
        OK(elman_forward(network, x, BATCH, STEPS, NULL, NULL, y, NULL));
        CHECK(mode() == before);
        OK(elman_backward(network, y, NULL, dx, NULL));
        CHECK(mode() == before);
        OK(elman_update(network, adam));
        CHECK(mode() == before);
        OK(elman_predict(network, x, BATCH, STEPS, NULL, NULL, y, NULL));
        CHECK(mode() == before);
    }
    elman_session *session;
    OK(elman_session_create(network, &session));
    OK(elman_session_step(session, x, y));
    CHECK(mode() == before);
    elman_session_destroy(session);
    elman_optimizer_destroy(adam);
    elman_destroy(network);
    CHECK(mode() == before);
}

/* The bits of 1e-20 times 1e-20, which is denormal: the same for all rows, whichever of the threads computes them. */
static uint32_t product(size_t threads) {
    const float parameters[2] = {1e-20f, 0.0f};
    static float x[ROWS], y[ROWS];
    for (size_t i = 0; i < ROWS; i++) x[i] = 1e-20f;
    elman_network *network;
    OK(elman_create(1, &network));
    OK(elman_add_dense(network, 1, ELMAN_LINEAR));
    OK(elman_set_parameters(network, parameters, 2));
    OK(elman_set_threads(network, threads));
    OK(elman_set_parallel_threshold(network, 1));
    OK(elman_predict(network, x, ROWS, 1, NULL, NULL, y, NULL));
    elman_destroy(network);
    for (size_t i = 1; i < ROWS; i++) SAME(&y[i], &y[0], 1);
    uint32_t bits;
    memcpy(&bits, &y[0], sizeof bits);
    return bits;
}

int main(void) {
    const unsigned of_process = _mm_getcsr(), flushing = mode() | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO;
    for (size_t threads = 1; threads <= 2; threads++) {
        run(threads);
        CHECK(product(threads) == 71362); /* 1e-40 */
        _mm_setcsr(flushing);
        run(threads);
#if defined(__linux__)
        CHECK(product(threads) == 0); /* the other thread has the mode of the one that started it */
#else
        CHECK(product(1) == 0);
#endif
        CHECK(mode() == flushing);
        _mm_setcsr(of_process);
    }
    puts("ok");
    return 0;
}
#else
int main(void) {
    puts("ok");
    return 0;
}
#endif
