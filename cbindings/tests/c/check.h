/* Checks of the C tests: the first one that fails ends the program. */
#ifndef CHECK_H
#define CHECK_H

#include <elman.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\nlast error: %s\n", __FILE__, __LINE__, #condition, elman_last_error());        \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

/* A call that must succeed. */
#define OK(call) CHECK((call) == ELMAN_OK)

/* Whether two buffers hold the same bits. */
#define SAME(left, right, count) CHECK(memcmp(left, right, (count) * sizeof *(left)) == 0)

/* Whether `count` numbers are as expected, relative to those above 1. Where NAN is expected anything will do. */
static inline void close_to(const char *what, const float *actual, const float *expected, size_t count,
                            double tolerance) {
    for (size_t i = 0; i < count; i++) {
        const double size = fmax(1.0, fabs((double)expected[i]));
        if (!isnan(expected[i]) && !(fabs((double)actual[i] - (double)expected[i]) <= tolerance * size)) {
            fprintf(stderr, "%s[%zu] is %.9g, expected %.9g\n", what, i, (double)actual[i], (double)expected[i]);
            exit(1);
        }
    }
}

/* Room for `count` numbers, all NAN. */
static inline float *floats(size_t count) {
    float *buffer = (float *)malloc(count * sizeof *buffer + 1);
    CHECK(buffer != NULL);
    for (size_t i = 0; i < count; i++) buffer[i] = NAN;
    return buffer;
}

#define COUNT(array) (sizeof(array) / sizeof *(array))

#endif
