/* Wrong input to every function: each call gives its status and a message that names the argument, what it was and what
   was expected, writes nothing, and leaves its objects as they were. */
#include "check.h"

#define HUGE_SIZE ((size_t)1 << 62)

static elman_network *network;
static elman_optimizer *optimizer;
static elman_dataset *dataset;
static elman_session *session;

static const float x[12] = {0.1f, -0.2f, 0.3f, 0.4f, -0.5f, 0.6f, 0.7f, 0.8f, -0.9f, 1.0f, 0.2f, 0.4f};
static const size_t lengths[2] = {3, 2}, labels[2] = {1, 0};
static float parameters_before[64], gradients_before[64], y_before[4], state_before[3];
static size_t count;

static void snapshot(float *parameters, float *gradients, float *y, float *state) {
    float *own;
    OK(elman_get_parameters(network, parameters, count));
    OK(elman_gradients(network, &own, NULL));
    memcpy(gradients, own, count * sizeof *own);
    OK(elman_predict(network, x, 2, 3, lengths, NULL, y, NULL));
    OK(elman_session_get_state(session, state, 3));
}

static void unchanged(void) {
    float parameters[64], gradients[64], y[4], state[3];
    snapshot(parameters, gradients, y, state);
    SAME(parameters, parameters_before, count);
    SAME(gradients, gradients_before, count);
    SAME(y, y_before, 4);
    SAME(state, state_before, 3);
    CHECK(elman_input_size(network) == 2 && elman_output_size(network) == 2 && elman_state_size(network) == 3);
    CHECK(elman_output(network) == ELMAN_OUTPUT_LAST && elman_threads(network) == 1);
    CHECK(elman_optimizer_get_learning_rate(optimizer) == 0.5);
}

static void fails(int line, elman_status actual, elman_status expected, const char *message) {
    if (actual != expected || strcmp(elman_last_error(), message) != 0) {
        fprintf(stderr, "%s:%d: status %d, expected %d\n  \"%s\", expected\n  \"%s\"\n", __FILE__, line, (int)actual,
                (int)expected, elman_last_error(), message);
        exit(1);
    }
    unchanged();
}

#define FAILS(call, status, message) fails(__LINE__, call, ELMAN_ERROR_##status, message)

/* A pointer that is no multiple of 4, and calls that get it as the argument `name`. */
static float *misaligned(void) {
    static float aligned[8];
    return (float *)(void *)((char *)aligned + 1);
}

#define MISALIGNED(call, name)                                                                                         \
    do {                                                                                                               \
        char message[100];                                                                                             \
        const void *at = misaligned();                                                                                 \
        snprintf(message, sizeof message, "%s is at address %p, expected a multiple of 4", name, at);                  \
        FAILS(call, ALIGNMENT, message);                                                                               \
    } while (0)

static elman_recurrent_options recurrent_options(void) {
    elman_recurrent_options options;
    OK(elman_recurrent_options_init(&options, sizeof options));
    return options;
}

/* Options of which one field is wrong. */
#define WRONG_OPTION(add, field, value, status, message)                                                               \
    do {                                                                                                               \
        elman_recurrent_options options = recurrent_options();                                                         \
        options.field = value;                                                                                         \
        FAILS(add(network, 2, &options), status, message);                                                             \
    } while (0)

static void recurrent_layers(void) {
    char text[200];
    elman_recurrent_options options = {0};
    snprintf(text, sizeof text, "size is 0, expected %zu, as in the header of this version", sizeof options);
    FAILS(elman_recurrent_options_init(&options, 0), MISMATCH, text);
    FAILS(elman_recurrent_options_init(NULL, sizeof options), NULL, "options is NULL");
    snprintf(text, sizeof text, "the size field of options is 0, expected %zu, as in the header of this version",
             sizeof options);
    FAILS(elman_add_gru(network, 2, &options), MISMATCH, text);
    FAILS(elman_add_lstm(network, 2, &options), MISMATCH, text);
    FAILS(elman_add_recurrent(network, 2, ELMAN_TANH, &options), MISMATCH, text);
    options = recurrent_options();
    FAILS(elman_add_recurrent(NULL, 2, ELMAN_TANH, &options), NULL, "network is NULL");
    FAILS(elman_add_recurrent(network, 0, ELMAN_TANH, &options), ZERO_SIZE, "units is 0, expected at least 1");
    FAILS(elman_add_recurrent(network, 2, 99, &options), UNKNOWN_CONSTANT,
          "activation is 99, which names nothing; known are ELMAN_TANH to ELMAN_THRESHOLDED_RELU (0 to 12)");
    FAILS(elman_add_gru(NULL, 2, NULL), NULL, "network is NULL");
    FAILS(elman_add_gru(network, 0, NULL), ZERO_SIZE, "units is 0, expected at least 1");
    FAILS(elman_add_gru(network, HUGE_SIZE, NULL), SIZE_OVERFLOW, "the size of the parameters of a layer overflows");
    FAILS(elman_add_lstm(NULL, 2, NULL), NULL, "network is NULL");
    FAILS(elman_add_lstm(network, 0, NULL), ZERO_SIZE, "units is 0, expected at least 1");
    FAILS(elman_add_lstm(network, SIZE_MAX, NULL), SIZE_OVERFLOW, "the size of the parameters of a layer overflows");

    WRONG_OPTION(elman_add_gru, direction, 3, UNKNOWN_CONSTANT,
                 "direction is 3, which names nothing; known are ELMAN_FORWARD, ELMAN_REVERSE and ELMAN_BIDIRECTIONAL "
                 "(0 to 2)");
    WRONG_OPTION(elman_add_gru, merge, 4, UNKNOWN_CONSTANT,
                 "merge is 4, which names nothing; known are the ELMAN_MERGE_ constants (0 to 3)");
    WRONG_OPTION(elman_add_gru, last, 2, UNKNOWN_CONSTANT,
                 "last is 2, which names nothing; known are ELMAN_LAST_STATE and ELMAN_LAST_STEP (0 and 1)");
    WRONG_OPTION(elman_add_gru, bias, 2, UNKNOWN_CONSTANT, "bias is 2, which names nothing; known are 0 and 1");
    WRONG_OPTION(elman_add_gru, reset, 2, UNKNOWN_CONSTANT,
                 "reset is 2, which names nothing; known are ELMAN_RESET_AFTER and ELMAN_RESET_BEFORE (0 and 1)");
    WRONG_OPTION(elman_add_gru, initial_state, 3, UNKNOWN_CONSTANT,
                 "initial_state is 3, which names nothing; known are the ELMAN_INITIAL_ constants (0 to 2)");
    WRONG_OPTION(elman_add_lstm, peepholes, 2, UNKNOWN_CONSTANT,
                 "peepholes is 2, which names nothing; known are 0 and 1");
    WRONG_OPTION(elman_add_lstm, coupled, UINT32_MAX, UNKNOWN_CONSTANT,
                 "coupled is 4294967295, which names nothing; known are 0 and 1");
    WRONG_OPTION(elman_add_lstm, gates[0], 99, UNKNOWN_CONSTANT,
                 "gates[0] is 99, which names nothing; known are ELMAN_TANH to ELMAN_THRESHOLDED_RELU (0 to 12)");
    WRONG_OPTION(elman_add_lstm, candidate[1], 99, UNKNOWN_CONSTANT,
                 "candidate[1] is 99, which names nothing; known are ELMAN_TANH to ELMAN_THRESHOLDED_RELU (0 to 12)");
    WRONG_OPTION(elman_add_lstm, output[1], 99, UNKNOWN_CONSTANT,
                 "output[1] is 99, which names nothing; known are ELMAN_TANH to ELMAN_THRESHOLDED_RELU (0 to 12)");
    options.gates[0] = options.candidate[1] = ELMAN_ELU;
    options.gates_alpha[0] = -1.0;
    FAILS(elman_add_gru(network, 2, &options), OUT_OF_RANGE,
          "gates_alpha[0] is -1, expected a finite f32 of at least 0");
    options.gates_alpha[0] = 1.0;
    options.candidate_alpha[1] = INFINITY;
    FAILS(elman_add_gru(network, 2, &options), OUT_OF_RANGE,
          "candidate_alpha[1] is inf, expected a finite f32 of at least 0");
    options = recurrent_options();
    options.activation_beta = -INFINITY;
    FAILS(elman_add_recurrent(network, 2, ELMAN_AFFINE, &options), OUT_OF_RANGE,
          "activation_beta is -inf, expected a finite f32");
    options = recurrent_options();
    WRONG_OPTION(elman_add_lstm, clip_sums, -1.0, OUT_OF_RANGE,
                 "clip_sums is -1, expected at least 0, which is none, and finite as f32");
    WRONG_OPTION(elman_add_lstm, clip_state, NAN, OUT_OF_RANGE,
                 "clip_state is NaN, expected at least 0, which is none, and finite as f32");
    WRONG_OPTION(elman_add_lstm, forget_bias, INFINITY, OUT_OF_RANGE, "forget_bias is inf, expected finite as f32");
    WRONG_OPTION(elman_add_gru, recurrent_dropout, 1.0, OUT_OF_RANGE,
                 "recurrent_dropout is 1, expected at least 0 and below 1");
    WRONG_OPTION(elman_add_gru, zoneout, -0.5, OUT_OF_RANGE, "zoneout is -0.5, expected at least 0 and below 1");
    WRONG_OPTION(elman_add_lstm, zoneout_cell, NAN, OUT_OF_RANGE,
                 "zoneout_cell is NaN, expected at least 0 and below 1");
    WRONG_OPTION(elman_add_lstm, projection, HUGE_SIZE, SIZE_OVERFLOW,
                 "the size of the parameters of a layer overflows");
    WRONG_OPTION(elman_add_gru, peepholes, 1, MISMATCH,
                 "peepholes is set, what a GRU has no use for, expected its default");
    WRONG_OPTION(elman_add_lstm, reset, ELMAN_RESET_BEFORE, MISMATCH,
                 "reset is set, what an LSTM has no use for, expected its default");
    options.gates[0] = ELMAN_TANH;
    FAILS(elman_add_recurrent(network, 2, ELMAN_TANH, &options), MISMATCH,
          "activations (gates, candidate, output) is set, what a plain recurrent layer has no use for, expected its "
          "default");

    elman_recurrent_options before = options;
    FAILS(elman_get_recurrent_options(NULL, 0, &options, sizeof options), NULL, "network is NULL");
    FAILS(elman_get_recurrent_options(network, 0, NULL, sizeof options), NULL, "options is NULL");
    FAILS(elman_get_recurrent_options(network, 2, &options, sizeof options), OUT_OF_RANGE,
          "layer is 2, expected less than 2");
    FAILS(elman_get_recurrent_options(network, 1, &options, sizeof options), MISMATCH,
          "layer is 1, which is not recurrent, expected the number of a recurrent layer");
    CHECK(elman_get_recurrent_options(network, 0, &options, sizeof options - 1) == ELMAN_ERROR_MISMATCH);
    CHECK(memcmp(&before, &options, sizeof options) == 0);

    /* Steps that have yet to come. */
    elman_network *ahead;
    elman_session *none = NULL;
    elman_fit_options fit;
    OK(elman_create(2, &ahead));
    options = recurrent_options();
    options.direction = ELMAN_REVERSE;
    OK(elman_add_gru(ahead, 2, &options));
    FAILS(elman_session_create(ahead, &none), MISMATCH,
          "the network is one that looks ahead: a layer goes from the last step to the first, expected one whose outputs "
          "follow from the steps so far (predict runs others)");
    CHECK(none == NULL);
    OK(elman_fit_options_init(&fit, sizeof fit));
    fit.truncate = 2;
    FAILS(elman_fit(ahead, dataset, optimizer, &fit), MISMATCH,
          "the network is one that looks ahead: a layer goes from the last step to the first, expected one whose outputs "
          "follow from the steps so far, to train on some of them at a time");
    elman_destroy(ahead);
}

static void networks(void) {
    elman_network *out = network;
    FAILS(elman_create(2, NULL), NULL, "out is NULL");
    FAILS(elman_create(0, &out), ZERO_SIZE, "input_size is 0, expected at least 1");
    CHECK(out == network);
    elman_destroy(NULL);

    FAILS(elman_clone(NULL, &out), NULL, "network is NULL");
    FAILS(elman_clone(network, NULL), NULL, "out is NULL");
    CHECK(out == network);
    elman_layer_info layer = {0};
    elman_tensor_info tensor = {0};
    CHECK(elman_layer_count(NULL) == 0 && strcmp(elman_last_error(), "network is NULL") == 0);
    FAILS(elman_get_layer_info(NULL, 0, &layer, sizeof layer), NULL, "network is NULL");
    FAILS(elman_get_layer_info(network, 0, NULL, sizeof layer), NULL, "info is NULL");
    FAILS(elman_get_layer_info(network, 2, &layer, sizeof layer), OUT_OF_RANGE, "layer is 2, expected less than 2");
    FAILS(elman_get_tensor_info(NULL, 0, 0, &tensor, sizeof tensor), NULL, "network is NULL");
    FAILS(elman_get_tensor_info(network, 0, 0, NULL, sizeof tensor), NULL, "info is NULL");
    FAILS(elman_get_tensor_info(network, 2, 0, &tensor, sizeof tensor), OUT_OF_RANGE,
          "layer is 2, expected less than 2");
    FAILS(elman_get_tensor_info(network, 1, 2, &tensor, sizeof tensor), OUT_OF_RANGE,
          "tensor is 2, expected less than 2");
    CHECK(elman_get_layer_info(network, 0, &layer, sizeof layer - 1) == ELMAN_ERROR_MISMATCH);
    CHECK(elman_get_tensor_info(network, 0, 0, &tensor, sizeof tensor + 1) == ELMAN_ERROR_MISMATCH);
    CHECK(layer.size == 0 && tensor.size == 0);
    FAILS(elman_add_rnn(NULL, 1, ELMAN_TANH), NULL, "network is NULL");
    FAILS(elman_add_rnn(network, 0, ELMAN_TANH), ZERO_SIZE, "units is 0, expected at least 1");
    FAILS(elman_add_rnn(network, SIZE_MAX, ELMAN_TANH), SIZE_OVERFLOW,
          "the size of the parameters of a layer overflows");
    FAILS(elman_add_rnn(network, HUGE_SIZE, ELMAN_TANH), SIZE_OVERFLOW,
          "the size of the parameters of a layer overflows");
    FAILS(elman_add_rnn(network, 1, 13), UNKNOWN_CONSTANT,
          "activation is 13, which names nothing; known are ELMAN_TANH to ELMAN_THRESHOLDED_RELU (0 to 12)");
    FAILS(elman_add_dense(NULL, 1, ELMAN_TANH), NULL, "network is NULL");
    FAILS(elman_add_dense(network, 0, ELMAN_TANH), ZERO_SIZE, "units is 0, expected at least 1");
    FAILS(elman_add_dense(network, HUGE_SIZE, ELMAN_TANH), SIZE_OVERFLOW,
          "the size of the parameters of a layer overflows");
    FAILS(elman_add_dense(network, 1, UINT32_MAX), UNKNOWN_CONSTANT,
          "activation is 4294967295, which names nothing; known are ELMAN_TANH to ELMAN_THRESHOLDED_RELU (0 to 12)");
    FAILS(elman_add_dropout(NULL, 0.5f), NULL, "network is NULL");
    FAILS(elman_add_dropout(network, 1.0f), OUT_OF_RANGE, "rate is 1, expected at least 0 and below 1");
    FAILS(elman_add_dropout(network, -0.5f), OUT_OF_RANGE, "rate is -0.5, expected at least 0 and below 1");
    FAILS(elman_add_dropout(network, NAN), OUT_OF_RANGE, "rate is NaN, expected at least 0 and below 1");

    FAILS(elman_add_activation(NULL, ELMAN_TANH, 0.0f, 0.0f), NULL, "network is NULL");
    FAILS(elman_add_activation(network, 13, 0.0f, 0.0f), UNKNOWN_CONSTANT,
          "activation is 13, which names nothing; known are ELMAN_TANH to ELMAN_THRESHOLDED_RELU (0 to 12)");
    FAILS(elman_add_activation(network, ELMAN_LEAKY_RELU, -0.5f, 0.0f), OUT_OF_RANGE,
          "alpha is -0.5, expected a finite f32 of at least 0");
    FAILS(elman_add_activation(network, ELMAN_ELU, NAN, 0.0f), OUT_OF_RANGE,
          "alpha is NaN, expected a finite f32 of at least 0");
    FAILS(elman_add_activation(network, ELMAN_THRESHOLDED_RELU, INFINITY, 0.0f), OUT_OF_RANGE,
          "alpha is inf, expected a finite f32 of at least 0");
    FAILS(elman_add_activation(network, ELMAN_HARD_SIGMOID, 0.5f, NAN), OUT_OF_RANGE,
          "beta is NaN, expected a finite f32");
    FAILS(elman_add_activation(network, ELMAN_SCALED_TANH, 0.0f, 1.0f), OUT_OF_RANGE,
          "alpha is 0, expected a finite f32 of at least 1.2e-38 in magnitude");

    recurrent_layers();
    const size_t numbers[] = {0, 3}, twice[] = {1, 1};
    size_t written[2] = {77, 77};
    FAILS(elman_add_layer_norm(NULL, 1e-5f), NULL, "network is NULL");
    FAILS(elman_add_layer_norm(network, 0.0f), OUT_OF_RANGE, "epsilon is 0, expected a finite f32 of at least 1.2e-38");
    FAILS(elman_add_embedding(NULL, numbers, 1, 2, 2), NULL, "network is NULL");
    FAILS(elman_add_embedding(network, NULL, 1, 2, 2), NULL, "columns is NULL");
    FAILS(elman_add_embedding(network, numbers, 0, 2, 2), ZERO_SIZE, "count is 0, expected at least 1");
    FAILS(elman_add_embedding(network, numbers, 1, 0, 2), ZERO_SIZE, "classes is 0, expected at least 1");
    FAILS(elman_add_embedding(network, numbers, 1, 2, 0), ZERO_SIZE, "size is 0, expected at least 1");
    FAILS(elman_add_embedding(network, numbers, 1, ((size_t)1 << 24) + 1, 2), OUT_OF_RANGE,
          "classes is 16777217, expected 1 to 16777216");
    FAILS(elman_add_embedding(network, twice, 2, 2, 2), MISMATCH,
          "the columns of an embedding is 1 twice, expected different columns");
    FAILS(elman_add_embedding(network, numbers, 1, 2, 2), MISMATCH,
          "what stands before an embedding is a layer of another kind, expected nothing but embeddings: indices are columns "
          "of the network's input");
    FAILS(elman_add_concat(NULL, numbers, 1), NULL, "network is NULL");
    FAILS(elman_add_concat(network, NULL, 1), NULL, "layers is NULL");
    FAILS(elman_add_concat(network, numbers, 0), ZERO_SIZE, "count is 0, expected at least 1");
    FAILS(elman_add_concat(network, numbers, 2), OUT_OF_RANGE,
          "a layer of the concatenation is 3, expected less than 3");
    FAILS(elman_add_residual(NULL, 0), NULL, "network is NULL");
    FAILS(elman_add_residual(network, 3), OUT_OF_RANGE, "layer is 3, expected less than 3");
    FAILS(elman_get_layer_numbers(NULL, 0, written, 0), NULL, "network is NULL");
    FAILS(elman_get_layer_numbers(network, 0, NULL, 0), NULL, "numbers is NULL");
    FAILS(elman_get_layer_numbers(network, 2, written, 1), OUT_OF_RANGE, "layer is 2, expected less than 2");
    FAILS(elman_get_layer_numbers(network, 0, written, 1), LENGTH, "numbers has 1 elements, expected 0");
    CHECK(written[0] == 77);

    FAILS(elman_set_output(NULL, ELMAN_OUTPUT_ALL), NULL, "network is NULL");
    FAILS(elman_set_output(network, 2), UNKNOWN_CONSTANT,
          "mode is 2, which names nothing; known are ELMAN_OUTPUT_LAST and ELMAN_OUTPUT_ALL (0 and 1)");
    FAILS(elman_set_trainable(NULL, 0, 0), NULL, "network is NULL");
    FAILS(elman_set_trainable(network, 2, 0), OUT_OF_RANGE, "layer is 2, expected less than 2");
    FAILS(elman_set_trainable(network, 0, 2), UNKNOWN_CONSTANT, "trainable is 2, which names nothing; known are 0 and 1");
    FAILS(elman_set_time_major(NULL, 1), NULL, "network is NULL");
    FAILS(elman_set_time_major(network, 2), UNKNOWN_CONSTANT, "time_major is 2, which names nothing; known are 0 and 1");
    CHECK(elman_get_time_major(network) == 0);
    FAILS(elman_set_threads(NULL, 2), NULL, "network is NULL");
    FAILS(elman_set_threads(network, HUGE_SIZE), OUT_OF_RANGE, "threads is 4611686018427388000, expected at most 1024");
    FAILS(elman_set_parallel_threshold(NULL, 0), NULL, "network is NULL");
    FAILS(elman_set_seed(NULL, 1), NULL, "network is NULL");

    FAILS(elman_initialize(NULL, ELMAN_INIT_PYTORCH, 1.0f, 1), NULL, "network is NULL");
    FAILS(elman_initialize(network, 10, 1.0f, 1), UNKNOWN_CONSTANT,
          "scheme is 10, which names nothing; known are the ELMAN_INIT_ constants (0 to 9)");
    for (uint32_t scheme = ELMAN_INIT_PYTORCH; scheme <= ELMAN_INIT_GAUSSIAN; scheme++) {
        if (scheme != ELMAN_INIT_IDENTITY)
            FAILS(elman_initialize(network, scheme, -1.0f, 1), OUT_OF_RANGE,
                  "scale is -1, expected at least 0 and finite in the element type");
    }
    FAILS(elman_initialize(network, ELMAN_INIT_CONSTANT, NAN, 1), OUT_OF_RANGE,
          "scale is NaN, expected finite in the element type");
    FAILS(elman_initialize(network, ELMAN_INIT_IDENTITY, INFINITY, 1), OUT_OF_RANGE,
          "scale is inf, expected finite in the element type");

    const float deviation[2] = {1.0f, 0.0f}, broken[2] = {1.0f, NAN};
    FAILS(elman_set_standardization(NULL, x, x, 2), NULL, "network is NULL");
    FAILS(elman_set_standardization(network, NULL, x, 2), NULL, "mean is NULL");
    FAILS(elman_set_standardization(network, x, NULL, 2), NULL, "deviation is NULL");
    FAILS(elman_set_standardization(network, x + 6, x + 6, 1), LENGTH, "mean and deviation has 1 elements, expected 2");
    char expected[100];
    snprintf(expected, sizeof expected, "mean and deviation has %zu elements, expected 2", SIZE_MAX);
    FAILS(elman_set_standardization(network, x, x, SIZE_MAX), LENGTH, expected);
    FAILS(elman_set_standardization(network, x, deviation, 2), OUT_OF_RANGE,
          "deviation is 0, expected a number above 0 with a finite inverse");
    FAILS(elman_set_standardization(network, broken, x + 2, 2), NOT_FINITE,
          "mean[1] is NaN, expected a finite number");
    MISALIGNED(elman_set_standardization(network, misaligned(), x, 2), "mean");

    float mean[2] = {7.0f, 7.0f};
    FAILS(elman_get_standardization(NULL, mean, NULL, 2), NULL, "network is NULL");
    FAILS(elman_get_standardization(network, mean, NULL, 1), LENGTH, "mean and deviation has 1 elements, expected 2");
    FAILS(elman_get_standardization(network, mean, mean + 1, 2), OVERLAP,
          "deviation overlaps mean, expected separate buffers");
    CHECK(mean[0] == 7.0f && mean[1] == 7.0f);

    const char *names[2] = {"up", "up"}, *name = "before";
    FAILS(elman_set_class_names(NULL, names, 2), NULL, "network is NULL");
    FAILS(elman_set_class_names(network, names, 3), LENGTH, "names has 3 elements, expected 2");
    FAILS(elman_set_class_names(network, names, 2), MISMATCH,
          "a class name is 'up' twice, expected one name for each class");
    names[1] = NULL;
    FAILS(elman_set_class_names(network, names, 2), NULL, "names is NULL");
    names[1] = "\xff";
    FAILS(elman_set_class_names(network, names, 2), MISMATCH, "names is '\xef\xbf\xbd', expected UTF-8 text");
    const char *const *crooked = (const char *const *)(const void *)((const char *)names + 1);
    CHECK(elman_set_class_names(network, crooked, 2) == ELMAN_ERROR_ALIGNMENT);
    FAILS(elman_get_class_name(NULL, 0, &name), NULL, "network is NULL");
    FAILS(elman_get_class_name(network, 0, NULL), NULL, "name is NULL");
    FAILS(elman_get_class_name(network, 0, &name), OUT_OF_RANGE, "index is 0, expected less than 0");
    names[1] = "down";
    OK(elman_set_class_names(network, names, 2));
    FAILS(elman_set_class_names(network, names, 1), LENGTH, "names has 1 elements, expected 2");
    FAILS(elman_get_class_name(network, 2, &name), OUT_OF_RANGE, "index is 2, expected less than 2");
    CHECK(elman_get_class_name_count(network) == 2 && strcmp(name, "before") == 0);
    FILE *file = fopen("wrong_input.ts", "w");
    CHECK(file != NULL && fputs("@classLabel true down sideways\n@data\n1,2:3,4:down\n", file) >= 0 && fclose(file) == 0);
    elman_dataset *strange;
    OK(elman_dataset_read_ts("wrong_input.ts", &strange));
    remove("wrong_input.ts");
    const char *unknown = "a class of the data set is 'sideways', expected one that the network knows: 'up', 'down'";
    FAILS(elman_evaluate(network, strange, NULL, NULL, NULL, NULL), MISMATCH, unknown);
    FAILS(elman_fit(network, strange, optimizer, NULL), MISMATCH, unknown);
    elman_fit_options options;
    OK(elman_fit_options_init(&options, sizeof options));
    options.validation = strange;
    FAILS(elman_fit(network, dataset, optimizer, &options), MISMATCH, unknown);
    elman_dataset_destroy(strange);
    OK(elman_set_class_names(network, NULL, 0));

    const elman_network *none = NULL;
    CHECK(elman_get_class_name_count(none) == 0);
    CHECK(elman_input_size(none) == 0 && elman_output_size(none) == 0 && elman_state_size(none) == 0);
    CHECK(elman_threads(none) == 0 && elman_output(none) == ELMAN_OUTPUT_LAST && elman_parameter_count(none) == 0);
    CHECK(elman_get_time_major(none) == 0);
    CHECK(strcmp(elman_last_error(), "network is NULL") == 0);
}

/* elman_predict and elman_forward refuse the same things. */
static elman_status forward(int predict, elman_network *to, const float *from, size_t batch, size_t steps,
                            const size_t *ends, const float *state_in, float *y, float *state_out) {
    return predict ? elman_predict(to, from, batch, steps, ends, state_in, y, state_out)
                   : elman_forward(to, from, batch, steps, ends, state_in, y, state_out);
}

static void runs(int predict) {
    const size_t beyond[2] = {4, 3};
    float y[4] = {7, 7, 7, 7}, state[6] = {7, 7, 7, 7, 7, 7};
    FAILS(forward(predict, NULL, x, 2, 3, NULL, NULL, y, state), NULL, "network is NULL");
    FAILS(forward(predict, network, NULL, 2, 3, NULL, NULL, y, state), NULL, "x is NULL");
    FAILS(forward(predict, network, x, 0, 3, NULL, NULL, y, state), ZERO_SIZE, "batch is 0, expected at least 1");
    FAILS(forward(predict, network, x, 2, 0, NULL, NULL, y, state), ZERO_SIZE, "steps is 0, expected at least 1");
    FAILS(forward(predict, network, x, SIZE_MAX, 3, NULL, NULL, y, state), SIZE_OVERFLOW,
          "the size of x overflows");
    FAILS(forward(predict, network, x, 2, SIZE_MAX, NULL, NULL, y, state), SIZE_OVERFLOW,
          "the size of x overflows");
    FAILS(forward(predict, network, x, HUGE_SIZE, HUGE_SIZE, lengths, x, y, state), SIZE_OVERFLOW,
          "the size of x overflows");
    FAILS(forward(predict, network, x, (size_t)1 << 33, (size_t)1 << 30, NULL, NULL, y, state), SIZE_OVERFLOW,
          "the size of x overflows");
    FAILS(forward(predict, network, x, 2, 3, beyond, NULL, y, state), OUT_OF_RANGE,
          "lengths[0] is 4, expected 0 to 3");
    MISALIGNED(forward(predict, network, misaligned(), 1, 1, NULL, NULL, y, state), "x");
    FAILS(forward(predict, network, x, 2, 3, NULL, NULL, y, y + 3), OVERLAP,
          "state_out overlaps y, expected separate buffers");
    FAILS(forward(predict, network, x, 1, 3, NULL, state, y, state + 2), OVERLAP,
          "state_out overlaps state_in, expected separate buffers");
    FAILS(forward(predict, network, y, 1, 1, NULL, NULL, y + 1, NULL), OVERLAP,
          "y overlaps x, expected separate buffers");
    for (int i = 0; i < 4; i++) CHECK(y[i] == 7.0f && state[i] == 7.0f);
}

static void training(void) {
    float dy[4] = {1, 2, 3, 4}, dx[12], more[8];
    elman_network *fresh;
    OK(elman_create(2, &fresh));
    OK(elman_add_rnn(fresh, 2, ELMAN_TANH));
    FAILS(elman_backward(fresh, dy, NULL, NULL, NULL), CALL_ORDER,
          "backward out of order: there has been no forward pass");
    OK(elman_forward(fresh, x, 2, 3, NULL, NULL, NULL, NULL));
    MISALIGNED(elman_backward(fresh, dy, NULL, misaligned(), NULL), "dx");
    FAILS(elman_backward(fresh, dy, NULL, more, more + 2), OVERLAP,
          "dstate_in overlaps dx, expected separate buffers");
    OK(elman_backward(fresh, dy, NULL, dx, NULL));
    OK(elman_add_dense(fresh, 1, ELMAN_LINEAR));
    FAILS(elman_backward(fresh, dy, NULL, NULL, NULL), CALL_ORDER,
          "backward out of order: the network has changed since the forward pass");
    OK(elman_forward(fresh, x, 2, 3, NULL, NULL, NULL, NULL));
    OK(elman_set_output(fresh, ELMAN_OUTPUT_ALL));
    FAILS(elman_backward(fresh, dy, NULL, NULL, NULL), CALL_ORDER,
          "backward out of order: the network has changed since the forward pass");
    OK(elman_set_output(fresh, ELMAN_OUTPUT_LAST));
    OK(elman_forward(fresh, x, 2, 3, NULL, NULL, NULL, NULL));
    OK(elman_initialize(fresh, ELMAN_INIT_PYTORCH, 1.0f, 1));
    FAILS(elman_backward(fresh, dy, NULL, NULL, NULL), CALL_ORDER,
          "backward out of order: the network has changed since the forward pass");
    OK(elman_forward(fresh, x, 2, 3, NULL, NULL, NULL, NULL));
    OK(elman_update(fresh, optimizer));
    OK(elman_optimizer_reset(optimizer));
    FAILS(elman_backward(fresh, dy, NULL, NULL, NULL), CALL_ORDER,
          "backward out of order: the network has changed since the forward pass");
    elman_destroy(fresh);

    FAILS(elman_backward(NULL, dy, NULL, NULL, NULL), NULL, "network is NULL");
    FAILS(elman_update(NULL, optimizer), NULL, "network is NULL");
    FAILS(elman_update(network, NULL), NULL, "optimizer is NULL");
    OK(elman_create(1, &fresh));
    OK(elman_add_dense(fresh, 1, ELMAN_LINEAR));
    OK(elman_update(fresh, optimizer));
    FAILS(elman_update(network, optimizer), MISMATCH,
          "the number of parameters is 26, expected 2 as in the steps before");
    OK(elman_optimizer_reset(optimizer));
    elman_destroy(fresh);
}

static void parameters(void) {
    float values[64] = {7}, *address = values;
    size_t number = 7;
    FAILS(elman_get_parameters(NULL, values, count), NULL, "network is NULL");
    FAILS(elman_get_parameters(network, NULL, count), NULL, "parameters is NULL");
    FAILS(elman_get_parameters(network, values, count - 1), LENGTH, "parameters has 25 elements, expected 26");
    FAILS(elman_get_parameters(network, values, SIZE_MAX), SIZE_OVERFLOW, "the size of parameters overflows");
    MISALIGNED(elman_get_parameters(network, misaligned(), count), "parameters");
    CHECK(values[0] == 7.0f);
    FAILS(elman_set_parameters(NULL, values, count), NULL, "network is NULL");
    FAILS(elman_set_parameters(network, NULL, count), NULL, "parameters is NULL");
    FAILS(elman_set_parameters(network, values, 0), LENGTH, "parameters has 0 elements, expected 26");
    FAILS(elman_set_parameters(network, values, count + 1), LENGTH, "parameters has 27 elements, expected 26");
    FAILS(elman_set_parameters(network, values, HUGE_SIZE), SIZE_OVERFLOW, "the size of parameters overflows");
    FAILS(elman_gradients(NULL, &address, &number), NULL, "network is NULL");
    FAILS(elman_gradients(network, NULL, &number), NULL, "values is NULL");
    CHECK(address == values && number == 7);
    FAILS(elman_clear_gradients(NULL), NULL, "network is NULL");

    double norm = 7;
    FAILS(elman_clip_gradients_by_norm(NULL, 1.0, &norm), NULL, "network is NULL");
    FAILS(elman_clip_gradients_by_norm(network, 0.0, &norm), OUT_OF_RANGE, "max_norm is 0, expected a number above 0");
    FAILS(elman_clip_gradients_by_norm(network, NAN, &norm), OUT_OF_RANGE,
          "max_norm is NaN, expected a number above 0");
    OK(elman_gradients(network, &address, NULL));
    address[3] = gradients_before[3] = INFINITY;
    FAILS(elman_clip_gradients_by_norm(network, 1.0, &norm), NOT_FINITE, "the norm of the gradients is not finite");
    address[3] = gradients_before[3] = 0.25f;
    FAILS(elman_clip_gradients_by_value(NULL, 1.0), NULL, "network is NULL");
    FAILS(elman_clip_gradients_by_value(network, -1.0), OUT_OF_RANGE, "limit is -1, expected a number above 0");
    CHECK(norm == 7);
}

static void optimizers(void) {
    elman_optimizer *out = optimizer;
    const char *fraction = "at least 0 and below 1";
    char message[200];
    FAILS(elman_sgd_create(0.1, 0.0, 0, 0.0, NULL), NULL, "out is NULL");
    FAILS(elman_sgd_create(-1.0, 0.0, 0, 0.0, &out), OUT_OF_RANGE,
          "learning_rate is -1, expected at least 0 and finite in the element type");
    FAILS(elman_sgd_create(NAN, 0.0, 0, 0.0, &out), OUT_OF_RANGE,
          "learning_rate is NaN, expected at least 0 and finite in the element type");
    FAILS(elman_sgd_create(0.1, 1.0, 0, 0.0, &out), OUT_OF_RANGE, "momentum is 1, expected at least 0 and below 1");
    FAILS(elman_sgd_create(0.1, 0.0, 1, 0.0, &out), OUT_OF_RANGE, "momentum is 0, expected above 0 with nesterov");
    FAILS(elman_sgd_create(0.1, 0.9, 2, 0.0, &out), UNKNOWN_CONSTANT,
          "nesterov is 2, which names nothing; known are 0 and 1");
    FAILS(elman_sgd_create(0.1, 0.9, 1, -1.0, &out), OUT_OF_RANGE,
          "weight_decay is -1, expected at least 0 and finite in the element type");
    FAILS(elman_adagrad_create(0.1, 1e-10, NULL), NULL, "out is NULL");
    FAILS(elman_adagrad_create(0.1, 0.0, &out), OUT_OF_RANGE,
          "epsilon is 0, expected above 0 and finite in the element type");
    FAILS(elman_rmsprop_create(0.1, 0.9, 1e-8, 0.0, NULL), NULL, "out is NULL");
    FAILS(elman_rmsprop_create(0.1, -0.1, 1e-8, 0.0, &out), OUT_OF_RANGE,
          "alpha is -0.1, expected at least 0 and below 1");
    for (int decoupled = 0; decoupled < 2; decoupled++) {
        elman_status (*create)(double, double, double, double, double, elman_optimizer **) =
            decoupled ? elman_adamw_create : elman_adam_create;
        FAILS(create(0.1, 0.9, 0.999, 1e-8, 0.0, NULL), NULL, "out is NULL");
        snprintf(message, sizeof message, "beta1 is 1.5, expected %s", fraction);
        FAILS(create(0.1, 1.5, 0.999, 1e-8, 0.0, &out), OUT_OF_RANGE, message);
        snprintf(message, sizeof message, "beta2 is NaN, expected %s", fraction);
        FAILS(create(0.1, 0.9, NAN, 1e-8, 0.0, &out), OUT_OF_RANGE, message);
        FAILS(create(INFINITY, 0.9, 0.999, 1e-8, 0.0, &out), OUT_OF_RANGE,
              "learning_rate is inf, expected at least 0 and finite in the element type");
    }
    FAILS(elman_rprop_create(0.1, 0.5, 1.2, 1e-6, 50.0, NULL), NULL, "out is NULL");
    FAILS(elman_rprop_create(0.1, 0.5, 1.0, 1e-6, 50.0, &out), OUT_OF_RANGE,
          "eta_plus is 1, expected above 1 and finite in the element type");
    FAILS(elman_rprop_create(0.1, 0.5, 1.2, 1.0, 0.5, &out), OUT_OF_RANGE,
          "max_step is 0.5, expected at least min_step");
    FAILS(elman_rprop_unbounded_create(0.1, 0.5, 1.2, NULL), NULL, "out is NULL");
    FAILS(elman_rprop_unbounded_create(0.1, 1.0, 1.2, &out), OUT_OF_RANGE,
          "eta_minus is 1, expected above 0 and below 1");
    CHECK(out == optimizer);

    elman_optimizer_destroy(NULL);
    CHECK(isnan(elman_optimizer_get_learning_rate(NULL)));
    CHECK(elman_get_seed(NULL) == 0 && elman_get_epochs(NULL) == 0 && elman_get_passes(NULL) == 0);
    FAILS(elman_optimizer_set_learning_rate(NULL, 0.1), NULL, "optimizer is NULL");
    FAILS(elman_optimizer_set_learning_rate(optimizer, -0.1), OUT_OF_RANGE,
          "learning_rate is -0.1, expected at least 0 and finite in the element type");
    FAILS(elman_optimizer_reset(NULL), NULL, "optimizer is NULL");
}

static void datasets(void) {
    elman_dataset *out = dataset;
    const size_t too_long[2] = {SIZE_MAX, 2}, zero[2] = {3, 0}, wrong[2] = {1, 2};
    const float broken[4] = {1, 2, INFINITY, 4};
    const size_t one = 1, two = 2, wrong_by_far[] = {0, SIZE_MAX - 1};
    FAILS(elman_dataset_create(2, x, lengths, 2, NULL), NULL, "out is NULL");
    FAILS(elman_dataset_create(2, NULL, lengths, 2, &out), NULL, "x is NULL");
    FAILS(elman_dataset_create(2, x, NULL, 2, &out), NULL, "lengths is NULL");
    FAILS(elman_dataset_create(0, x, lengths, 2, &out), ZERO_SIZE, "input_size is 0, expected at least 1");
    FAILS(elman_dataset_create(2, x, lengths, 0, &out), ZERO_SIZE,
          "the number of sequences is 0, expected at least 1");
    FAILS(elman_dataset_create(2, x, lengths, HUGE_SIZE, &out), SIZE_OVERFLOW, "the size of lengths overflows");
    FAILS(elman_dataset_create(2, x, too_long, 2, &out), SIZE_OVERFLOW, "the size of the sum of lengths overflows");
    FAILS(elman_dataset_create(HUGE_SIZE, x, lengths, 2, &out), SIZE_OVERFLOW, "the size of x overflows");
    FAILS(elman_dataset_create(2, x, zero, 2, &out), OUT_OF_RANGE, "lengths[1] is 0, expected at least 1");
    FAILS(elman_dataset_create(2, broken, &two, 1, &out), NOT_FINITE, "x[2] is inf, expected a finite number");
    FAILS(elman_dataset_create_classes(2, x, lengths, 2, NULL, 2, 0, &out), NULL, "labels is NULL");
    FAILS(elman_dataset_create_classes(2, x, lengths, 2, labels, 0, 0, &out), ZERO_SIZE,
          "the number of classes is 0, expected at least 1");
    FAILS(elman_dataset_create_classes(2, x, lengths, 2, wrong, 2, 0, &out), OUT_OF_RANGE,
          "labels[1] is 2, expected less than 2, the number of classes");
    FAILS(elman_dataset_create_classes(2, x, lengths, 2, labels, HUGE_SIZE, 0, &out), SIZE_OVERFLOW,
          "the size of class names overflows");
    FAILS(elman_dataset_create_classes(2, x, lengths, 2, labels, (size_t)1 << 50, 0, &out), OUT_OF_MEMORY,
          "out of memory: 27021597764222976 bytes for class names");
    FAILS(elman_dataset_create_classes(2, x, lengths, 2, labels, (size_t)1 << 40, 0, &out), OUT_OF_MEMORY,
          "out of memory: 26388279066624 bytes for class names");
    FAILS(elman_dataset_create_classes(2, x, lengths, 2, labels, UINT32_MAX, 0, &out), OUT_OF_MEMORY,
          "out of memory: 103079215080 bytes for class names");
    FAILS(elman_dataset_create_classes(2, x, lengths, 2, wrong_by_far, (size_t)1 << 50, 0, &out), OUT_OF_RANGE,
          "labels[1] is 18446744073709551614, expected less than 1125899906842624, the number of classes");
    FAILS(elman_dataset_create_classes(2, x, lengths, 2, labels, 2, 3, &out), UNKNOWN_CONSTANT,
          "per_step is 3, which names nothing; known are 0 and 1");
    FAILS(elman_dataset_create_values(2, x, lengths, 2, NULL, 1, 0, &out), NULL, "values is NULL");
    FAILS(elman_dataset_create_values(2, x, lengths, 2, x, 0, 0, &out), ZERO_SIZE,
          "the size of a target is 0, expected at least 1");
    FAILS(elman_dataset_create_values(2, x, lengths, 2, x, HUGE_SIZE, 1, &out), SIZE_OVERFLOW,
          "the size of values overflows");
    FAILS(elman_dataset_create_values(2, x, &one, 1, broken, 4, 0, &out), NOT_FINITE,
          "values[2] is inf, expected a finite number");
    FAILS(elman_dataset_read_ts(NULL, &out), NULL, "path is NULL");
    FAILS(elman_dataset_read_ts("x.ts", NULL), NULL, "out is NULL");
    FAILS(elman_dataset_read_ts("missing.ts", &out), IO, "missing.ts: No such file or directory (os error 2)");
    CHECK(out == dataset);

    FILE *file = fopen("wrong_input.ts", "w");
    CHECK(file != NULL && fputs("@classLabel true a b\n@data\n1,2,x:a\n", file) >= 0 && fclose(file) == 0);
    FAILS(elman_dataset_read_ts("wrong_input.ts", &out), PARSE,
          "wrong_input.ts:3: value 3 of dimension 1 is 'x', expected a number");
    elman_ts_options options, defaults;
    OK(elman_ts_options_init(&defaults, sizeof defaults));
    FAILS(elman_ts_options_init(NULL, sizeof options), NULL, "options is NULL");
    FAILS(elman_ts_options_init(&options, 7), MISMATCH, "size is 7, expected 24, as in the header of this version");
    FAILS(elman_dataset_read_ts_with(NULL, &defaults, &out), NULL, "path is NULL");
    FAILS(elman_dataset_read_ts_with("wrong_input.ts", &defaults, NULL), NULL, "out is NULL");
    FAILS(elman_dataset_read_ts_with("wrong_input.ts", &defaults, &out), PARSE,
          "wrong_input.ts:3: value 3 of dimension 1 is 'x', expected a number");
#define WITH(field, value, kind, message)                                                                              \
    options = defaults;                                                                                                \
    options.field = value;                                                                                             \
    FAILS(elman_dataset_read_ts_with("wrong_input.ts", &options, &out), kind, message)
    WITH(size, 16, MISMATCH, "the size field of options is 16, expected 24, as in the header of this version");
    WITH(missing, 3, UNKNOWN_CONSTANT,
         "missing is 3, which names nothing; known are the ELMAN_MISSING_ constants (0 to 2)");
    WITH(trim_padding, 2, UNKNOWN_CONSTANT, "trim_padding is 2, which names nothing; known are 0 and 1");
    WITH(time_feature, 2, UNKNOWN_CONSTANT, "time_feature is 2, which names nothing; known are 0 and 1");
    WITH(reserved, 1, UNKNOWN_CONSTANT, "reserved is 1, which names nothing; known are 0");
    WITH(time_feature, 1, PARSE,
         "wrong_input.ts:2: time stamps are to become a feature, but the header has no '@timeStamps true'");
#undef WITH
    CHECK(out == dataset);
    remove("wrong_input.ts");

    const char *name = "before";
    const float *values = x;
    const size_t *targets = labels;
    size_t number = 7;
    elman_dataset_destroy(NULL);
    FAILS(elman_dataset_class_name(NULL, 0, &name), NULL, "dataset is NULL");
    FAILS(elman_dataset_class_name(dataset, 0, NULL), NULL, "name is NULL");
    FAILS(elman_dataset_class_name(dataset, 2, &name), OUT_OF_RANGE, "index is 2, expected less than 2");
    FAILS(elman_dataset_get_note(NULL, 0, &name), NULL, "dataset is NULL");
    FAILS(elman_dataset_get_note(dataset, 0, NULL), NULL, "note is NULL");
    FAILS(elman_dataset_get_note(dataset, 0, &name), OUT_OF_RANGE, "index is 0, expected less than 0");
    FAILS(elman_dataset_sequence(NULL, 0, &values, &number), NULL, "dataset is NULL");
    FAILS(elman_dataset_sequence(dataset, SIZE_MAX, &values, &number), OUT_OF_RANGE,
          "index is 18446744073709551615, expected less than 2");
    FAILS(elman_dataset_labels(NULL, &targets, &number), NULL, "dataset is NULL");
    FAILS(elman_dataset_labels(dataset, NULL, &number), NULL, "labels is NULL");
    FAILS(elman_dataset_values(NULL, &values, &number), NULL, "dataset is NULL");
    FAILS(elman_dataset_values(dataset, &values, &number), MISMATCH,
          "the kind of targets is another, expected vectors of numbers");
    CHECK(values == x && targets == labels && number == 7 && strcmp(name, "before") == 0);
    CHECK(elman_dataset_sequence_count(NULL) == 0 && elman_dataset_input_size(NULL) == 0);
    CHECK(elman_dataset_total_steps(NULL) == 0 && elman_dataset_max_length(NULL) == 0);
    CHECK(elman_dataset_get_note_count(NULL) == 0);
    CHECK(elman_dataset_class_count(NULL) == 0 && elman_dataset_targets(NULL) == ELMAN_TARGETS_NONE);

    elman_dataset *wide;
    OK(elman_dataset_create(3, x, lengths, 1, &wide));
    FAILS(elman_standardize(NULL, dataset), NULL, "network is NULL");
    FAILS(elman_standardize(network, NULL), NULL, "dataset is NULL");
    FAILS(elman_standardize(network, wide), LENGTH, "standardization has 3 elements, expected 2");
    elman_dataset_destroy(wide);
}

static void losses(void) {
    const float logits[4] = {1, 2, 3, 4}, targets[4] = {0, 1, 0, 2};
    const size_t classes[2] = {0, 2}, ends[1] = {3};
    double loss = 7;
    float gradient[4] = {7, 7, 7, 7};
    FAILS(elman_softmax(NULL, 2, 2, gradient), NULL, "logits is NULL");
    FAILS(elman_softmax(logits, 2, 2, NULL), NULL, "probabilities is NULL");
    FAILS(elman_softmax(logits, 2, 0, gradient), ZERO_SIZE, "classes is 0, expected at least 1");
    FAILS(elman_softmax(logits, HUGE_SIZE, 2, gradient), SIZE_OVERFLOW, "the size of logits overflows");
    FAILS(elman_softmax(gradient, 2, 2, gradient), OVERLAP, "probabilities overlaps logits, expected separate buffers");
    FAILS(elman_softmax_cross_entropy(NULL, labels, 2, 2, &loss, gradient), NULL, "logits is NULL");
    FAILS(elman_softmax_cross_entropy(logits, NULL, 2, 2, &loss, gradient), NULL, "labels is NULL");
    FAILS(elman_softmax_cross_entropy(logits, labels, 2, 0, &loss, gradient), ZERO_SIZE,
          "classes is 0, expected at least 1");
    FAILS(elman_softmax_cross_entropy(logits, labels, HUGE_SIZE, 2, &loss, gradient), SIZE_OVERFLOW,
          "the size of labels overflows");
    FAILS(elman_softmax_cross_entropy(logits, labels, 2, SIZE_MAX, &loss, gradient), SIZE_OVERFLOW,
          "the size of logits overflows");
    FAILS(elman_softmax_cross_entropy(logits, classes, 2, 2, &loss, gradient), OUT_OF_RANGE,
          "labels[1] is 2, expected less than 2, the number of classes");
    FAILS(elman_softmax_cross_entropy(gradient, labels, 2, 2, &loss, gradient), OVERLAP,
          "dlogits overlaps logits, expected separate buffers");
    FAILS(elman_softmax_cross_entropy_padded(logits, labels, 1, 2, NULL, 2, &loss, gradient), NULL,
          "lengths is NULL");
    FAILS(elman_softmax_cross_entropy_padded(logits, labels, 1, 2, ends, 2, &loss, gradient), OUT_OF_RANGE,
          "lengths[0] is 3, expected 0 to 2");
    const float weights[2] = {1.0f, -1.0f};
    FAILS(elman_softmax_cross_entropy_weighted(NULL, labels, 2, 2, NULL, &loss, gradient), NULL, "logits is NULL");
    FAILS(elman_softmax_cross_entropy_weighted(logits, labels, 2, 2, weights, &loss, gradient), OUT_OF_RANGE,
          "weights is -1, expected a finite number, at least 0");
    FAILS(elman_softmax_cross_entropy_weighted(logits, labels, 2, 2, gradient, &loss, gradient), OVERLAP,
          "weights overlaps dlogits, expected separate buffers");
    FAILS(elman_softmax_cross_entropy_weighted_padded(logits, labels, 1, 2, NULL, 2, weights, &loss, gradient), NULL,
          "lengths is NULL");
    FAILS(elman_softmax_cross_entropy_weighted_padded(logits, labels, 1, 2, ends, 2, NULL, &loss, gradient),
          OUT_OF_RANGE, "lengths[0] is 3, expected 0 to 2");
    FAILS(elman_mean_squared_error(NULL, targets, 4, &loss, gradient), NULL, "y is NULL");
    FAILS(elman_mean_squared_error(logits, NULL, 4, &loss, gradient), NULL, "targets is NULL");
    FAILS(elman_mean_squared_error(logits, targets, SIZE_MAX, &loss, gradient), SIZE_OVERFLOW,
          "the size of y overflows");
    FAILS(elman_mean_squared_error(logits, targets, 4, (double *)(void *)gradient, gradient), OVERLAP,
          "dy overlaps loss, expected separate buffers");
    FAILS(elman_mean_squared_error_padded(logits, targets, 1, 2, ends, 2, &loss, gradient), OUT_OF_RANGE,
          "lengths[0] is 3, expected 0 to 2");
    FAILS(elman_mean_squared_error_padded(logits, targets, 0, 2, ends, 2, &loss, gradient), ZERO_SIZE,
          "batch is 0, expected at least 1");
    FAILS(elman_binary_cross_entropy_with_logits(NULL, targets, 4, &loss, gradient), NULL, "logits is NULL");
    FAILS(elman_binary_cross_entropy_with_logits(logits, targets, 4, &loss, gradient), OUT_OF_RANGE,
          "a target is 2, expected 0 to 1, or NaN for none");
    FAILS(elman_binary_cross_entropy_with_logits_padded(logits, targets, 1, 2, NULL, 2, &loss, gradient), NULL,
          "lengths is NULL");
    for (int i = 0; i < 4; i++) CHECK(gradient[i] == 7.0f);
    CHECK(loss == 7);
}

static void ctc(void) {
    const float logits[12] = {0};
    const size_t of[4] = {1, 2, 1, 1}, both[2] = {1, 1}, four[1] = {4}, huge[1] = {SIZE_MAX}, bad[2] = {1, 3};
    const size_t ends[2] = {2, 3};
    double loss = 7;
    float gradient[12] = {7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7};
    elman_ctc_options options, defaults;
    elman_ctc_workspace *workspace;
    OK(elman_ctc_options_init(&defaults, sizeof defaults));
    FAILS(elman_ctc_options_init(NULL, sizeof options), NULL, "options is NULL");
    FAILS(elman_ctc_options_init(&options, 8), MISMATCH, "size is 8, expected 24, as in the header of this version");
    FAILS(elman_ctc_workspace_create(NULL), NULL, "out is NULL");
    OK(elman_ctc_workspace_create(&workspace));
#define CTC(logits, labels, label_lengths, batch, steps, lengths, classes, options)                                    \
    elman_ctc(logits, labels, label_lengths, batch, steps, lengths, classes, options, workspace, &loss, gradient)
    FAILS(CTC(NULL, of, both, 2, 2, NULL, 3, NULL), NULL, "logits is NULL");
    FAILS(CTC(logits, NULL, both, 2, 2, NULL, 3, NULL), NULL, "labels is NULL");
    FAILS(CTC(logits, of, NULL, 2, 2, NULL, 3, NULL), NULL, "label_lengths is NULL");
    FAILS(CTC(logits, of, both, 0, 2, NULL, 3, NULL), ZERO_SIZE, "batch is 0, expected at least 1");
    FAILS(CTC(logits, of, both, 2, 0, NULL, 3, NULL), ZERO_SIZE, "steps is 0, expected at least 1");
    FAILS(CTC(logits, of, both, 2, 2, NULL, 0, NULL), ZERO_SIZE, "classes is 0, expected at least 1");
    FAILS(CTC(logits, of, both, 2, HUGE_SIZE, NULL, 3, NULL), SIZE_OVERFLOW, "the size of logits overflows");
    FAILS(CTC(logits, of, huge, 1, 4, NULL, 3, NULL), SIZE_OVERFLOW, "the size of labels overflows");
    FAILS(CTC(logits, of, both, 2, 2, ends, 3, NULL), OUT_OF_RANGE, "lengths[1] is 3, expected 0 to 2");
    FAILS(CTC(logits, bad, both, 2, 2, NULL, 3, NULL), OUT_OF_RANGE,
          "labels[1] is 3, expected less than 3, the number of classes");
    FAILS(CTC(logits, of, four, 1, 4, NULL, 3, NULL), OUT_OF_RANGE,
          "sequence 0 has 4 steps, expected at least 5 for its 4 labels: one for each, and one between two that are equal");
    FAILS(CTC(gradient, of, both, 2, 2, NULL, 3, NULL), OVERLAP, "dlogits overlaps logits, expected separate buffers");
    options = defaults;
    options.blank = 2;
    FAILS(CTC(logits, of, both, 2, 2, NULL, 3, &options), OUT_OF_RANGE,
          "labels[1] is 2, the blank, expected another class");
    options.blank = 3;
    FAILS(CTC(logits, of, both, 2, 2, NULL, 3, &options), OUT_OF_RANGE, "blank is 3, expected less than 3");
    options = defaults;
    options.reduction = 2;
    FAILS(CTC(logits, of, both, 2, 2, NULL, 3, &options), UNKNOWN_CONSTANT,
          "reduction is 2, which names nothing; known are the ELMAN_CTC_ constants (0 and 1)");
    options = defaults;
    options.zero_infinity = 2;
    FAILS(CTC(logits, of, both, 2, 2, NULL, 3, &options), UNKNOWN_CONSTANT,
          "zero_infinity is 2, which names nothing; known are 0 and 1");
    options = defaults;
    options.size = 32;
    FAILS(CTC(logits, of, both, 2, 2, NULL, 3, &options), MISMATCH,
          "the size field of options is 32, expected 24, as in the header of this version");
#undef CTC
    for (int i = 0; i < 12; i++) CHECK(gradient[i] == 7.0f);
    CHECK(loss == 7);
    elman_ctc_workspace_destroy(workspace);
    elman_ctc_workspace_destroy(NULL);

    size_t read[4] = {7, 7, 7, 7}, read_lengths[2] = {7, 7};
    FAILS(elman_ctc_greedy_decode(NULL, 2, 2, NULL, 3, 0, read, read_lengths), NULL, "logits is NULL");
    FAILS(elman_ctc_greedy_decode(logits, 2, 2, NULL, 3, 0, NULL, read_lengths), NULL, "labels is NULL");
    FAILS(elman_ctc_greedy_decode(logits, 2, 2, NULL, 3, 0, read, NULL), NULL, "label_lengths is NULL");
    FAILS(elman_ctc_greedy_decode(logits, 2, 2, NULL, 3, 0, read, read), OVERLAP,
          "label_lengths overlaps labels, expected separate buffers");
    FAILS(elman_ctc_greedy_decode(logits, 2, 2, ends, 3, 0, read, read_lengths), OUT_OF_RANGE,
          "lengths[1] is 3, expected 0 to 2");
    FAILS(elman_ctc_greedy_decode(logits, 2, 2, NULL, 3, 3, read, read_lengths), OUT_OF_RANGE,
          "blank is 3, expected less than 3");
    FAILS(elman_ctc_greedy_decode(logits, 2, 2, NULL, 0, 0, read, read_lengths), ZERO_SIZE,
          "classes is 0, expected at least 1");
    for (int i = 0; i < 4; i++) CHECK(read[i] == 7);
    CHECK(read_lengths[0] == 7 && read_lengths[1] == 7);
}

static uint32_t never(void *user, elman_progress *progress, const elman_network *of) {
    (void)user, (void)progress, (void)of;
    CHECK(!"called");
    return ELMAN_STOP;
}

static uint32_t not_even(void *user, elman_batch_progress *progress) {
    (void)user, (void)progress;
    CHECK(!"called");
    return ELMAN_STOP;
}

static uint32_t negative_rate(void *user, elman_batch_progress *progress) {
    (void)user;
    progress->learning_rate = -2;
    return ELMAN_CONTINUE;
}

/* What goes wrong in a training: the network keeps its parameters. */
static void fails_in_training(void) {
    elman_network *trained;
    elman_optimizer *sgd;
    elman_cancellation *cancellation;
    elman_fit_options options;
    float before[10], after[10];
    OK(elman_create(2, &trained));
    OK(elman_add_rnn(trained, 2, ELMAN_TANH));
    OK(elman_initialize(trained, ELMAN_INIT_PYTORCH, 1.0f, 5));
    const size_t own = elman_parameter_count(trained);
    CHECK(own == 10);
    OK(elman_sgd_create(0.1, 0.0, 0, 0.0, &sgd));
    OK(elman_cancellation_create(&cancellation));
    OK(elman_get_parameters(trained, before, own));
    OK(elman_fit_options_init(&options, sizeof options));
    options.batch_callback = negative_rate;
    FAILS(elman_fit(trained, dataset, sgd, &options), OUT_OF_RANGE,
          "learning_rate is -2, expected at least 0 and finite in the element type");
    options.batch_callback = not_even;
    options.cancel = cancellation;
    OK(elman_cancellation_set(cancellation, 1));
    FAILS(elman_fit(trained, dataset, sgd, &options), CANCELLED, "cancelled");
    OK(elman_get_parameters(trained, after, own));
    SAME(before, after, own);
    elman_cancellation_destroy(cancellation);
    elman_optimizer_destroy(sgd);
    elman_destroy(trained);
}

static void fits(void) {
    elman_fit_options options, defaults;
    FAILS(elman_fit_options_init(NULL, sizeof options), NULL, "options is NULL");
    FAILS(elman_fit_options_init(&options, 8), MISMATCH,
          "size is 8, expected 152, as in the header of this version, or that of an older one, from 96 on");
    FAILS(elman_fit_options_init(&options, 100), MISMATCH,
          "size is 100, expected 152, as in the header of this version, or that of an older one, from 96 on");
    FAILS(elman_fit_options_init(&options, 160), MISMATCH,
          "size is 160, expected 152, as in the header of this version, or that of an older one, from 96 on");
    OK(elman_fit_options_init(&defaults, sizeof defaults));
    defaults.callback = never;
    defaults.batch_callback = not_even;
    options = defaults;
    FAILS(elman_fit(NULL, dataset, optimizer, &options), NULL, "network is NULL");
    FAILS(elman_fit(network, NULL, optimizer, &options), NULL, "dataset is NULL");
    FAILS(elman_fit(network, dataset, NULL, &options), NULL, "optimizer is NULL");
    options.size = 0;
    FAILS(elman_fit(network, dataset, optimizer, &options), MISMATCH,
          "the size field of options is 0, expected 152, as in the header of this version, or that of an older one, "
          "from 96 on");
#define WITH(field, value, status, message)                                                                            \
    options = defaults;                                                                                                \
    options.field = value;                                                                                             \
    FAILS(elman_fit(network, dataset, optimizer, &options), status, message)
    WITH(loss, 3, UNKNOWN_CONSTANT, "loss is 3, which names nothing; known are the ELMAN_LOSS_ constants (0 to 2)");
    WITH(clip, 3, UNKNOWN_CONSTANT, "clip is 3, which names nothing; known are the ELMAN_CLIP_ constants (0 to 2)");
    WITH(shuffle, 2, UNKNOWN_CONSTANT, "shuffle is 2, which names nothing; known are 0 and 1");
    WITH(average, 2, UNKNOWN_CONSTANT, "average is 2, which names nothing; known are 0 and 1");
    WITH(reserved, 1, UNKNOWN_CONSTANT, "reserved is 1, which names nothing; known are 0");
    WITH(epochs, 0, ZERO_SIZE, "epochs is 0, expected at least 1");
    WITH(batch_size, 0, ZERO_SIZE, "batch_size is 0, expected at least 1");
    WITH(loss, ELMAN_LOSS_MEAN_SQUARED_ERROR, MISMATCH,
         "the target of the data set is a class of 2 for each sequence, expected numbers, 2 for each sequence, "
         "which is what the network gives and the mean squared error takes");
    WITH(truncate, 2, MISMATCH,
         "the output of the network is that of the last step, expected those of all steps, to train on some steps at a "
         "time");
    const float weights[2] = {1.0f, INFINITY};
    WITH(class_weights, weights, OUT_OF_RANGE, "class_weights is inf, expected a finite number, at least 0");
    WITH(class_weights, misaligned(), ALIGNMENT, elman_last_error());
    defaults.patience = 1;
    WITH(watch, 2, UNKNOWN_CONSTANT,
         "watch is 2, which names nothing; known are ELMAN_WATCH_LOSS and ELMAN_WATCH_ACCURACY (0 and 1)");
    WITH(min_delta, -1, OUT_OF_RANGE, "min_delta is -1, expected at least 0 and finite");
    WITH(min_delta, INFINITY, OUT_OF_RANGE, "min_delta is inf, expected at least 0 and finite");
    defaults.clip = ELMAN_CLIP_NORM;
    WITH(clip_limit, -1, OUT_OF_RANGE, "clip_limit is -1, expected a number above 0");

    fails_in_training();
    elman_cancellation *cancellation;
    FAILS(elman_cancellation_create(NULL), NULL, "out is NULL");
    FAILS(elman_cancellation_set(NULL, 1), NULL, "cancellation is NULL");
    OK(elman_cancellation_create(&cancellation));
    FAILS(elman_cancellation_set(cancellation, 2), UNKNOWN_CONSTANT,
          "cancelled is 2, which names nothing; known are 0 and 1");
    elman_cancellation_destroy(cancellation);
    elman_cancellation_destroy(NULL);

    double loss = 7, accuracy = 7;
    size_t confusion[4] = {7, 7, 7, 7};
    options = defaults;
    FAILS(elman_evaluate(NULL, dataset, &options, &loss, &accuracy, confusion), NULL, "network is NULL");
    FAILS(elman_evaluate(network, NULL, &options, &loss, &accuracy, confusion), NULL, "dataset is NULL");
    FAILS(elman_evaluate(network, dataset, &options, &loss, &loss, confusion), OVERLAP,
          "accuracy overlaps loss, expected separate buffers");
    options.class_weights = weights;
    FAILS(elman_evaluate(network, dataset, &options, &loss, &accuracy, confusion), OUT_OF_RANGE,
          "class_weights is inf, expected a finite number, at least 0");
    options.loss = ELMAN_LOSS_BINARY_CROSS_ENTROPY;
    options.class_weights = NULL;
    FAILS(elman_evaluate(network, dataset, &options, &loss, &accuracy, confusion), MISMATCH,
          "the target of the data set is a class of 2 for each sequence, expected numbers, 2 for each sequence, "
          "which is what the network gives and binary cross-entropy takes");
    CHECK(loss == 7 && accuracy == 7 && confusion[0] == 7);

    float y[4];
    elman_dataset *wide;
    FAILS(elman_predict_dataset(NULL, dataset, 1, y), NULL, "network is NULL");
    FAILS(elman_predict_dataset(network, NULL, 1, y), NULL, "dataset is NULL");
    FAILS(elman_predict_dataset(network, dataset, 1, NULL), NULL, "y is NULL");
    FAILS(elman_predict_dataset(network, dataset, 0, y), ZERO_SIZE, "batch_size is 0, expected at least 1");
    OK(elman_dataset_create(3, x, lengths, 1, &wide));
    FAILS(elman_predict_dataset(network, wide, 1, y), MISMATCH,
          "the number of features of the data set is 3, expected 2, as many as the network takes");
    elman_dataset_destroy(wide);

    double error = 7;
    FAILS(elman_gradient_check(NULL, x, 2, 3, NULL, NULL, NULL, NULL, &error), NULL, "network is NULL");
    FAILS(elman_gradient_check(network, NULL, 2, 3, NULL, NULL, NULL, NULL, &error), NULL, "x is NULL");
    FAILS(elman_gradient_check(network, x, 2, 3, NULL, NULL, NULL, NULL, NULL), NULL, "relative_error is NULL");
    FAILS(elman_gradient_check(network, x, 0, 3, NULL, NULL, NULL, NULL, &error), ZERO_SIZE,
          "batch is 0, expected at least 1");
    FAILS(elman_gradient_check(network, x, SIZE_MAX, 3, NULL, NULL, NULL, NULL, &error), SIZE_OVERFLOW,
          "the size of x overflows");
    CHECK(error == 7);
}

static void sessions(void) {
    elman_session *out = session;
    float y[2] = {7, 7}, state[4] = {7, 7, 7, 7};
    FAILS(elman_session_create(NULL, &out), NULL, "network is NULL");
    FAILS(elman_session_create(network, NULL), NULL, "out is NULL");
    FAILS(elman_session_step(NULL, x, y), NULL, "session is NULL");
    FAILS(elman_session_step(session, NULL, y), NULL, "x is NULL");
    FAILS(elman_session_step(session, x, NULL), NULL, "y is NULL");
    FAILS(elman_session_step(session, y, y), OVERLAP, "y overlaps x, expected separate buffers");
    MISALIGNED(elman_session_step(session, misaligned(), y), "x");
    FAILS(elman_session_run(NULL, x, 1, y), NULL, "session is NULL");
    FAILS(elman_session_run(session, NULL, 1, y), NULL, "x is NULL");
    FAILS(elman_session_run(session, x, 1, NULL), NULL, "y is NULL");
    FAILS(elman_session_run(session, NULL, 1, NULL), NULL, "x is NULL");
    FAILS(elman_session_run(session, x, SIZE_MAX, y), SIZE_OVERFLOW, "the size of x overflows");
    FAILS(elman_session_run(session, state, 2, state + 2), OVERLAP, "y overlaps x, expected separate buffers");
    MISALIGNED(elman_session_run(session, misaligned(), 1, y), "x");
    FAILS(elman_session_clone(NULL, &out), NULL, "session is NULL");
    FAILS(elman_session_clone(session, NULL), NULL, "out is NULL");
    CHECK(elman_session_get_input_size(NULL) == 0 && elman_session_get_output_size(NULL) == 0);
    CHECK(elman_session_get_state_size(NULL) == 0 && elman_session_get_bytes(NULL) == 0);
    CHECK(elman_session_get_streams(NULL) == 0 && elman_session_get_streams(session) == 1);
    FAILS(elman_session_create_many(NULL, 2, &out), NULL, "network is NULL");
    FAILS(elman_session_create_many(network, 2, NULL), NULL, "out is NULL");
    FAILS(elman_session_create_many(network, 0, &out), ZERO_SIZE, "streams is 0, expected at least 1");
    CHECK(elman_session_create_many(network, SIZE_MAX, &out) != ELMAN_OK);
    FAILS(elman_session_reset_stream(NULL, 0), NULL, "session is NULL");
    FAILS(elman_session_reset_stream(session, 1), OUT_OF_RANGE, "stream is 1, expected less than 1");
    FAILS(elman_session_get_stream_state(NULL, 0, state, 3), NULL, "session is NULL");
    FAILS(elman_session_get_stream_state(session, 0, NULL, 3), NULL, "state is NULL");
    FAILS(elman_session_get_stream_state(session, 1, state, 3), OUT_OF_RANGE, "stream is 1, expected less than 1");
    FAILS(elman_session_get_stream_state(session, 0, state, 4), LENGTH, "state has 4 elements, expected 3");
    FAILS(elman_session_set_stream_state(NULL, 0, state, 3), NULL, "session is NULL");
    FAILS(elman_session_set_stream_state(session, 0, NULL, 3), NULL, "state is NULL");
    FAILS(elman_session_set_stream_state(session, 7, state, 3), OUT_OF_RANGE, "stream is 7, expected less than 1");
    FAILS(elman_session_set_stream_state(session, 0, state, 2), LENGTH, "state has 2 elements, expected 3");
    FAILS(elman_session_reset(NULL), NULL, "session is NULL");
    FAILS(elman_session_get_state(NULL, state, 3), NULL, "session is NULL");
    FAILS(elman_session_get_state(session, NULL, 3), NULL, "state is NULL");
    FAILS(elman_session_get_state(session, state, 4), LENGTH, "state has 4 elements, expected 3");
    FAILS(elman_session_set_state(NULL, state, 3), NULL, "session is NULL");
    FAILS(elman_session_set_state(session, NULL, 3), NULL, "state is NULL");
    FAILS(elman_session_set_state(session, state, 2), LENGTH, "state has 2 elements, expected 3");
    FAILS(elman_session_set_state(session, state, SIZE_MAX), SIZE_OVERFLOW, "the size of state overflows");
    CHECK(out == session && y[0] == 7.0f && state[0] == 7.0f);
    elman_session_destroy(NULL);
}

/* Loads a file whose first `size` bytes are `bytes`, which is no network. */
static elman_status load_of(const void *bytes, size_t size, elman_network **out) {
    FILE *file = fopen("wrong_input.safetensors", "wb");
    CHECK(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
    return elman_load("wrong_input.safetensors", out);
}

static void files(void) {
    elman_network *out = network;
    FAILS(elman_save(NULL, "x"), NULL, "network is NULL");
    FAILS(elman_save(network, NULL), NULL, "path is NULL");
    FAILS(elman_save(network, "missing/x"), IO, "missing/x: No such file or directory (os error 2)");
    FAILS(elman_save(network, "."), FORMAT, ".: not a regular file, expected one");
    FAILS(elman_save_onnx(NULL, "x"), NULL, "network is NULL");
    FAILS(elman_save_onnx(network, NULL), NULL, "path is NULL");
    FAILS(elman_save_onnx(network, "missing/x"), IO, "missing/x: No such file or directory (os error 2)");
    FAILS(elman_load(NULL, &out), NULL, "path is NULL");
    FAILS(elman_load("x", NULL), NULL, "out is NULL");
    FAILS(elman_load("missing.safetensors", &out), IO,
          "missing.safetensors: No such file or directory (os error 2)");

    elman_optimizer *other_optimizer = optimizer;
    FAILS(elman_optimizer_save(NULL, "x"), NULL, "optimizer is NULL");
    FAILS(elman_optimizer_save(optimizer, NULL), NULL, "path is NULL");
    FAILS(elman_optimizer_save(optimizer, "missing/x"), IO, "missing/x: No such file or directory (os error 2)");
    FAILS(elman_optimizer_save(optimizer, "."), FORMAT, ".: not a regular file, expected one");
    FAILS(elman_optimizer_load(NULL, &other_optimizer), NULL, "path is NULL");
    FAILS(elman_optimizer_load("x", NULL), NULL, "out is NULL");
    FAILS(elman_optimizer_load("missing", &other_optimizer), IO, "missing: No such file or directory (os error 2)");
    OK(elman_save(network, "wrong_input.safetensors"));
    FAILS(elman_optimizer_load("wrong_input.safetensors", &other_optimizer), FORMAT,
          "wrong_input.safetensors: no metadata 'elman.optimizer', expected that of an optimizer saved by elman: the "
          "file is a safetensors file of something else (tensors: 6)");
    CHECK(other_optimizer == optimizer);

    /* Every truncation, and every damaged byte of the header, of a file that is right. */
    static unsigned char bytes[8192], damaged[8192];
    OK(elman_save(network, "wrong_input.safetensors"));
    FILE *file = fopen("wrong_input.safetensors", "rb");
    CHECK(file != NULL);
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    CHECK(size > 100 && size < sizeof bytes && fclose(file) == 0);
    size_t written = 7;
    FAILS(elman_save_memory(NULL, damaged, sizeof damaged, &written), NULL, "network is NULL");
    FAILS(elman_save_memory(network, damaged, SIZE_MAX, &written), SIZE_OVERFLOW, "the size of bytes overflows");
    CHECK(elman_save_memory(network, damaged, size - 1, &written) == ELMAN_ERROR_LENGTH);
    CHECK(strstr(elman_last_error(), "bytes has ") == elman_last_error() && damaged[0] == 0 && written == 7);
    OK(elman_save_memory(network, damaged, size, &written));
    CHECK(written == size && memcmp(bytes, damaged, size) == 0);
    for (size_t end = 0; end < size; end++) {
        CHECK(load_of(bytes, end, &out) == ELMAN_ERROR_FORMAT);
        CHECK(elman_load_memory(bytes, end, &out) == ELMAN_ERROR_FORMAT);
    }
    memcpy(damaged, bytes, size);
    memset(damaged, 0xff, 8);
    CHECK(load_of(damaged, size, &out) == ELMAN_ERROR_FORMAT);
    CHECK(strncmp(elman_last_error(), "wrong_input.safetensors: ", 25) == 0);
    CHECK(out == network);
    for (size_t at = 0; at < 400; at++) {
        memcpy(damaged, bytes, size);
        damaged[at] ^= 0x11;
        elman_network *loaded = NULL;
        const elman_status status = load_of(damaged, size, &loaded);
        CHECK((status == ELMAN_OK) == (loaded != NULL));
        CHECK(status == ELMAN_OK || status == ELMAN_ERROR_FORMAT || status == ELMAN_ERROR_OUT_OF_MEMORY);
        elman_destroy(loaded);
    }
    /* A file of the right format that holds something else. */
    const char other[] = "\x40\0\0\0\0\0\0\0"
                         "{\"weights\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}    \0\0\0\0";
    out = network;
    FAILS(load_of(other, sizeof other - 1, &out), FORMAT,
          "wrong_input.safetensors: no metadata 'elman', expected that of a network saved by elman: the file is a "
          "safetensors file of something else (tensors: 1)");
    const char zip[] = "PK\3\4\x14\0\0\x08\x08\0 archive/data.pkl";
    FAILS(load_of(zip, sizeof zip, &out), FORMAT,
          "wrong_input.safetensors: a PyTorch checkpoint (a zip file of torch.save), expected a safetensors file that "
          "elman has saved");
    FAILS(elman_load_memory((const unsigned char *)"\1\2\3\4\5\6\7\xff{}", 10, &out), FORMAT,
          "the bytes: no safetensors file: it begins with the bytes [01, 02, 03, 04, 05, 06, 07, ff], which are no length "
          "of a header, expected a safetensors file that elman has saved");
    FAILS(elman_import_memory((const unsigned char *)zip, sizeof zip, NULL, &out), FORMAT,
          "the bytes: a PyTorch checkpoint (a zip file of torch.save), expected a state dict of PyTorch as safetensors or "
          "JSON, an ONNX graph, a model of RTNeural, AIDA-X, GuitarML or Neural Amp Modeler as JSON, or a file that elman has "
          "saved");
    /* As another system's file it is a vector that belongs to nothing. */
    const unsigned char *const vector = (const unsigned char *)other;
    const size_t vector_size = sizeof other - 1;
    elman_import_options import;
    char text[200];
    snprintf(text, sizeof text, "size is 0, expected %zu, as in the header of this version", sizeof import);
    FAILS(elman_import_options_init(&import, 0), MISMATCH, text);
    FAILS(elman_import_options_init(NULL, sizeof import), NULL, "options is NULL");
    OK(elman_import_options_init(&import, sizeof import));
    FAILS(elman_import_memory(vector, vector_size, &import, &out), FORMAT,
          "the bytes: module (no name): tensor weights, which no module that can be taken has");
    import.description = "{\"layers\": 3}";
    FAILS(elman_import_memory(vector, vector_size, &import, &out), FORMAT,
          "the bytes: the description: invalid type: integer `3`, expected a sequence at line 1 column 12");
    import.description = "\xff";
    FAILS(elman_import_memory(vector, vector_size, &import, &out), MISMATCH,
          "description is '\xef\xbf\xbd', expected UTF-8 text");
    import.size = 3;
    snprintf(text, sizeof text, "the size field of options is 3, expected %zu, as in the header of this version",
             sizeof import);
    FAILS(elman_import("wrong_input.safetensors", &import, &out), MISMATCH, text);
    FAILS(elman_import(NULL, NULL, &out), NULL, "path is NULL");
    FAILS(elman_import("wrong_input.safetensors", NULL, NULL), NULL, "out is NULL");
    CHECK(elman_import("no such file", NULL, &out) == ELMAN_ERROR_IO);
    FAILS(elman_import_memory(NULL, size, NULL, &out), NULL, "bytes is NULL");
    FAILS(elman_import_memory(bytes, size, NULL, NULL), NULL, "out is NULL");
    FAILS(elman_load_memory(NULL, size, &out), NULL, "bytes is NULL");
    FAILS(elman_load_memory(bytes, size, NULL), NULL, "out is NULL");
    FAILS(elman_load_memory(bytes, SIZE_MAX, &out), SIZE_OVERFLOW, "the size of bytes overflows");
    CHECK(out == network);
    OK(load_of(bytes, size, &out));
    CHECK(out != network);
    elman_destroy(out);
    unchanged();
    remove("wrong_input.safetensors");
}

/* A call by name: the message in the caller's room is the thread's last one. */
static elman_status by_name(const char *function, const uint64_t *arguments, size_t number) {
    char message[256];
    memset(message, 'x', sizeof message);
    const elman_status status = elman_call(function, arguments, number, message, sizeof message);
    CHECK(strcmp(message, status == ELMAN_OK ? "" : elman_last_error()) == 0);
    return status;
}

static void names(void) {
    const uint64_t of = (uintptr_t)network;
    const uint64_t wide[] = {of, 1, (uint64_t)1 << 32}, more[] = {of, 1, 0, 0};
    FAILS(by_name(NULL, more, 3), NULL, "function is NULL");
    FAILS(by_name("elman_add_rnn", NULL, 3), NULL, "arguments is NULL");
    FAILS(by_name("", more, 3), UNKNOWN_CONSTANT,
          "function is '', expected the name of one that returns a status or destroys an object");
    FAILS(by_name("elman_add_rnn ", more, 3), UNKNOWN_CONSTANT,
          "function is 'elman_add_rnn ', expected the name of one that returns a status or destroys an object");
    FAILS(by_name("elman_add_dense_and_whatever_else_has_such_a_long_name_that_it_is_cut", more, 3), UNKNOWN_CONSTANT,
          "function is 'elman_add_dense_and_whatever_else_has_such_a_long_name_that_it_i', expected the name of one that "
          "returns a status or destroys an object");
    FAILS(by_name("elman_add_rnn", more, 4), LENGTH, "count is 4, expected 3 for elman_add_rnn(network, units, activation)");
    FAILS(by_name("elman_add_rnn", NULL, 0), LENGTH, "count is 0, expected 3 for elman_add_rnn(network, units, activation)");
    FAILS(by_name("elman_add_rnn", wide, SIZE_MAX), LENGTH,
          "count is 18446744073709551615, expected 3 for elman_add_rnn(network, units, activation)");
    FAILS(by_name("elman_add_rnn", wide, 3), OUT_OF_RANGE,
          "activation is 4294967296, expected a uint32_t, at most 4294967295");
    const uint64_t bits[] = {of, UINT64_MAX};
    FAILS(by_name("elman_add_dropout", bits, 2), OUT_OF_RANGE,
          "rate is 18446744073709551615, expected the bits of a float in the low 32, and no others");
    char text[100];
    const void *at = misaligned();
    snprintf(text, sizeof text, "arguments is at address %p, expected a multiple of 8", at);
    FAILS(by_name("elman_add_rnn", at, 3), ALIGNMENT, text);

    /* What the functions themselves say. */
    const uint64_t unknown[] = {of, 1, 99}, none[] = {0, 1, 0};
    FAILS(by_name("elman_add_rnn", none, 3), NULL, "network is NULL");
    FAILS(by_name("elman_add_rnn", unknown, 3), UNKNOWN_CONSTANT,
          "activation is 99, which names nothing; known are ELMAN_TANH to ELMAN_THRESHOLDED_RELU (0 to 12)");

    /* Room for the message: none, nothing, little, and where the arguments are. */
    char message[] = "xxxxxxxxxxxx";
    FAILS(elman_call("elman_add_rnn", none, 3, NULL, 100), NULL, "network is NULL");
    FAILS(elman_call("elman_add_rnn", none, 3, message, 0), NULL, "network is NULL");
    SAME(message, "xxxxxxxxxxxx", sizeof message);
    FAILS(elman_call("elman_add_rnn", none, 3, message, 1), NULL, "network is NULL");
    SAME(message, "\0xxxxxxxxxxx", sizeof message);
    FAILS(elman_call("elman_add_rnn", none, 3, message, 8), NULL, "network is NULL");
    SAME(message, "network\0xxxx", sizeof message);
    FAILS(elman_call("\xc3\xa9", none, 3, message, 13), UNKNOWN_CONSTANT,
          "function is '\xc3\xa9', expected the name of one that returns a status or destroys an object");
    SAME(message, "function is ", sizeof message);
    FAILS(elman_call("elman_add_rnn", none, 3, message, SIZE_MAX), SIZE_OVERFLOW, "the size of message overflows");
    uint64_t shared[] = {0, 1, 0};
    FAILS(elman_call("elman_add_rnn", shared, 3, (char *)(shared + 2), 8), OVERLAP,
          "message overlaps arguments, expected separate buffers");
    SAME(shared, none, 3);
}

/* An index that names no row of its table changes nothing. */
static void indices(void) {
    elman_network *embedding;
    elman_session *stream;
    const size_t column = 1;
    const float right[] = {3.0f, 2.0f}, wrong[] = {3.0f, 2.5f};
    const char *message = "x of sequence 0 at step 0 in column 1 is 2.5, expected an integer of at least 0 and less than 3";
    float y[3], again[3];
    OK(elman_create(2, &embedding));
    OK(elman_add_embedding(embedding, &column, 1, 3, 2));
    OK(elman_predict(embedding, right, 1, 1, NULL, NULL, y, NULL));
    FAILS(elman_predict(embedding, wrong, 1, 1, NULL, NULL, again, NULL), OUT_OF_RANGE, message);
    FAILS(elman_forward(embedding, wrong, 1, 1, NULL, NULL, again, NULL), OUT_OF_RANGE, message);
    OK(elman_session_create(embedding, &stream));
    FAILS(elman_session_step(stream, wrong, again), OUT_OF_RANGE, message);
    OK(elman_session_step(stream, right, again));
    CHECK(memcmp(again, y, sizeof y) == 0);
    elman_session_destroy(stream);
    elman_destroy(embedding);
}

int main(void) {
    CHECK(strcmp(elman_last_error(), "") == 0);
    OK(elman_create(2, &network));
    OK(elman_add_rnn(network, 3, ELMAN_TANH));
    OK(elman_add_dense(network, 2, ELMAN_LINEAR));
    OK(elman_initialize(network, ELMAN_INIT_PYTORCH, 1.0f, 5));
    OK(elman_sgd_create(0.5, 0.9, 0, 0.0, &optimizer));
    OK(elman_dataset_create_classes(2, x, lengths, 2, labels, 2, 0, &dataset));
    OK(elman_session_create(network, &session));
    float y[2];
    OK(elman_session_step(session, x, y));
    OK(elman_forward(network, x, 2, 3, lengths, NULL, NULL, NULL));
    OK(elman_backward(network, x, NULL, NULL, NULL));
    count = elman_parameter_count(network);
    CHECK(count == 26);
    snapshot(parameters_before, gradients_before, y_before, state_before);

    networks();
    runs(0);
    runs(1);
    training();
    parameters();
    optimizers();
    datasets();
    losses();
    ctc();
    fits();
    sessions();
    files();
    names();
    indices();
    CHECK(strcmp(elman_status_string(ELMAN_OK), "success") == 0);
    CHECK(strcmp(elman_status_string(-1), "unknown status") == 0);
    CHECK(strcmp(elman_status_string(ELMAN_ERROR_UNSUPPORTED + 1), "unknown status") == 0);

    elman_session_destroy(session);
    elman_dataset_destroy(dataset);
    elman_optimizer_destroy(optimizer);
    elman_destroy(network);
    puts("ok");
    return 0;
}
