/* How long does one step of a stream take: usually, and at worst?
 *
 * Measures every single step of two networks, and the clock itself: what an empty measurement shows is the work of the
 * machine (interrupts, other programs), not that of the library.
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
    printf("%-12s %7zu %7zu %7zu %7zu %9llu\n", name, quantile(total, 0.5), quantile(total, 0.99),
           quantile(total, 0.999), quantile(total, 0.9999), (unsigned long long)longest);
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

int main(int argc, char **argv) {
    const size_t steps = argc > 1 ? (size_t)strtoull(argv[1], NULL, 10) : 10000000;
    printf("elman %s, %s, %zu steps, nanoseconds\n", elman_version(), elman_tier(), steps);
    printf("%-12s %7s %7s %7s %7s %9s\n", "", "median", "99 %", "99.9 %", "99.99 %", "maximum");
    print("no step", steps, measure(NULL, 0, NULL, NULL, steps));
    measure_network(1, 16, steps);
    measure_network(64, 128, steps);
    return 0;
}
