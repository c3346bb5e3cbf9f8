/* A denoiser's ONNX network on recordings: all of their frames at once, and block by block as they come.
 *
 * Such networks take the magnitudes of a short-time Fourier transform, frame after frame, and give a mask to multiply them by.
 * elman_import() reads their files; states that go in and out of the graph are elman's business: elman_predict() starts a batch of
 * recordings anew, a session carries its state from block to block. Both give the same bits.
 *
 *     denoiser NETWORK
 */
#include <elman.h>
#include <math.h>
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

enum { RECORDINGS = 8, FRAMES = 400, BLOCK = 8 };

/* Uniform from 0 to 1. */
static float drawn(void) {
    static unsigned state = 1;
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / (float)(1u << 24);
}

static double now(void) {
    struct timespec time;
    timespec_get(&time, TIME_UTC);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

/* A voice that speaks every other ten frames, its pitch and harmonics, and noise. */
static void record(size_t bins, float *clean, float *noisy) {
    for (size_t recording = 0; recording < RECORDINGS; recording++) {
        const size_t pitch = 3 + recording % 4;
        for (size_t frame = 0; frame < FRAMES; frame++) {
            for (size_t k = 0; k < bins; k++, clean++, noisy++) {
                const int is_spoken = (frame / 10 + recording) % 2 == 0 && k % pitch == 0;
                *clean = is_spoken ? 1.0f / (1.0f + 0.05f * (float)k) : 0.0f;
                *noisy = *clean + 0.5f * drawn();
            }
        }
    }
}

/* The root of the mean square of what differs. */
static double distance(const float *clean, const float *noisy, const float *mask, size_t count) {
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        const double difference = (mask == NULL ? 1.0f : mask[i]) * noisy[i] - clean[i];
        sum += difference * difference;
    }
    return sqrt(sum / (double)count);
}

static float *floats(size_t count) {
    float *const values = malloc(count * sizeof *values);
    if (values == NULL) exit(EXIT_FAILURE);
    return values;
}

int main(int count, char **arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: %s NETWORK, an ONNX file\n", arguments[0]);
        return EXIT_FAILURE;
    }
    elman_network *network;
    CHECK(elman_import(arguments[1], NULL, &network));
    const size_t bins = elman_input_size(network);
    if (elman_output_size(network) != bins) {
        fprintf(stderr, "%zu magnitudes in and a mask of %zu out\n", bins, elman_output_size(network));
        return EXIT_FAILURE;
    }
    const size_t frames = (size_t)RECORDINGS * FRAMES, size = frames * bins;
    float *const clean = floats(size), *const noisy = floats(size), *const mask = floats(size), *const other = floats(size);
    record(bins, clean, noisy);

    double start = now();
    CHECK(elman_predict(network, noisy, RECORDINGS, FRAMES, NULL, NULL, mask, NULL));
    const double together = (now() - start) / (double)frames;

    elman_session *session;
    CHECK(elman_session_create(network, &session));
    start = now();
    for (size_t recording = 0; recording < RECORDINGS; recording++) {
        CHECK(elman_session_reset(session));
        for (size_t frame = 0; frame < FRAMES; frame += BLOCK) {
            const size_t first = (recording * FRAMES + frame) * bins;
            CHECK(elman_session_run(session, noisy + first, BLOCK, other + first));
        }
    }
    const double apart = (now() - start) / (double)frames;

    printf("%zu bins, %zu parameters\n", bins, elman_parameter_count(network));
    printf("a frame takes %.2f us in a batch of %d recordings, %.2f us in blocks of %d\n", together, RECORDINGS, apart,
           BLOCK);
    printf("away from the clean magnitudes: %.4f before, %.4f behind\n", distance(clean, noisy, NULL, size),
           distance(clean, noisy, mask, size));
    const int is_same = memcmp(mask, other, size * sizeof *mask) == 0;
    printf("the masks of both ways %s\n", is_same ? "have the same bits" : "differ");
    elman_session_destroy(session);
    elman_destroy(network);
    free(clean);
    free(noisy);
    free(mask);
    free(other);
    return is_same ? EXIT_SUCCESS : EXIT_FAILURE;
}
