/* Memory that runs out, through the C ABI: each allocation of a size that follows the caller's fails in turn, alone and with
 * all that come after it until the call is over. The call says so; made again it does what it would have done.
 *
 * Linked with the archive and --wrap, so that the library's allocations are those below. */
#define _GNU_SOURCE
#include "check.h"
#include <errno.h>
#include <malloc.h>
#include <unistd.h>

/* Smaller ones are those of an object itself and of a file's header, and never fail here. */
enum { LARGE = 2048 };
enum { INPUT = 600, UNITS = 40, OUTPUT = 260, BATCH = 600, STEPS = 2 };

/* Large allocations that still succeed; whether all fail from then on; how many have failed; how many are in use. */
static size_t allowed = SIZE_MAX, failed;
static int for_good;
static long in_use;

static int refuses(size_t size) {
    if (size < LARGE || allowed == SIZE_MAX) return 0;
    if (allowed > 0) {
        allowed--;
        return 0;
    }
    failed++;
    if (!for_good) allowed = SIZE_MAX;
    return 1;
}

static void *taken(void *memory) {
    if (memory != NULL && malloc_usable_size(memory) >= LARGE) in_use++;
    return memory;
}

static void given_back(void *memory) {
    if (memory != NULL && malloc_usable_size(memory) >= LARGE) in_use--;
}

void *__real_malloc(size_t), *__real_calloc(size_t, size_t), *__real_realloc(void *, size_t);
int __real_posix_memalign(void **, size_t, size_t);
void __real_free(void *);
void *__wrap_malloc(size_t), *__wrap_calloc(size_t, size_t), *__wrap_realloc(void *, size_t);
int __wrap_posix_memalign(void **, size_t, size_t);
void __wrap_free(void *);

void *__wrap_malloc(size_t size) { return refuses(size) ? NULL : taken(__real_malloc(size)); }

void *__wrap_calloc(size_t count, size_t size) {
    return refuses(count * size) ? NULL : taken(__real_calloc(count, size));
}

void *__wrap_realloc(void *memory, size_t size) {
    if (refuses(size)) return NULL;
    given_back(memory);
    return taken(__real_realloc(memory, size));
}

int __wrap_posix_memalign(void **memory, size_t alignment, size_t size) {
    if (refuses(size)) return ENOMEM;
    const int error = __real_posix_memalign(memory, alignment, size);
    if (error == 0) taken(*memory);
    return error;
}

void __wrap_free(void *memory) {
    given_back(memory);
    __real_free(memory);
}

/* Whether there was no memory for a call, which has said so; there is enough afterwards. */
static int lacked(elman_status status) {
    static size_t reported;
    allowed = SIZE_MAX;
    CHECK((failed > reported) == (status == ELMAN_ERROR_OUT_OF_MEMORY));
    if (status == ELMAN_ERROR_OUT_OF_MEMORY) CHECK(strstr(elman_last_error(), "out of memory") != NULL);
    else CHECK(status == ELMAN_OK);
    reported = failed;
    return status != ELMAN_OK;
}

/* The call whose allocations fail, after how many that succeed. */
struct fault {
    size_t call, successes;
};

/* Makes a call, and makes it again where memory has run out; then nothing fails. */
#define TRY(statement)                                                                                                 \
    do {                                                                                                               \
        if (calls++ == fault.call) allowed = fault.successes;                                                          \
        if (lacked(statement)) CHECK(!lacked(statement));                                                              \
    } while (0)

static float x[BATCH * STEPS * INPUT], y[BATCH * OUTPUT], dx[BATCH * STEPS * INPUT], streamed[OUTPUT];
static size_t lengths[BATCH], labels[BATCH], confusion[OUTPUT * OUTPUT];

/* All that one does with a network; how many calls that were. */
static size_t live(const char *path, struct fault fault, float *parameters, size_t count) {
    size_t calls = 0;
    elman_network *network, *loaded;
    elman_optimizer *optimizer;
    elman_session *session;
    elman_dataset *dataset;
    elman_fit_options options;
    OK(elman_fit_options_init(&options, sizeof options));
    options.epochs = 2;
    options.batch_size = BATCH - 10;

    TRY(elman_create(INPUT, &network));
    TRY(elman_add_rnn(network, UNITS, ELMAN_TANH));
    TRY(elman_add_dropout(network, 0.1f));
    TRY(elman_add_dense(network, OUTPUT, ELMAN_LINEAR));
    TRY(elman_initialize(network, ELMAN_INIT_PYTORCH, 1.0f, 5));
    TRY(elman_adam_create(0.01, 0.9, 0.999, 1e-8, 0.0, &optimizer));
    TRY(elman_dataset_create_classes(INPUT, x, lengths, BATCH, labels, OUTPUT, 0, &dataset));
    TRY(elman_standardize(network, dataset));
    TRY(elman_forward(network, x, BATCH, STEPS, lengths, NULL, y, NULL));
    TRY(elman_backward(network, y, NULL, dx, NULL));
    TRY(elman_session_create(network, &session));
    TRY(elman_update(network, optimizer));
    TRY(elman_predict(network, x, BATCH, STEPS, lengths, NULL, y, NULL));
    TRY(elman_session_step(session, x, streamed));
    TRY(elman_evaluate(network, dataset, &options, NULL, NULL, confusion));
    TRY(elman_predict_dataset(network, dataset, 100, y));
    TRY(elman_load(path, &loaded));
    /* A training that ends in its first epoch may have made some updates: it starts from the start. */
    options.validation = dataset;
    OK(elman_optimizer_reset(optimizer));
    if (calls++ == fault.call) allowed = fault.successes;
    while (lacked(elman_fit(loaded, dataset, optimizer, &options))) {
        elman_destroy(loaded);
        OK(elman_load(path, &loaded));
        OK(elman_optimizer_reset(optimizer));
    }
    OK(elman_get_parameters(loaded, parameters, count));
    elman_dataset_destroy(dataset);
    elman_session_destroy(session);
    elman_destroy(loaded);
    elman_destroy(network);
    elman_optimizer_destroy(optimizer);
    return calls;
}

int main(void) {
    for (size_t i = 0; i < COUNT(x); i++) x[i] = (float)(i * 7 % 23) / 23.0f - 0.5f;
    for (size_t i = 0; i < BATCH; i++) {
        lengths[i] = 1 + i % STEPS;
        labels[i] = i % OUTPUT;
    }
    char path[] = "memory-XXXXXX";
    const int file = mkstemp(path);
    CHECK(file >= 0);
    elman_network *network;
    OK(elman_create(INPUT, &network));
    OK(elman_add_rnn(network, UNITS, ELMAN_RELU));
    OK(elman_add_dense(network, OUTPUT, ELMAN_LINEAR));
    OK(elman_initialize(network, ELMAN_INIT_PYTORCH, 1.0f, 7));
    OK(elman_save(network, path));
    const size_t count = elman_parameter_count(network);
    elman_destroy(network);

    float *expected = floats(count), *parameters = floats(count);
    static float expected_y[COUNT(y)], expected_dx[COUNT(dx)], expected_streamed[COUNT(streamed)];
    const size_t calls = live(path, (struct fault){SIZE_MAX, 0}, expected, count);
    memcpy(expected_y, y, sizeof y);
    memcpy(expected_dx, dx, sizeof dx);
    memcpy(expected_streamed, streamed, sizeof streamed);
    const long before = in_use;
    for (for_good = 0; for_good < 2; for_good++)
        for (size_t call = 0; call < calls; call++)
            for (size_t faults = SIZE_MAX, successes = 0; faults != failed; successes++) {
                faults = failed; /* until nothing has failed */
                live(path, (struct fault){call, successes}, parameters, count);
                SAME(parameters, expected, count);
                SAME(y, expected_y, COUNT(y));
                SAME(dx, expected_dx, COUNT(dx));
                SAME(streamed, expected_streamed, COUNT(streamed));
                CHECK(in_use == before);
            }
    fprintf(stderr, "%zu calls, %zu faults\n", calls, failed);
    CHECK(failed > 100);
    free(expected);
    free(parameters);
    CHECK(close(file) == 0 && unlink(path) == 0);
    puts("ok");
    return 0;
}
