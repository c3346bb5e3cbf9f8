/* The floating-point mode: whatever the caller's is, calls give the same bits, leave it and its exception flags as they
 * are, and call back in it; and no denormal number leaves a call that computes. */
#include "check.h"
#if defined(__x86_64__)
#include <xmmintrin.h>

enum { BATCH = 40, STEPS = 13, INPUT = 3, UNITS = 21, CLASSES = 4 };
enum { FLUSH = 0x8040, USUAL = 0x1f80, DOWN = 0x2000, UP = 0x4000, INEXACT = 0x20, FLAGS = 0x3f };

static const unsigned modes[] = {USUAL, USUAL | FLUSH, USUAL | DOWN, USUAL | UP, USUAL | DOWN | UP, 0, UP | FLUSH};

/* What is in the register now, and what calls have given so far. */
static unsigned mode;
static uint32_t bits[1 << 20];
static size_t used;

/* A call that succeeds and leaves the register as it is. */
#define CALL(call)                                                                                                     \
    do {                                                                                                               \
        OK(call);                                                                                                      \
        CHECK(_mm_getcsr() == mode);                                                                                   \
    } while (0)

static void keep(const void *values, size_t bytes) {
    CHECK(used + bytes / 4 <= COUNT(bits));
    memcpy(bits + used, values, bytes);
    used += bytes / 4;
}

static void keep_floats(const float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t value;
        memcpy(&value, values + i, sizeof value);
        const int exponent = value >> 23 & 0xff;
        CHECK(exponent != 0 || (value & 0x7fffffu) == 0); /* not denormal */
    }
    keep(values, count * sizeof *values);
}

static uint32_t progress_made(void *user, elman_progress *progress, const elman_network *network) {
    (void)user, (void)network;
    CHECK((_mm_getcsr() & ~(unsigned)FLAGS) == (mode & ~(unsigned)FLAGS));
    keep(&progress->loss, sizeof progress->loss);
    return ELMAN_CONTINUE;
}

/* The inputs, made before the mode is set. */
static float x[BATCH * STEPS * INPUT], dy[BATCH * STEPS * CLASSES], targets[BATCH * STEPS * CLASSES];
static size_t lengths[BATCH], labels[BATCH * STEPS];

static void run(size_t threads) {
    const char *const path = "floating_point_mode.safetensors";
    static float y[BATCH * STEPS * CLASSES], dx[BATCH * STEPS * INPUT], d[BATCH * STEPS * CLASSES];
    double loss, accuracy;
    elman_network *network, *loaded;
    CALL(elman_create(INPUT, &network));
    CALL(elman_add_rnn(network, UNITS, ELMAN_TANH));
    CALL(elman_add_dropout(network, 0.25f));
    CALL(elman_add_rnn(network, UNITS, ELMAN_SIGMOID));
    CALL(elman_add_dense(network, CLASSES, ELMAN_LINEAR));
    CALL(elman_set_output(network, ELMAN_OUTPUT_ALL));
    CALL(elman_set_threads(network, threads));
    CALL(elman_set_parallel_threshold(network, 1));
    elman_optimizer *optimizers[8];
    CALL(elman_sgd_create(0.01, 0.9, 0, 0.0, &optimizers[0]));
    CALL(elman_adagrad_create(0.01, 1e-10, &optimizers[1]));
    CALL(elman_rmsprop_create(0.01, 0.99, 1e-8, 0.0, &optimizers[2]));
    CALL(elman_adam_create(0.01, 0.9, 0.999, 1e-8, 0.0, &optimizers[3]));
    const size_t count = elman_parameter_count(network);
    static float parameters[8192];
    CHECK(count <= COUNT(parameters));
    for (size_t i = 0; i < 4; i++) {
        CALL(elman_initialize(network, i % 2 ? ELMAN_INIT_ORTHOGONAL : ELMAN_INIT_PYTORCH, 1.0f, i));
        for (size_t pass = 0; pass < 2; pass++) {
            CALL(elman_forward(network, x, BATCH, STEPS, lengths, NULL, y, NULL));
            keep_floats(y, COUNT(y));
            CALL(elman_backward(network, dy, NULL, dx, NULL));
            keep_floats(dx, COUNT(dx));
            CALL(elman_clip_gradients_by_norm(network, 1.0, &loss));
            keep(&loss, sizeof loss);
            CALL(elman_update(network, optimizers[i]));
            CALL(elman_get_parameters(network, parameters, count));
            keep_floats(parameters, count);
        }
        elman_optimizer_destroy(optimizers[i]);
        CHECK(_mm_getcsr() == mode);
    }
    CALL(elman_predict(network, x, BATCH, STEPS, lengths, NULL, y, NULL));
    keep_floats(y, COUNT(y));
    CALL(elman_softmax(y, BATCH * STEPS, CLASSES, d));
    keep_floats(d, COUNT(d));
    CALL(elman_softmax_cross_entropy(y, labels, BATCH * STEPS, CLASSES, &loss, d));
    keep(&loss, sizeof loss), keep_floats(d, COUNT(d));
    CALL(elman_mean_squared_error(y, targets, COUNT(y), &loss, d));
    keep(&loss, sizeof loss), keep_floats(d, COUNT(d));
    CALL(elman_binary_cross_entropy_with_logits(y, targets, COUNT(y), &loss, d));
    keep(&loss, sizeof loss), keep_floats(d, COUNT(d));

    elman_session *session;
    CALL(elman_session_create(network, &session));
    for (size_t step = 0; step < STEPS; step++) {
        CALL(elman_session_step(session, x + step * INPUT, y));
        keep_floats(y, CLASSES);
    }
    elman_session_destroy(session);
    CHECK(_mm_getcsr() == mode);

    CALL(elman_save(network, path));
    CALL(elman_load(path, &loaded));
    CALL(elman_get_parameters(loaded, parameters, count));
    keep_floats(parameters, count);
    elman_destroy(loaded);
    elman_destroy(network);
    CHECK(remove(path) == 0);

    elman_dataset *data;
    CALL(elman_dataset_create_classes(INPUT, x, lengths, BATCH, labels, CLASSES, 0, &data));
    CALL(elman_create(INPUT, &network));
    CALL(elman_add_rnn(network, UNITS, ELMAN_TANH));
    CALL(elman_add_dense(network, CLASSES, ELMAN_LINEAR));
    CALL(elman_initialize(network, ELMAN_INIT_PYTORCH, 1.0f, 1));
    CALL(elman_standardize(network, data));
    elman_optimizer *adam;
    CALL(elman_adam_create(0.01, 0.9, 0.999, 1e-8, 0.0, &adam));
    elman_fit_options options;
    CALL(elman_fit_options_init(&options, sizeof options));
    options.epochs = 2;
    options.validation = data;
    options.callback = progress_made;
    CALL(elman_fit(network, data, adam, &options));
    CALL(elman_evaluate(network, data, &options, &loss, &accuracy, NULL));
    keep(&loss, sizeof loss), keep(&accuracy, sizeof accuracy);
    CALL(elman_predict_dataset(network, data, 7, y));
    keep_floats(y, BATCH * CLASSES);
    elman_optimizer_destroy(adam);

    /* A call that fails. */
    CHECK(elman_backward(network, NULL, NULL, NULL, NULL) == ELMAN_ERROR_CALL_ORDER);
    CHECK(_mm_getcsr() == mode);
    elman_destroy(network);
    elman_dataset_destroy(data);
    CHECK(_mm_getcsr() == mode);
}

int main(void) {
    for (size_t i = 0; i < COUNT(x); i++) x[i] = (float)((int)(i * 7 % 23) - 11) * 0.1f;
    for (size_t i = 0; i < COUNT(dy); i++) dy[i] = (float)((int)(i * 5 % 19) - 9) * (i % 3 ? 0.01f : 1e-37f);
    for (size_t i = 0; i < COUNT(targets); i++) targets[i] = (float)(i % 2);
    for (size_t i = 0; i < COUNT(labels); i++) labels[i] = i % CLASSES;
    for (size_t i = 0; i < BATCH; i++) lengths[i] = 1 + i * 5 % STEPS;

    static uint32_t usual[COUNT(bits)];
    size_t expected = 0;
    for (size_t threads = 1; threads <= 2; threads++) {
        for (size_t i = 0; i < COUNT(modes); i++) {
            const unsigned before = _mm_getcsr();
            mode = modes[i] | ((modes[i] & USUAL) == USUAL ? INEXACT : 0);
            used = 0;
            _mm_setcsr(mode);
            run(threads);
            CHECK(_mm_getcsr() == mode);
            _mm_setcsr(before);
            if (expected == 0) {
                expected = used;
                memcpy(usual, bits, used * sizeof *bits);
            }
            CHECK(used == expected && memcmp(bits, usual, used * sizeof *bits) == 0);
        }
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
