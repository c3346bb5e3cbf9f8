/* How much power will be needed? Forecasts the next 24 hours of an hourly series, hour by hour, from what it has forecast.
 *
 * The series is made up: a daily and a weekly rhythm, and noise that fades slowly. The network learns to tell the next hour
 * from those before. A session then follows the series; for each forecast a copy of it goes on by itself and feeds its own
 * output y back as the next input. Beside its error stands that of the simplest forecast: as yesterday.
 *
 *     forecast [seed]
 */
#include <elman.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(call)                                                                                                    \
    do {                                                                                                               \
        const elman_status status = (call);                                                                            \
        if (status != ELMAN_OK) {                                                                                      \
            fprintf(stderr, "%s: %s\n", elman_status_string(status), elman_last_error());                              \
            exit(EXIT_FAILURE);                                                                                        \
        }                                                                                                              \
    } while (0)

enum { DAY = 24, WEEK = 7 * DAY, HOURS = 40 * WEEK, TRAINED = 32 * WEEK, AHEAD = DAY };
enum { INPUTS = 4, UNITS = 24, EPOCHS = 60 };

static const double turn = 6.283185307179586;
static float power[HOURS];

/* xorshift64* (Vigna 2016): a number in [-1, 1]. */
static double draw(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (double)((*state * 2685821657736338717u) >> 11) / 4503599627370496.0 - 1.0;
}

static int is_weekend(size_t hour) {
    return hour % WEEK >= 5 * DAY;
}

static void make_series(uint64_t seed) {
    double weather = 0.0;
    for (size_t hour = 0; hour < HOURS; hour++) {
        const double day = turn * (double)(hour % DAY) / DAY;
        weather = 0.95 * weather + 0.08 * draw(&seed);
        power[hour] = (float)(1.0 - 0.5 * cos(day) - 0.2 * cos(2.0 * day) - (is_weekend(hour) ? 0.4 : 0.0) + weather);
    }
}

/* What the network gets: the power of an hour, and what the calendar says of the next one. */
static void step_of(size_t hour, float now, float *x) {
    const double day = turn * (double)((hour + 1) % DAY) / DAY;
    x[0] = now;
    x[1] = (float)sin(day);
    x[2] = (float)cos(day);
    x[3] = (float)is_weekend(hour + 1);
}

static elman_network *train(uint64_t seed) {
    enum { WEEKS = TRAINED / WEEK - 1 };
    static float x[WEEKS * WEEK * INPUTS], next[WEEKS * WEEK];
    static size_t lengths[WEEKS];
    for (size_t hour = 0; hour < WEEKS * WEEK; hour++) {
        step_of(hour, power[hour], x + hour * INPUTS);
        next[hour] = power[hour + 1];
        lengths[hour / WEEK] = WEEK;
    }
    elman_dataset *weeks;
    CHECK(elman_dataset_create_values(INPUTS, x, lengths, WEEKS, next, 1, 1, &weeks));

    elman_network *network;
    CHECK(elman_create(INPUTS, &network));
    CHECK(elman_set_seed(network, seed));
    CHECK(elman_add_gru(network, UNITS, NULL));
    CHECK(elman_add_dense(network, 1, ELMAN_LINEAR));
    CHECK(elman_set_output(network, ELMAN_OUTPUT_ALL));
    CHECK(elman_standardize(network, weeks));

    elman_optimizer *adam;
    elman_fit_options options;
    CHECK(elman_adam_create(0.005, 0.9, 0.999, 1e-8, 0.0, &adam));
    CHECK(elman_fit_options_init(&options, sizeof options));
    options.loss = ELMAN_LOSS_MEAN_SQUARED_ERROR;
    options.epochs = EPOCHS;
    options.batch_size = 4;
    options.seed = seed;
    options.clip = ELMAN_CLIP_NORM;
    CHECK(elman_fit(network, weeks, adam, &options));
    double loss;
    CHECK(elman_evaluate(network, weeks, &options, &loss, NULL, NULL));
    printf("trained on %d weeks: one hour ahead it is off by %.3f\n", WEEKS, sqrt(loss));
    elman_optimizer_destroy(adam);
    elman_dataset_destroy(weeks);
    return network;
}

/* The forecast of the hours after `hour`, by a copy of a session that has seen all before: `y` [AHEAD]. */
static void forecast(const elman_session *session, size_t hour, float *y) {
    elman_session *copy;
    float x[INPUTS], now = power[hour];
    CHECK(elman_session_clone(session, &copy));
    for (size_t ahead = 0; ahead < AHEAD; ahead++) {
        step_of(hour + ahead, now, x);
        CHECK(elman_session_step(copy, x, &now));
        y[ahead] = now;
    }
    elman_session_destroy(copy);
}

int main(int argc, char **argv) {
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    make_series(2 * seed + 1);
    elman_network *network = train(seed);

    elman_session *session;
    CHECK(elman_session_create(network, &session));
    double error[AHEAD] = {0}, naive[AHEAD] = {0}, mean[2] = {0};
    size_t forecasts = 0;
    float x[INPUTS], y[AHEAD];
    for (size_t hour = TRAINED; hour + AHEAD < HOURS; hour++) {
        if (hour >= TRAINED + WEEK && hour % DAY == 6) {
            forecast(session, hour, y);
            for (size_t ahead = 0; ahead < AHEAD; ahead++) {
                const float truth = power[hour + 1 + ahead];
                error[ahead] += fabs((double)(y[ahead] - truth));
                naive[ahead] += fabs((double)(power[hour + 1 + ahead - DAY] - truth));
            }
            forecasts++;
        }
        step_of(hour, power[hour], x);
        CHECK(elman_session_step(session, x, y));
    }
    printf("%zu forecasts in the weeks after, mean error\n    hours ahead  network  as yesterday\n", forecasts);
    for (size_t ahead = 0; ahead < AHEAD; ahead++) {
        mean[0] += error[ahead] / (double)(forecasts * AHEAD);
        mean[1] += naive[ahead] / (double)(forecasts * AHEAD);
        if (ahead == 0 || ahead % 6 == 5)
            printf("    %11zu  %7.3f  %12.3f\n", ahead + 1, error[ahead] / (double)forecasts,
                   naive[ahead] / (double)forecasts);
    }
    printf("all 24 hours: %.3f by the network, %.3f as yesterday\n", mean[0], mean[1]);
    elman_session_destroy(session);
    elman_destroy(network);
    return mean[0] < mean[1] ? EXIT_SUCCESS : EXIT_FAILURE;
}
