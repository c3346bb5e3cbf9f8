/* Every recurrent cell, trained, streamed, saved and copied: the same bits in all the ways that a sequence can be run. */
#include "check.h"

enum { INPUT = 3, BATCH = 9, STEPS = 12, X = BATCH * STEPS * INPUT, OUTPUT = 2, Y = BATCH * STEPS * OUTPUT, CELLS = 12 };

static const size_t lengths[BATCH] = {12, 7, 1, 12, 3, 9, 5, 2, 11};
static float x[X], targets[Y];

static elman_recurrent_options defaults(void) {
    elman_recurrent_options options;
    OK(elman_recurrent_options_init(&options, sizeof options));
    return options;
}

/* Adds a cell of a kind, in a direction. */
static void add_cell(elman_network *network, size_t kind, uint32_t direction) {
    elman_recurrent_options options = defaults();
    options.direction = direction;
    switch (kind) {
    case 0: OK(elman_add_recurrent(network, 6, ELMAN_TANH, &options)); break;
    case 1: OK(elman_add_gru(network, 6, &options)); break;
    case 2: OK(elman_add_lstm(network, 6, &options)); break;
    case 3:
        options.reset = ELMAN_RESET_BEFORE;
        options.merge = ELMAN_MERGE_SUM;
        OK(elman_add_gru(network, 6, &options));
        break;
    case 4:
        options.peepholes = 1;
        options.projection = 4;
        options.merge = ELMAN_MERGE_MEAN;
        OK(elman_add_lstm(network, 6, &options));
        break;
    case 5:
        options.coupled = 1;
        options.clip_sums = 2.0;
        options.clip_state = 1.0;
        options.last = ELMAN_LAST_STEP;
        OK(elman_add_lstm(network, 6, &options));
        break;
    case 6:
        options.initial_state = ELMAN_INITIAL_TRAINABLE;
        options.merge = ELMAN_MERGE_PRODUCT;
        OK(elman_add_lstm(network, 6, &options));
        break;
    case 7:
        options.initial_state = ELMAN_INITIAL_FIXED;
        options.bias = 0;
        OK(elman_add_gru(network, 6, &options));
        break;
    case 8:
        options.gates[0] = options.gates[1] = ELMAN_TANH;
        options.candidate[1] = ELMAN_SIGMOID;
        options.output[0] = ELMAN_LINEAR;
        options.forget_bias = 1.0;
        OK(elman_add_lstm(network, 6, &options));
        break;
    case 9:
        options.recurrent_dropout = 0.3;
        OK(elman_add_gru(network, 6, &options));
        break;
    case 10:
        options.zoneout = 0.2;
        options.zoneout_cell = 0.4;
        OK(elman_add_lstm(network, 6, &options));
        break;
    default:
        OK(elman_add_gru(network, 5, &options));
        OK(elman_add_dropout(network, 0.2f));
        OK(elman_add_lstm(network, 4, &options));
        break;
    }
}

/* Whether training is not what prediction is. */
static int draws(size_t kind) {
    return kind >= 9;
}

static elman_network *network_of(size_t kind, uint32_t direction, uint32_t output) {
    elman_network *network;
    OK(elman_create(INPUT, &network));
    OK(elman_set_seed(network, 3));
    add_cell(network, kind, direction);
    OK(elman_add_dense(network, OUTPUT, ELMAN_LINEAR));
    OK(elman_set_output(network, output));
    const size_t count = elman_parameter_count(network);
    float *parameters = floats(count);
    /* Initial states, too, are something. */
    OK(elman_get_parameters(network, parameters, count));
    for (size_t i = 0; i < count; i++) parameters[i] += 0.1f * sinf(1.7f * (float)i);
    OK(elman_set_parameters(network, parameters, count));
    free(parameters);
    return network;
}

/* A pass forward and backward on so many threads. The results lie one after the other. */
static float *pass(elman_network *network, size_t threads, size_t *count) {
    const size_t states = BATCH * elman_state_size(network), parameters = elman_parameter_count(network);
    *count = Y + states + X + states + parameters;
    float *results = floats(*count), *y = results, *end = y + Y, *dx = end + states, *dstart = dx + X;
    float *values;
    OK(elman_set_threads(network, threads));
    OK(elman_set_parallel_threshold(network, 0));
    OK(elman_set_seed(network, 3));
    OK(elman_forward(network, x, BATCH, STEPS, lengths, NULL, y, end));
    OK(elman_backward(network, y, end, dx, dstart));
    OK(elman_gradients(network, &values, NULL));
    memcpy(dstart + states, values, parameters * sizeof *values);
    OK(elman_clear_gradients(network));
    return results;
}

/* Threads change no bit, and without anything to draw training computes what prediction does. */
static void threads_and_passes(size_t kind, uint32_t direction) {
    elman_network *network = network_of(kind, direction, ELMAN_OUTPUT_ALL);
    size_t count;
    float *one = pass(network, 1, &count), *two = pass(network, 2, &count), *third = pass(network, 3, &count);
    SAME(one, two, count);
    SAME(one, third, count);
    const size_t states = BATCH * elman_state_size(network);
    float *y = floats(Y), *end = floats(states);
    for (size_t threads = 1; threads <= 2; threads++) {
        OK(elman_set_threads(network, threads));
        OK(elman_set_parallel_threshold(network, 0));
        OK(elman_predict(network, x, BATCH, STEPS, lengths, NULL, y, end));
        CHECK((memcmp(y, one, Y * sizeof *y) == 0) == !draws(kind));
        CHECK((memcmp(end, one + Y, states * sizeof *end) == 0) == !draws(kind));
    }

    double error;
    OK(elman_gradient_check(network, x, 2, STEPS, lengths, NULL, y, end, &error));
    CHECK(error < 1e-6);
    free(one), free(two), free(third), free(y), free(end);
    elman_destroy(network);
}

/* What training makes of it is the same in a copy, in a file, in the memory, and goes on alike. */
static void trained_and_saved(size_t kind, uint32_t direction) {
    elman_network *network = network_of(kind, direction, ELMAN_OUTPUT_ALL), *others[3];
    size_t steps = 0;
    for (size_t i = 0; i < BATCH; i++) steps += lengths[i];
    float *dense = floats(steps * INPUT), *values = floats(steps * OUTPUT);
    for (size_t i = 0, at = 0; i < BATCH; at += lengths[i], i++) {
        memcpy(dense + at * INPUT, x + i * STEPS * INPUT, lengths[i] * INPUT * sizeof *x);
        memcpy(values + at * OUTPUT, targets + i * STEPS * OUTPUT, lengths[i] * OUTPUT * sizeof *x);
    }
    elman_dataset *dataset;
    elman_optimizer *adam;
    elman_fit_options options;
    double before, after, again;
    OK(elman_dataset_create_values(INPUT, dense, lengths, BATCH, values, OUTPUT, 1, &dataset));
    OK(elman_adam_create(0.02, 0.9, 0.999, 1e-8, 0.0, &adam));
    OK(elman_fit_options_init(&options, sizeof options));
    options.loss = ELMAN_LOSS_MEAN_SQUARED_ERROR;
    options.batch_size = 4;
    options.clip = ELMAN_CLIP_NORM;
    options.truncate = direction == ELMAN_FORWARD ? 5 : 0;
    OK(elman_evaluate(network, dataset, &options, &before, NULL, NULL));
    OK(elman_fit(network, dataset, adam, &options));
    OK(elman_evaluate(network, dataset, &options, &after, NULL, NULL));
    CHECK(after < before);

    OK(elman_save(network, "cells.safetensors"));
    OK(elman_load("cells.safetensors", &others[0]));
    remove("cells.safetensors");
    size_t size;
    OK(elman_save_memory(network, NULL, 0, &size));
    unsigned char *bytes = malloc(size);
    OK(elman_save_memory(network, bytes, size, &size));
    OK(elman_load_memory(bytes, size, &others[1]));
    free(bytes);
    OK(elman_clone(network, &others[2]));
    size_t count;
    float *expected = pass(network, 1, &count);
    for (size_t i = 0; i < COUNT(others); i++) {
        float *found = pass(others[i], 2, &count);
        SAME(expected, found, count);
        elman_recurrent_options own, read;
        memset(&own, 0, sizeof own);
        memset(&read, 0, sizeof read);
        OK(elman_get_recurrent_options(network, 0, &own, sizeof own));
        OK(elman_get_recurrent_options(others[i], 0, &read, sizeof read));
        CHECK(memcmp(&own, &read, sizeof own) == 0);
        OK(elman_evaluate(others[i], dataset, &options, &again, NULL, NULL));
        CHECK(again == after);
        free(found);
        elman_destroy(others[i]);
    }
    free(expected), free(dense), free(values);
    elman_optimizer_destroy(adam);
    elman_dataset_destroy(dataset);
    elman_destroy(network);
}

/* Steps, blocks of steps and the whole give the same bits, from the network's own state and from a given one. */
static void streams(size_t kind) {
    elman_network *network = network_of(kind, ELMAN_FORWARD, ELMAN_OUTPUT_ALL);
    const size_t size = elman_state_size(network);
    float *y = floats(Y), *ends = floats(BATCH * size), *start = floats(size), *own = floats(size), *state = floats(size);
    float answers[STEPS * OUTPUT];
    elman_session *session;
    OK(elman_session_create(network, &session));
    OK(elman_session_get_state(session, own, size));
    for (size_t i = 0; i < size; i++) start[i] = cosf((float)i);
    for (size_t given = 0; given < 2; given++) {
        const float *from = given ? start : own;
        for (size_t i = 0; i < BATCH; i++) {
            const float *sequence = x + i * STEPS * INPUT;
            OK(elman_predict(network, sequence, 1, lengths[i], NULL, given ? start : NULL, y, ends));
            for (size_t block = 1; block <= STEPS; block += 5) {
                if (given) OK(elman_session_set_state(session, start, size));
                else OK(elman_session_reset(session));
                OK(elman_session_get_state(session, state, size));
                SAME(state, from, size);
                for (size_t step = 0; step < lengths[i]; step += block) {
                    const size_t steps = lengths[i] - step < block ? lengths[i] - step : block;
                    if (block == 1) OK(elman_session_step(session, sequence + step * INPUT, answers + step * OUTPUT));
                    else OK(elman_session_run(session, sequence + step * INPUT, steps, answers + step * OUTPUT));
                }
                SAME(answers, y, lengths[i] * OUTPUT);
                OK(elman_session_get_state(session, state, size));
                SAME(state, ends, size);
            }
        }
    }
    free(y), free(ends), free(start), free(own), free(state);
    elman_session_destroy(session);
    elman_destroy(network);
}

/* Where the parameters of an LSTM lie: after a change of one of them the formulas of the header give the output. */
static void formulas(void) {
    enum { GATES = 4, PARAMETERS = GATES + GATES + GATES };
    const float w[PARAMETERS] = {0.1f, -0.2f, 0.3f, 0.4f, 0.5f, -0.6f, 0.7f, 0.8f, -0.9f, 1.0f, 0.2f, 0.4f};
    const float in[2] = {0.5f, -1.5f};
    elman_network *network;
    OK(elman_create(1, &network));
    OK(elman_add_lstm(network, 1, NULL));
    OK(elman_set_parameters(network, w, PARAMETERS));
    double h = 0.25, c = -0.5;
    const float start[2] = {0.25f, -0.5f};
    for (size_t t = 0; t < 2; t++) {
        double a[GATES];
        for (size_t g = 0; g < GATES; g++) a[g] = (double)in[t] * w[g] + h * w[GATES + g] + w[2 * GATES + g];
        c = c / (1 + exp(-a[1])) + tanh(a[2]) / (1 + exp(-a[0]));
        h = tanh(c) / (1 + exp(-a[3]));
    }
    float y, end[2];
    OK(elman_predict(network, in, 1, 2, NULL, start, &y, end));
    CHECK(fabs(y - h) < 1e-6 && y == end[0] && fabs(end[1] - c) < 1e-6);
    elman_destroy(network);
}

/* The biases of the forget gate are what was asked for, whatever draws the others. */
static void forget_bias(void) {
    elman_recurrent_options options = defaults();
    elman_network *network;
    elman_tensor_info bias;
    float parameters[2 * (8 + 16 + 8)];
    options.direction = ELMAN_BIDIRECTIONAL;
    options.forget_bias = 1.0;
    OK(elman_create(1, &network));
    OK(elman_add_lstm(network, 2, &options));
    CHECK(elman_parameter_count(network) == COUNT(parameters));
    for (size_t drawn = 0; drawn < 2; drawn++) {
        if (drawn) OK(elman_initialize(network, ELMAN_INIT_GLOROT_UNIFORM, 1.0f, 4));
        OK(elman_get_parameters(network, parameters, COUNT(parameters)));
        for (size_t tensor = 2; tensor < 6; tensor += 3) {
            OK(elman_get_tensor_info(network, 0, tensor, &bias, sizeof bias));
            CHECK(strcmp(bias.name, "b") == 0 && bias.columns == 8);
            for (size_t i = 0; i < 8; i++) {
                const float value = parameters[bias.parameter_offset + i];
                CHECK((value == 1.0f) == (i / 2 == 1));
                CHECK(i / 2 == 1 || (value == 0.0f) == (drawn == 1));
            }
        }
    }
    elman_destroy(network);
}

/* What the last output of a reverse direction is. */
static void last_outputs(void) {
    for (uint32_t last = ELMAN_LAST_STATE; last <= ELMAN_LAST_STEP; last++) {
        elman_recurrent_options options = defaults();
        elman_network *network;
        options.direction = ELMAN_BIDIRECTIONAL;
        options.last = last;
        OK(elman_create(INPUT, &network));
        OK(elman_add_gru(network, 2, &options));
        float all[BATCH * STEPS * 4], one[BATCH * 4];
        OK(elman_predict(network, x, BATCH, STEPS, lengths, NULL, one, NULL));
        OK(elman_set_output(network, ELMAN_OUTPUT_ALL));
        OK(elman_predict(network, x, BATCH, STEPS, lengths, NULL, all, NULL));
        for (size_t i = 0; i < BATCH; i++) {
            const float *sequence = all + i * STEPS * 4, *end = sequence + (lengths[i] - 1) * 4;
            SAME(one + i * 4, end, 2);
            SAME(one + i * 4 + 2, (last == ELMAN_LAST_STATE ? sequence : end) + 2, 2);
        }
        elman_destroy(network);
    }
}

int main(void) {
    for (size_t i = 0; i < X; i++) x[i] = sinf(0.7f * (float)i) + 0.3f * cosf(2.1f * (float)i);
    for (size_t i = 0; i < Y; i++) targets[i] = sinf(0.31f * (float)(i / OUTPUT)) * (i % 2 ? 1.0f : 0.5f);
    for (size_t kind = 0; kind < CELLS; kind++) {
        for (uint32_t direction = ELMAN_FORWARD; direction <= ELMAN_BIDIRECTIONAL; direction++) {
            threads_and_passes(kind, direction);
            trained_and_saved(kind, direction);
        }
        streams(kind);
    }
    formulas();
    forget_bias();
    last_outputs();
    puts("ok");
    return 0;
}
