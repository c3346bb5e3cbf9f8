/* How long does one step of a stream take: usually, and at worst?
 *
 * Measures every single step of two networks, and the clock itself: what an empty measurement shows is the work of the
 * machine (interrupts, other programs), not that of the library. Then what a step of small networks
 * with a dense unit takes at best, step by step and in blocks, also in units of the latency of a multiply-add, so that processors
 * can be compared.
 *
 *     latency [steps, by default 10000000]
 */
#define _POSIX_C_SOURCE 199309L
#include <elman.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHECK(call)                                                                                                    \
    do {                                                                                                               \
        const elman_status status = (call);                                                                            \
        if (status != ELMAN_OK) {                                                                                      \
            fprintf(stderr, "%s: %s\n", elman_status_string(status), elman_last_error());                              \
            exit(EXIT_FAILURE);                                                                                        \
        }                                                                                                              \
    } while (0)

/* Steps of the warm-up, and different inputs: a power of two. */
enum { WARM_UP = 100000, INPUTS = 1024 };

/* Measurements of each number of nanoseconds; those beyond the end count as the last one. */
enum { MOST = 1 << 20 };
static uint32_t counts[MOST];

static uint64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The time below or at which `part` of all measurements lie. */
static size_t quantile(size_t total, double part) {
    size_t sum = 0, time = 0;
    for (; time < MOST; time++) {
        sum += counts[time];
        if ((double)sum >= part * (double)total) break;
    }
    return time;
}

static void print(const char *name, size_t total, uint64_t longest) {
    printf("%-12s %7zu %7zu %7zu %7zu %10zu %9llu\n", name, quantile(total, 0.5), quantile(total, 0.99),
           quantile(total, 0.999), quantile(total, 0.9999), quantile(total, 0.999999), (unsigned long long)longest);
}

static void print_histogram(size_t total) {
    for (size_t low = 1; low < MOST; low *= 2) {
        size_t sum = low == 1 ? counts[0] : 0;
        for (size_t time = low; time < 2 * low; time++) sum += counts[time];
        if (sum == 0) continue;
        printf("    %7zu to %7zu ns  %10zu  %8.4f %%%s\n", low, 2 * low - 1, sum, 100.0 * (double)sum / (double)total,
               2 * low == MOST ? " (or longer)" : "");
    }
}

/* Measures `steps` steps of a session, or of nothing. Returns the longest time. */
static uint64_t measure(elman_session *session, size_t input, const float *x, float *y, size_t steps) {
    uint64_t longest = 0;
    for (size_t step = 0; step < WARM_UP + steps; step++) {
        if (step == WARM_UP) memset(counts, 0, sizeof counts), longest = 0;
        const float *next = x + step % INPUTS * input;
        const uint64_t start = nanoseconds();
        if (session != NULL) CHECK(elman_session_step(session, next, y));
        const uint64_t time = nanoseconds() - start;
        counts[time < MOST ? time : MOST - 1]++;
        if (time > longest) longest = time;
    }
    return longest;
}

static void measure_network(size_t input, size_t units, size_t steps) {
    float *x = (float *)malloc(INPUTS * input * sizeof *x), *y = (float *)malloc(units * sizeof *y);
    if (x == NULL || y == NULL) exit(EXIT_FAILURE);
    for (size_t i = 0; i < INPUTS * input; i++) x[i] = (float)(i * 7919 % 1000) / 500.0f - 1.0f;
    elman_network *network;
    elman_session *session;
    CHECK(elman_create(input, &network));
    CHECK(elman_add_rnn(network, units, ELMAN_TANH));
    CHECK(elman_initialize(network, ELMAN_INIT_PYTORCH, 1.0f, 1));
    CHECK(elman_session_create(network, &session));

    char name[40];
    snprintf(name, sizeof name, "I %zu, H %zu", input, units);
    print(name, steps, measure(session, input, x, y, steps));
    print_histogram(steps);
    elman_session_destroy(session);
    elman_destroy(network);
    free(x), free(y);
}

/* A chain of multiply-adds, each of which waits for the one before. */
#if defined(__GNUC__) && defined(__x86_64__)
__attribute__((target("fma"))) static float chain(float x, size_t links) {
    for (; links > 0; links--) x = __builtin_fmaf(x, 0.5f, 1.0f);
    return x;
}
static int has_chain(void) { return __builtin_cpu_supports("fma"); }
#elif defined(__GNUC__) && defined(__aarch64__)
static float chain(float x, size_t links) {
    for (; links > 0; links--) x = __builtin_fmaf(x, 0.5f, 1.0f);
    return x;
}
static int has_chain(void) { return 1; }
#else
static float chain(float x, size_t links) { return links > 0 ? x : 0.0f; }
static int has_chain(void) { return 0; }
#endif

enum { REPETITIONS = 50, LINKS = 20000, BLOCK = 64 };

/* Nanoseconds of a link of the chain; 0 where that is not to be had. */
static double multiply_add_latency(void) {
    if (!has_chain()) return 0.0;
    static volatile float x = 1.0f;
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < REPETITIONS; i++) {
        const uint64_t start = nanoseconds();
        x = chain(x, LINKS);
        const uint64_t time = nanoseconds() - start;
        if (time < best) best = time;
    }
    return (double)best / LINKS;
}

/* One layer, and a dense unit on it. */
static void measure_head(const char *cell, size_t units, size_t steps, double latency) {
    elman_network *network;
    elman_session *session;
    CHECK(elman_create(1, &network));
    if (strcmp(cell, "LSTM") == 0) CHECK(elman_add_lstm(network, units, NULL));
    else if (strcmp(cell, "GRU") == 0) CHECK(elman_add_gru(network, units, NULL));
    else CHECK(elman_add_rnn(network, units, ELMAN_TANH));
    CHECK(elman_add_dense(network, 1, ELMAN_LINEAR));
    CHECK(elman_initialize(network, ELMAN_INIT_PYTORCH, 1.0f, 1));
    CHECK(elman_session_create(network, &session));

    float x[BLOCK], y[BLOCK];
    for (size_t i = 0; i < BLOCK; i++) x[i] = (float)(i * 7919 % 1000) / 500.0f - 1.0f;
    const size_t blocks = steps / REPETITIONS / BLOCK + 1;
    uint64_t single = UINT64_MAX, block = UINT64_MAX;
    for (int i = 0; i < REPETITIONS; i++) {
        uint64_t start = nanoseconds();
        for (size_t step = 0; step < blocks * BLOCK; step++) {
            CHECK(elman_session_step(session, x + step % BLOCK, y + step % BLOCK));
        }
        uint64_t time = nanoseconds() - start;
        if (time < single) single = time;
        start = nanoseconds();
        for (size_t step = 0; step < blocks; step++) CHECK(elman_session_run(session, x, BLOCK, y));
        time = nanoseconds() - start;
        if (time < block) block = time;
    }
    const double one = (double)single / (double)(blocks * BLOCK), many = (double)block / (double)(blocks * BLOCK);
    printf("%-4s %3zu %9.1f %9.1f", cell, units, one, many);
    if (latency > 0.0) printf(" %9.0f %9.0f", one / latency, many / latency);
    printf("\n");
    elman_session_destroy(session);
    elman_destroy(network);
}

int main(int argc, char **argv) {
    const size_t steps = argc > 1 ? (size_t)strtoull(argv[1], NULL, 10) : 10000000;
    printf("elman %s, %s, %zu steps, nanoseconds\n", elman_version(), elman_tier(), steps);
    printf("%-12s %7s %7s %7s %7s %10s %9s\n", "", "median", "99 %", "99.9 %", "99.99 %", "99.9999 %", "maximum");
    print("no step", steps, measure(NULL, 0, NULL, NULL, steps));
    measure_network(1, 16, steps);
    measure_network(64, 128, steps);

    const double latency = multiply_add_latency();
    printf("\nI 1, with a dense unit: a step at best, and of blocks of %d; the same over the latency of a multiply-add", BLOCK);
    if (latency > 0.0) printf(" (%.2f ns)", latency);
    printf("\n%8s %9s %9s %9s %9s\n", "", "step ns", "block ns", "step", "block");
    static const size_t units[] = {16, 32, 40, 64};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) measure_head("LSTM", units[i], steps / 20, latency);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) measure_head("GRU", units[i], steps / 20, latency);
    measure_head("RNN", 16, steps / 20, latency);
    return 0;
}
