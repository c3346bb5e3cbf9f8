/* Creates, trains, saves, loads, streams and destroys networks of random shapes, for as many seconds as the argument says:
 * the memory of the process does not grow, and each shape gives the same numbers when it comes again. */
#define _GNU_SOURCE
#include "check.h"
#include <time.h>
#include <unistd.h>

enum { SHAPES = 24, MOST = 40, UPDATES = 3 };

static size_t below(uint32_t *state, size_t count) {
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % count;
}

/* Everything about the network that the seed gives; a digest of all its numbers. */
static uint64_t live(uint32_t seed, const char *path) {
    uint32_t state = seed;
    const size_t input = 1 + below(&state, MOST), batch = 1 + below(&state, MOST), steps = 1 + below(&state, MOST);
    elman_network *network, *loaded;
    elman_optimizer *optimizer;
    elman_session *session;
    OK(elman_create(input, &network));
    for (size_t layer = below(&state, 3); layer < 3; layer++) {
        OK(elman_add_rnn(network, 1 + below(&state, MOST), (uint32_t)(below(&state, 2) ? ELMAN_TANH : ELMAN_RELU)));
        if (below(&state, 2)) OK(elman_add_dropout(network, 0.1f));
    }
    if (below(&state, 2)) OK(elman_add_dense(network, 1 + below(&state, MOST), ELMAN_LINEAR));
    OK(elman_set_output(network, (uint32_t)(below(&state, 2) ? ELMAN_OUTPUT_ALL : ELMAN_OUTPUT_LAST)));
    OK(elman_set_threads(network, 1 + below(&state, 3)));
    OK(elman_set_parallel_threshold(network, 0));
    OK(elman_initialize(network, ELMAN_INIT_PYTORCH, 1.0f, seed));
    OK(elman_adam_create(0.001, 0.9, 0.999, 1e-8, 0.0, &optimizer));

    const size_t width = elman_output_size(network);
    const size_t outputs = batch * (elman_output(network) == ELMAN_OUTPUT_ALL ? steps : 1) * width;
    float *x = floats(batch * steps * input), *y = floats(outputs), *streamed = floats(width);
    for (size_t i = 0; i < batch * steps * input; i++) x[i] = (float)below(&state, 200) / 100.0f - 1.0f;
    for (size_t update = 0; update < UPDATES; update++) {
        OK(elman_forward(network, x, batch, steps, NULL, NULL, y, NULL));
        OK(elman_backward(network, y, NULL, NULL, NULL));
        OK(elman_update(network, optimizer));
    }
    OK(elman_save(network, path));
    OK(elman_load(path, &loaded));
    OK(elman_predict(loaded, x, batch, steps, NULL, NULL, y, NULL));
    OK(elman_session_create(loaded, &session));
    for (size_t step = 0; step < steps; step++) OK(elman_session_step(session, x + step * input, streamed));
    SAME(streamed, y + (elman_output(network) == ELMAN_OUTPUT_ALL ? (steps - 1) * width : 0), width);

    uint64_t digest = 0;
    for (size_t i = 0; i < outputs; i++) {
        uint32_t bits;
        memcpy(&bits, &y[i], sizeof bits);
        digest = (digest ^ bits) * 0x100000001b3u;
    }
    elman_session_destroy(session);
    elman_destroy(loaded);
    elman_destroy(network);
    elman_optimizer_destroy(optimizer);
    free(x);
    free(y);
    free(streamed);
    return digest;
}

/* Bytes of the process that are in memory. */
static size_t resident(void) {
    size_t pages, in_memory;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file != NULL && fscanf(file, "%zu %zu", &pages, &in_memory) == 2);
    fclose(file);
    return in_memory * (size_t)sysconf(_SC_PAGESIZE);
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    const time_t end = time(NULL) + atol(arguments[1]);
    char path[] = "soak-XXXXXX";
    const int file = mkstemp(path);
    CHECK(file >= 0 && close(file) == 0);
    uint64_t digests[SHAPES];
    size_t lives = 0, settled = 0, most = 0;
    for (size_t round = 0; round < 4 || time(NULL) < end; round++) {
        for (uint32_t shape = 0; shape < SHAPES; shape++, lives++) {
            const uint64_t digest = live(shape, path);
            if (round == 0) digests[shape] = digest;
            CHECK(digest == digests[shape]);
        }
        /* After two rounds the allocator has what it needs. */
        const size_t now = resident();
        if (round < 2) settled = now > settled ? now : settled;
        if (now > most) most = now;
    }
    fprintf(stderr, "%zu networks, %zu KiB resident after two rounds, %zu at most\n", lives, settled / 1024, most / 1024);
    CHECK(most < settled + (4u << 20));
    CHECK(unlink(path) == 0);
    puts("ok");
    return 0;
}
