/* An amp model in an audio callback, swapped for another one while it plays.
 *
 * The models are files of Neural Amp Modeler, AIDA-X, GuitarML or RTNeural: elman_import() tells them apart. What must not wait is
 * callback(), which a host calls for every block of samples: it runs a session, and neither allocates nor locks. A second thread
 * loads the other model and makes its session, then leaves it in `next`. The callback takes it from there, lets both play while
 * one fades into the other, and leaves the old one in `retired`, to be destroyed elsewhere.
 *
 *     amp FIRST SECOND
 */
#include <elman.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CHECK(call)                                                                                                    \
    do {                                                                                                               \
        const elman_status status = (call);                                                                            \
        if (status != ELMAN_OK) {                                                                                      \
            fprintf(stderr, "%s: %s\n", elman_status_string(status), elman_last_error());                              \
            exit(EXIT_FAILURE);                                                                                        \
        }                                                                                                              \
    } while (0)

enum { RATE = 48000, BLOCK = 64, FADE = 32 * BLOCK, MOST_BLOCKS = 60 * RATE / BLOCK };

/* What the threads hand over. */
static _Atomic(elman_session *) next, retired;

/* The callback's own. */
static elman_session *current, *coming;
static size_t faded;

/* A session of the model in a file, which does not need its network any more. */
static elman_session *session_of(const char *path) {
    elman_network *network;
    CHECK(elman_import(path, NULL, &network));
    if (elman_input_size(network) != 1 || elman_output_size(network) != 1) {
        fprintf(stderr, "%s: %zu inputs and %zu outputs, expected one of each\n", path, elman_input_size(network),
                elman_output_size(network));
        exit(EXIT_FAILURE);
    }
    elman_session *session;
    CHECK(elman_session_create(network, &session));
    elman_destroy(network);
    return session;
}

static void *load(void *path) {
    atomic_store(&next, session_of(path));
    return NULL;
}

/* Plays a block. No status can be another than ELMAN_OK here: the sizes have been looked at. */
static void callback(const float *in, float *out) {
    if (coming == NULL) {
        coming = atomic_exchange(&next, NULL);
        faded = 0;
    }
    elman_session_run(current, in, BLOCK, out);
    if (coming == NULL) return;
    float other[BLOCK];
    elman_session_run(coming, in, BLOCK, other);
    for (size_t i = 0; i < BLOCK; i++) {
        const float part = (float)(faded + i + 1) / FADE;
        out[i] += part * (other[i] - out[i]);
    }
    faded += BLOCK;
    if (faded == FADE) {
        atomic_store(&retired, current);
        current = coming;
        coming = NULL;
    }
}

/* A string that is plucked twice a second. */
static void play(size_t block, float *x) {
    for (size_t i = 0; i < BLOCK; i++) {
        const double t = (double)((block * BLOCK + i) % (RATE / 2)) / RATE;
        x[i] = (float)(0.5 * exp(-4.0 * t) * (sin(691.0 * t) + 0.4 * sin(1382.0 * t)));
    }
}

static double now(void) {
    struct timespec time;
    timespec_get(&time, TIME_UTC);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: %s FIRST SECOND, two models\n", arguments[0]);
        return EXIT_FAILURE;
    }
    current = session_of(arguments[1]);
    pthread_t loader;
    size_t swapped = 0, block = 0;
    double total = 0.0, longest = 0.0;
    float before = 0.0f, jump[2] = {0.0f, 0.0f};
    /* A second of the first model, the swap, and a second of the other one. */
    for (; block < MOST_BLOCKS && (swapped == 0 || block < swapped + RATE / BLOCK); block++) {
        if (block == RATE / BLOCK && pthread_create(&loader, NULL, load, arguments[2]) != 0) return EXIT_FAILURE;
        float x[BLOCK], y[BLOCK];
        play(block, x);
        const double start = now();
        callback(x, y);
        const double time = now() - start;
        total += time;
        longest = fmax(longest, time);
        for (size_t i = 0; i < BLOCK; i++) {
            float *const most = &jump[coming != NULL];
            *most = fmaxf(*most, fabsf(y[i] - before));
            before = y[i];
        }
        elman_session *const old = atomic_exchange(&retired, NULL);
        if (old != NULL) {
            elman_session_destroy(old);
            swapped = block;
        }
    }
    if (swapped == 0) {
        fprintf(stderr, "the second model did not come\n");
        return EXIT_FAILURE;
    }
    pthread_join(loader, NULL);
    const double samples = (double)(block * BLOCK);
    printf("%.1f s of sound: %.0f ns a sample, %.2f %% of its duration; the longest block %.1f %%\n", samples / RATE,
           total / samples, total / samples * RATE / 1e7, longest / BLOCK * RATE / 1e7);
    printf("swapped after %.2f s; the largest step from sample to sample is %.4f while one fades into the other, "
           "%.4f before and after\n",
           (double)(swapped * BLOCK) / RATE, jump[1], jump[0]);
    elman_session_destroy(current);
    return EXIT_SUCCESS;
}
