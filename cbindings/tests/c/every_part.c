/* Every part of the library, used rightly. The argument is the directory of the Japanese Vowels data set. */
#include "check.h"
#include <pthread.h>
#include <stddef.h>

enum { INPUT = 3, BATCH = 4, STEPS = 6, X = BATCH * STEPS * INPUT };

static const size_t lengths[BATCH] = {6, 2, 5, 1};
static float x[X];

static elman_network *network_of(uint32_t output) {
    elman_network *network;
    OK(elman_create(INPUT, &network));
    OK(elman_add_rnn(network, 5, ELMAN_TANH));
    OK(elman_add_rnn(network, 4, ELMAN_SIGMOID));
    OK(elman_add_dropout(network, 0.25f));
    OK(elman_add_dense(network, 3, ELMAN_RELU));
    OK(elman_add_dense(network, 2, ELMAN_LINEAR));
    OK(elman_set_output(network, output));
    OK(elman_initialize(network, ELMAN_INIT_GLOROT_UNIFORM, 1.0f, 7));
    const float mean[INPUT] = {0.1f, 0.2f, 0.3f}, deviation[INPUT] = {1.0f, 2.0f, 0.5f};
    OK(elman_set_standardization(network, mean, deviation, INPUT));
    return network;
}

static void version_and_tier(void) {
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", ELMAN_VERSION_MAJOR, ELMAN_VERSION_MINOR, ELMAN_VERSION_PATCH);
    CHECK(strcmp(elman_version(), version) == 0);
    CHECK(strcmp(elman_tier(), "") != 0);
}

static void settings(void) {
    elman_network *network = network_of(ELMAN_OUTPUT_ALL);
    CHECK(elman_input_size(network) == INPUT && elman_output_size(network) == 2 && elman_state_size(network) == 9);
    CHECK(elman_output(network) == ELMAN_OUTPUT_ALL && elman_threads(network) == 1);
    const size_t count = elman_parameter_count(network);
    CHECK(count == (3 + 5 + 1) * 5 + (5 + 4 + 1) * 4 + (4 + 1) * 3 + (3 + 1) * 2);

    float mean[INPUT], deviation[INPUT];
    OK(elman_get_standardization(network, mean, deviation, INPUT));
    CHECK(mean[2] == 0.3f && deviation[1] == 2.0f);
    OK(elman_set_standardization(network, NULL, NULL, 0));
    OK(elman_get_standardization(network, mean, deviation, INPUT));
    CHECK(mean[2] == 0.0f && deviation[1] == 1.0f);

    float *parameters = floats(count), *again = floats(count);
    for (uint32_t scheme = ELMAN_INIT_PYTORCH; scheme <= ELMAN_INIT_CONSTANT; scheme++) {
        OK(elman_initialize(network, scheme, 0.5f, 3));
        OK(elman_get_parameters(network, parameters, count));
        OK(elman_initialize(network, scheme, 0.5f, 3));
        OK(elman_get_parameters(network, again, count));
        SAME(parameters, again, count);
        OK(elman_initialize(network, scheme, 0.5f, 4));
        OK(elman_get_parameters(network, again, count));
        CHECK((memcmp(parameters, again, count * sizeof *again) == 0) == (scheme == ELMAN_INIT_CONSTANT));
    }
    for (size_t i = 0; i < count; i++) CHECK(parameters[i] == 0.5f);
    free(parameters), free(again);
    elman_destroy(network);
}

/* Layers start when they are added, tell what they are, and run in place where outputs are as wide as inputs. */
static void layers(void) {
    elman_network *network;
    OK(elman_create(INPUT, &network));
    CHECK(elman_layer_count(network) == 0);
    OK(elman_set_seed(network, 5));
    OK(elman_add_rnn(network, 4, ELMAN_RELU));
    OK(elman_add_dropout(network, 0.25f));
    OK(elman_add_dense(network, INPUT, ELMAN_SIGMOID));
    const size_t count = elman_parameter_count(network);
    float *drawn = floats(count), *again = floats(count);
    OK(elman_get_parameters(network, drawn, count));
    for (size_t i = 0; i < count; i++) CHECK(drawn[i] != 0.0f);
    OK(elman_initialize(network, ELMAN_INIT_PYTORCH, 1.0f, 5));
    OK(elman_get_parameters(network, again, count));
    SAME(drawn, again, count);
    free(drawn), free(again);

    const elman_layer_info expected[] = {
        {sizeof(elman_layer_info), ELMAN_LAYER_RNN, ELMAN_RELU, 0.0, INPUT, 4, 0, 32, 3, 0, 4, 1, 0.0, 0.0, 0.0, 0, 0, 4},
        {sizeof(elman_layer_info), ELMAN_LAYER_DROPOUT, ELMAN_LINEAR, 0.25, 4, 4, 32, 0, 0, 4, 0, 1, 0.0, 0.0, 0.0, 0, 0, 0},
        {sizeof(elman_layer_info), ELMAN_LAYER_DENSE, ELMAN_SIGMOID, 0.0, 4, INPUT, 32, 15, 2, 4, 0, 1, 0.0, 0.0, 0.0, 0, 0, INPUT},
    };
    const char *names[] = {"W_x", "W_h", "b", "W", "b"};
    size_t named = 0;
    CHECK(elman_layer_count(network) == 3);
    for (size_t layer = 0; layer < 3; layer++) {
        elman_layer_info info;
        OK(elman_get_layer_info(network, layer, &info, sizeof info));
        CHECK(memcmp(&info, &expected[layer], offsetof(elman_layer_info, trainable)) == 0 && info.trainable == 1);
        CHECK(info.units == expected[layer].units);
        size_t offset = info.parameter_offset;
        for (size_t index = 0; index < info.tensor_count; index++) {
            elman_tensor_info tensor;
            OK(elman_get_tensor_info(network, layer, index, &tensor, sizeof tensor));
            CHECK(tensor.size == sizeof tensor && strcmp(tensor.name, names[named++]) == 0);
            CHECK(tensor.parameter_offset == offset && tensor.columns == info.output_size);
            offset += tensor.rows * tensor.columns;
        }
        CHECK(offset == info.parameter_offset + info.parameter_count);
    }
    CHECK(named == 5);

    elman_session *session;
    OK(elman_session_create(network, &session));
    float y[X], in_place[X];
    memcpy(in_place, x, sizeof in_place);
    OK(elman_session_run(session, x, BATCH * STEPS, y));
    OK(elman_session_reset(session));
    OK(elman_session_run(session, in_place, BATCH * STEPS, in_place));
    SAME(y, in_place, X);
    elman_session_destroy(session);
    elman_destroy(network);
}

/* Every activation, as a layer of its own, tells its parameters, and has ONNX' where a dense layer has it. */
static void activations(void) {
    static const struct {
        uint32_t activation;
        float alpha, beta, at_minus_2, at_half;
        double told[2];
    } cases[] = {
        {ELMAN_TANH, 9.0f, 9.0f, -0.96402758f, 0.46211717f, {0.0, 0.0}},
        {ELMAN_RELU, -1.0f, NAN, 0.0f, 0.5f, {0.0, 0.0}},
        {ELMAN_SIGMOID, 0.0f, 0.0f, 0.11920292f, 0.62245935f, {0.0, 0.0}},
        {ELMAN_LINEAR, 0.0f, 0.0f, -2.0f, 0.5f, {0.0, 0.0}},
        {ELMAN_HARD_SIGMOID, 0.125f, 0.5f, 0.25f, 0.5625f, {0.125, 0.5}},
        {ELMAN_HARD_TANH, 0.0f, 0.0f, -1.0f, 0.5f, {0.0, 0.0}},
        {ELMAN_LEAKY_RELU, 0.25f, 9.0f, -0.5f, 0.5f, {0.25, 0.0}},
        {ELMAN_ELU, 0.5f, 9.0f, -0.43233237f, 0.5f, {0.5, 0.0}},
        {ELMAN_SOFTSIGN, 0.0f, 0.0f, -0.6666667f, 0.33333334f, {0.0, 0.0}},
        {ELMAN_SOFTPLUS, 0.0f, 0.0f, 0.126928f, 0.974077f, {0.0, 0.0}},
        {ELMAN_AFFINE, -2.0f, 0.5f, 4.5f, -0.5f, {-2.0, 0.5}},
        {ELMAN_SCALED_TANH, 1.5f, 0.5f, -1.1423912f, 0.367378f, {1.5, 0.5}},
        {ELMAN_THRESHOLDED_RELU, 0.25f, 9.0f, 0.0f, 0.5f, {0.25, 0.0}},
    };
    const float line[] = {-2.0f, 0.5f}, identity[] = {1.0f, 0.0f};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        elman_network *network, *dense, *defaults;
        elman_layer_info info;
        float y[2], of_dense[2], of_defaults[2];
        OK(elman_create(1, &network));
        OK(elman_add_activation(network, cases[i].activation, cases[i].alpha, cases[i].beta));
        OK(elman_predict(network, line, 2, 1, NULL, NULL, y, NULL));
        CHECK(fabsf(y[0] - cases[i].at_minus_2) < 2e-6f && fabsf(y[1] - cases[i].at_half) < 2e-6f);
        OK(elman_get_layer_info(network, 0, &info, sizeof info));
        CHECK(info.kind == ELMAN_LAYER_ACTIVATION && info.activation == cases[i].activation);
        CHECK(info.alpha == cases[i].told[0] && info.beta == cases[i].told[1]);
        CHECK(info.parameter_count == 0 && info.output_size == 1);
        /* A program of before the struct had these: they are left alone. */
        const size_t first = offsetof(elman_layer_info, alpha);
        info.alpha = 77.0;
        OK(elman_get_layer_info(network, 0, &info, first));
        CHECK(info.size == first && info.alpha == 77.0);

        OK(elman_create(1, &dense));
        OK(elman_add_dense(dense, 1, cases[i].activation));
        OK(elman_set_parameters(dense, identity, 2));
        OK(elman_predict(dense, line, 2, 1, NULL, NULL, of_dense, NULL));
        OK(elman_get_layer_info(dense, 0, &info, sizeof info));
        CHECK(info.kind == ELMAN_LAYER_DENSE && info.activation == cases[i].activation);
        OK(elman_create(1, &defaults));
        OK(elman_add_activation(defaults, info.activation, (float)info.alpha, (float)info.beta));
        OK(elman_predict(defaults, line, 2, 1, NULL, NULL, of_defaults, NULL));
        CHECK(of_dense[0] == of_defaults[0] && of_dense[1] == of_defaults[1]);
        elman_destroy(network), elman_destroy(dense), elman_destroy(defaults);
    }
}

static void expect_parameters(const elman_network *network, const elman_network *other) {
    const size_t count = elman_parameter_count(network);
    float *left = floats(count), *right = floats(count);
    OK(elman_get_parameters(network, left, count));
    OK(elman_get_parameters(other, right, count));
    SAME(left, right, count);
    free(left), free(right);
}

/* Recurrent layers with options tell them, and what their tensors are. */
static void recurrent_layers(void) {
    elman_network *network, *plain;
    elman_recurrent_options options, found;
    memset(&options, 0xee, sizeof options);
    OK(elman_recurrent_options_init(&options, sizeof options));
    CHECK(options.size == sizeof options && options.direction == ELMAN_FORWARD && options.bias == 1);
    CHECK(options.merge == ELMAN_MERGE_CONCAT && options.last == ELMAN_LAST_STATE);
    CHECK(options.reset == ELMAN_RESET_AFTER && options.initial_state == ELMAN_INITIAL_ZEROS);
    CHECK(options.peepholes == 0 && options.coupled == 0 && options.projection == 0);
    CHECK(options.clip_sums == 0.0 && options.clip_state == 0.0 && isnan(options.forget_bias));
    CHECK(options.recurrent_dropout == 0.0 && options.zoneout == 0.0 && options.zoneout_cell == 0.0);
    for (size_t way = 0; way < 2; way++) {
        CHECK(options.gates[way] == ELMAN_SIGMOID && options.candidate[way] == ELMAN_TANH);
        CHECK(options.output[way] == ELMAN_TANH && isnan(options.gates_alpha[way]) && isnan(options.output_beta[way]));
    }

    /* With the defaults, and with NULL, elman_add_recurrent() is elman_add_rnn(). */
    OK(elman_create(INPUT, &network));
    OK(elman_create(INPUT, &plain));
    OK(elman_add_recurrent(network, 4, ELMAN_RELU, NULL));
    OK(elman_add_recurrent(network, 3, ELMAN_TANH, &options));
    OK(elman_add_rnn(plain, 4, ELMAN_RELU));
    OK(elman_add_rnn(plain, 3, ELMAN_TANH));
    expect_parameters(network, plain);
    elman_destroy(plain);

    OK(elman_add_gru(network, 5, NULL));
    options.direction = ELMAN_BIDIRECTIONAL;
    options.merge = ELMAN_MERGE_SUM;
    options.last = ELMAN_LAST_STEP;
    options.peepholes = 1;
    options.projection = 2;
    options.initial_state = ELMAN_INITIAL_TRAINABLE;
    options.clip_sums = 50.0;
    options.clip_state = 40.0;
    options.recurrent_dropout = 0.25;
    options.zoneout = 0.125;
    options.zoneout_cell = 0.5;
    options.gates[1] = ELMAN_TANH;
    options.candidate[0] = ELMAN_RELU;
    options.output[1] = ELMAN_LINEAR;
    OK(elman_add_lstm(network, 6, &options));
    CHECK(elman_output_size(network) == 2 && elman_state_size(network) == 4 + 3 + 5 + 2 * (2 + 6));

    OK(elman_get_recurrent_options(network, 3, &found, sizeof found));
    CHECK(found.size == sizeof found && found.direction == ELMAN_BIDIRECTIONAL && found.merge == ELMAN_MERGE_SUM);
    CHECK(found.last == ELMAN_LAST_STEP && found.bias == 1 && found.peepholes == 1 && found.projection == 2);
    CHECK(found.initial_state == ELMAN_INITIAL_TRAINABLE && found.clip_sums == 50.0 && found.clip_state == 40.0);
    CHECK(found.recurrent_dropout == 0.25 && found.zoneout == 0.125 && found.zoneout_cell == 0.5);
    CHECK(isnan(found.forget_bias) && found.gates[0] == ELMAN_SIGMOID && found.gates[1] == ELMAN_TANH);
    CHECK(found.candidate[0] == ELMAN_RELU && found.candidate[1] == ELMAN_TANH);
    CHECK(found.output[0] == ELMAN_TANH && found.output[1] == ELMAN_LINEAR && found.coupled == 0);

    static const struct {
        const char *name;
        size_t rows, columns, gates;
    } gru[] = {{"W_x", 3, 15, 3}, {"W_h", 5, 15, 3}, {"b", 1, 15, 3}, {"q", 1, 5, 1}},
      lstm[] = {{"W_x", 5, 24, 4}, {"W_h", 2, 24, 4}, {"b", 1, 24, 4},  {"p", 3, 6, 1},
                {"R", 6, 2, 1},    {"h_0", 1, 2, 1},  {"c_0", 1, 6, 1}};
    elman_layer_info info;
    elman_tensor_info tensor;
    OK(elman_get_layer_info(network, 2, &info, sizeof info));
    CHECK(info.kind == ELMAN_LAYER_GRU && info.activation == ELMAN_LINEAR && info.output_size == 5 && info.units == 5);
    CHECK(info.state_size == 5 && info.tensor_count == COUNT(gru));
    size_t offset = info.parameter_offset;
    for (size_t i = 0; i < COUNT(gru); i++) {
        OK(elman_get_tensor_info(network, 2, i, &tensor, sizeof tensor));
        CHECK(strcmp(tensor.name, gru[i].name) == 0 && tensor.rows == gru[i].rows && tensor.columns == gru[i].columns);
        CHECK(tensor.gates == gru[i].gates && tensor.direction == ELMAN_FORWARD && tensor.parameter_offset == offset);
        offset += tensor.rows * tensor.columns;
    }
    OK(elman_get_layer_info(network, 3, &info, sizeof info));
    CHECK(info.kind == ELMAN_LAYER_LSTM && info.state_size == 16 && info.tensor_count == 2 * COUNT(lstm));
    CHECK(info.units == 6 && found.projection == 2);
    for (size_t i = 0; i < info.tensor_count; i++) {
        const size_t at = i % COUNT(lstm);
        const uint32_t direction = i < COUNT(lstm) ? ELMAN_FORWARD : ELMAN_REVERSE;
        OK(elman_get_tensor_info(network, 3, i, &tensor, sizeof tensor));
        CHECK(strcmp(tensor.name, lstm[at].name) == 0 && tensor.rows == lstm[at].rows);
        CHECK(tensor.columns == lstm[at].columns && tensor.gates == lstm[at].gates);
        CHECK(tensor.direction == direction && tensor.parameter_offset == offset);
        offset += tensor.rows * tensor.columns;
    }
    CHECK(offset == elman_parameter_count(network));

    /* A program with the header of the first version of the struct for tensors. */
    memset(&tensor, 0xee, sizeof tensor);
    OK(elman_get_tensor_info(network, 3, 0, &tensor, offsetof(elman_tensor_info, gates)));
    CHECK(tensor.rows == 5 && tensor.gates == 0xeeeeeeee && tensor.direction == 0xeeeeeeee);
    elman_destroy(network);
}

/* Layers that stand around the cells: what they compute, what they say they are, and the same from a file. */
static void around(void) {
    elman_network *network, *loaded;
    elman_layer_info info;
    OK(elman_create(2, &network));
    const size_t columns[] = {1}, layers[] = {0, 2, 1};
    OK(elman_add_embedding(network, columns, 1, 3, 2)); /* a, E[i] */
    OK(elman_add_layer_norm(network, 1e-5f));
    OK(elman_add_residual(network, 1));
    OK(elman_add_concat(network, layers, 3));
    OK(elman_set_output(network, ELMAN_OUTPUT_ALL));
    const float parameters[] = {1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 7.0f, 1.0f, 1.0f, 1.0f, 0.0f, 0.0f, 0.5f};
    CHECK(elman_parameter_count(network) == 12 && elman_output_size(network) == 8);
    OK(elman_set_parameters(network, parameters, 12));
    /* Of index 2: E[2] is 5 and 7, and 3, 5, 7 have mean 5 and variance 8 / 3. */
    const float in[] = {3.0f, 2.0f}, norm = 2.0f / sqrtf(8.0f / 3.0f);
    const float expected[] = {3.0f, 2.0f, -norm, 0.0f, norm + 0.5f, 3.0f, 5.0f, 7.0f};
    float y[8], again[8];
    OK(elman_predict(network, in, 1, 1, NULL, NULL, y, NULL));
    for (size_t i = 0; i < 8; i++) {
        CHECK(fabsf(y[i] - expected[i]) < 1e-4f);
    }
    float dx[2], *gradients;
    const float dy[8] = {1.0f, 1.0f, 0.0f, 0.0f, 0.0f, 1.0f, 2.0f, 3.0f};
    OK(elman_forward(network, in, 1, 1, NULL, NULL, NULL, NULL));
    OK(elman_backward(network, dy, NULL, dx, NULL));
    OK(elman_gradients(network, &gradients, NULL));
    CHECK(dx[0] == 2.0f && dx[1] == 0.0f);
    CHECK(gradients[0] == 0.0f && gradients[3] == 0.0f && gradients[4] == 2.0f && gradients[5] == 3.0f);

    elman_session *session;
    OK(elman_session_create(network, &session));
    OK(elman_session_step(session, in, again));
    CHECK(memcmp(again, y, sizeof y) == 0);
    elman_session_destroy(session);

    OK(elman_save(network, "around.safetensors"));
    OK(elman_load("around.safetensors", &loaded));
    remove("around.safetensors");
    OK(elman_predict(loaded, in, 1, 1, NULL, NULL, again, NULL));
    CHECK(memcmp(again, y, sizeof y) == 0);
    size_t numbers[3];
    OK(elman_get_layer_info(loaded, 0, &info, sizeof info));
    CHECK(info.kind == ELMAN_LAYER_EMBEDDING && info.classes == 3 && info.number_count == 1);
    CHECK(info.input_size == 2 && info.output_size == 3 && info.units == 2);
    OK(elman_get_layer_numbers(loaded, 0, numbers, 1));
    CHECK(numbers[0] == 1);
    OK(elman_get_layer_info(loaded, 1, &info, sizeof info));
    CHECK(info.kind == ELMAN_LAYER_NORM && fabs(info.epsilon - 1e-5) < 1e-10 && info.number_count == 0);
    CHECK(info.units == 0);
    OK(elman_get_layer_info(loaded, 2, &info, sizeof info));
    CHECK(info.kind == ELMAN_LAYER_RESIDUAL && info.number_count == 1);
    OK(elman_get_layer_numbers(loaded, 2, numbers, 1));
    CHECK(numbers[0] == 1);
    OK(elman_get_layer_info(loaded, 3, &info, sizeof info));
    CHECK(info.kind == ELMAN_LAYER_CONCAT && info.number_count == 3 && info.output_size == 8);
    OK(elman_get_layer_numbers(loaded, 3, numbers, 3));
    CHECK(memcmp(numbers, layers, sizeof layers) == 0);
    elman_destroy(network), elman_destroy(loaded);
}

/* The same bits whether a batch is run as a whole, on threads, in pieces, or step by step; loaded or not. */
static void same_bits(void) {
    elman_network *network = network_of(ELMAN_OUTPUT_ALL), *loaded;
    const size_t y_count = BATCH * STEPS * 2, state_count = BATCH * 9;
    float *y = floats(y_count), *state = floats(state_count), *other = floats(y_count), *last = floats(state_count);
    OK(elman_predict(network, x, BATCH, STEPS, lengths, NULL, y, state));

    OK(elman_save(network, "every_part.safetensors"));
    OK(elman_load("every_part.safetensors", &loaded));
    remove("every_part.safetensors");
    CHECK(elman_output(loaded) == ELMAN_OUTPUT_ALL);
    OK(elman_set_threads(loaded, 2));
    OK(elman_set_parallel_threshold(loaded, 0));
    CHECK(elman_threads(loaded) == 2);
    OK(elman_predict(loaded, x, BATCH, STEPS, lengths, NULL, other, last));
    SAME(y, other, y_count);
    SAME(state, last, state_count);

    /* Through memory and as a copy, the same network. */
    size_t size, written;
    OK(elman_save_memory(loaded, NULL, 0, &size));
    unsigned char *bytes = malloc(size + 1);
    OK(elman_save_memory(loaded, bytes, size + 1, &written));
    CHECK(written == size);
    elman_network *third[3];
    OK(elman_load_memory(bytes, size, &third[0]));
    OK(elman_clone(loaded, &third[1]));
    CHECK(elman_threads(third[1]) == 2);
    elman_import_options import;
    OK(elman_import_options_init(&import, sizeof import));
    CHECK(import.size == sizeof import && import.description == NULL);
    OK(elman_import_memory(bytes, size, &import, &third[2]));
    for (size_t i = 0; i < 3; i++) {
        OK(elman_predict(third[i], x, BATCH, STEPS, lengths, NULL, other, last));
        SAME(y, other, y_count);
        elman_destroy(third[i]);
    }
    free(bytes);

    /* To PyTorch and back. */
    elman_network *stack;
    OK(elman_create(INPUT, &stack));
    OK(elman_add_lstm(stack, 4, NULL));
    OK(elman_add_lstm(stack, 4, NULL));
    OK(elman_add_dense(stack, 2, ELMAN_LINEAR));
    OK(elman_set_output(stack, ELMAN_OUTPUT_ALL));
    const char *const modules[] = {"encoder.lstm", "encoder.lstm", "head"};
    OK(elman_save_state_dict(stack, "every_part.safetensors", modules, 3));
    elman_network *back;
    OK(elman_import("every_part.safetensors", NULL, &back));
    remove("every_part.safetensors");
    CHECK(elman_layer_count(back) == 3 && elman_parameter_count(back) == elman_parameter_count(stack));
    float stack_y[2][BATCH * STEPS * 2];
    OK(elman_predict(stack, x, BATCH, STEPS, lengths, NULL, stack_y[0], NULL));
    OK(elman_predict(back, x, BATCH, STEPS, lengths, NULL, stack_y[1], NULL));
    SAME(stack_y[0], stack_y[1], BATCH * STEPS * 2);
    elman_destroy(back);

    /* And to ONNX. */
    OK(elman_save_onnx(stack, "every_part.onnx"));
    OK(elman_import("every_part.onnx", NULL, &back));
    remove("every_part.onnx");
    OK(elman_predict(back, x, BATCH, STEPS, lengths, NULL, stack_y[1], NULL));
    SAME(stack_y[0], stack_y[1], BATCH * STEPS * 2);
    elman_destroy(stack);
    elman_destroy(back);

    /* All sequences side by side, as long as the shortest: those that are one stream each above. */
    elman_session *streams;
    OK(elman_session_create_many(loaded, BATCH, &streams));
    CHECK(elman_session_get_streams(streams) == BATCH && elman_session_get_state_size(streams) == 9);
    for (size_t step = 0; step < 2; step++) {
        float inputs[BATCH * INPUT], answers[BATCH * 2], carried[BATCH * 9], own[9];
        for (size_t i = 0; i < BATCH; i++) {
            memcpy(inputs + i * INPUT, x + (i * STEPS + step) * INPUT, INPUT * sizeof(float));
        }
        OK(elman_session_step(streams, inputs, answers));
        for (size_t i = 0; i < BATCH; i++) {
            if (step < lengths[i]) {
                SAME(answers + i * 2, y + (i * STEPS + step) * 2, 2);
            }
        }
        OK(elman_session_get_state(streams, carried, BATCH * 9));
        OK(elman_session_get_stream_state(streams, BATCH - 1, own, 9));
        SAME(own, carried + (BATCH - 1) * 9, 9);
        OK(elman_session_reset_stream(streams, BATCH - 1));
        OK(elman_session_set_stream_state(streams, BATCH - 1, own, 9));
    }
    elman_session_destroy(streams);

    elman_session *session, *behind, *copy;
    OK(elman_session_create(loaded, &session));
    CHECK(elman_session_get_input_size(session) == INPUT && elman_session_get_output_size(session) == 2);
    CHECK(elman_session_get_state_size(session) == 9);
    CHECK(elman_session_get_bytes(session) > 9 * sizeof(float) && elman_session_get_bytes(session) < 65536);
    OK(elman_session_create(network, &behind));
    elman_destroy(loaded);
    for (size_t sequence = 0; sequence < BATCH; sequence++) {
        OK(elman_session_reset(session));
        OK(elman_session_clone(session, &copy));
        float block[STEPS * 2], end[9];
        OK(elman_session_run(copy, x + sequence * STEPS * INPUT, lengths[sequence], block));
        OK(elman_session_run(copy, NULL, 0, NULL));
        SAME(block, y + sequence * STEPS * 2, lengths[sequence] * 2);
        OK(elman_session_get_state(copy, end, 9));
        SAME(end, state + sequence * 9, 9);
        elman_session_destroy(copy);
        for (size_t step = 0; step < lengths[sequence]; step++) {
            const size_t at = sequence * STEPS + step;
            float answer[2], carried[9];
            OK(elman_session_get_state(session, carried, 9));
            OK(elman_session_set_state(behind, carried, 9));
            OK(elman_session_step(session, x + at * INPUT, answer));
            SAME(answer, y + at * 2, 2);
            OK(elman_session_step(behind, x + at * INPUT, answer));
            SAME(answer, y + at * 2, 2);
        }
        float carried[9];
        OK(elman_session_get_state(session, carried, 9));
        SAME(carried, state + sequence * 9, 9);
        for (size_t step = lengths[sequence]; step < STEPS; step++) {
            CHECK(y[(sequence * STEPS + step) * 2] == 0.0f && y[(sequence * STEPS + step) * 2 + 1] == 0.0f);
        }
    }
    elman_session_destroy(session);
    elman_session_destroy(behind);

    OK(elman_predict(network, x, 1, 2, NULL, NULL, other, last));
    OK(elman_predict(network, x + 2 * INPUT, 1, 4, NULL, last, other + 4, NULL));
    SAME(other, y, STEPS * 2);
    OK(elman_set_output(network, ELMAN_OUTPUT_LAST));
    OK(elman_predict(network, x, BATCH, STEPS, lengths, NULL, other, NULL));
    for (size_t i = 0; i < BATCH; i++) SAME(other + i * 2, y + (i * STEPS + lengths[i] - 1) * 2, 2);
    free(y), free(state), free(other), free(last);
    elman_destroy(network);
}

/* `rows` x `columns` parts of `width` numbers, the other way round. */
static void transpose(const float *from, size_t rows, size_t columns, size_t width, float *to) {
    for (size_t row = 0; row < rows; row++)
        for (size_t column = 0; column < columns; column++)
            memcpy(to + (column * rows + row) * width, from + (row * columns + column) * width, width * sizeof *to);
}

/* Empty sequences are 0 and change nothing; time may come first. */
static void batches(void) {
    elman_network *network = network_of(ELMAN_OUTPUT_ALL), *copy;
    const size_t some[BATCH] = {6, 0, 5, 0}, none[BATCH] = {0}, row = STEPS * 2;
    float y[BATCH * STEPS * 2], state[BATCH * 9], other[BATCH * STEPS * 2], last[BATCH * 9], start[BATCH * 9];
    for (size_t i = 0; i < COUNT(start); i++) start[i] = 0.1f * (float)i;
    OK(elman_predict(network, x, BATCH, STEPS, lengths, start, y, state));
    OK(elman_predict(network, x, BATCH, STEPS, some, start, other, last));
    for (size_t i = 0; i < BATCH; i++) {
        if (some[i] > 0) {
            SAME(other + i * row, y + i * row, row);
            SAME(last + i * 9, state + i * 9, 9);
            continue;
        }
        for (size_t j = 0; j < row; j++) CHECK(other[i * row + j] == 0.0f);
        for (size_t j = 0; j < 9; j++) CHECK(last[i * 9 + j] == 0.0f);
    }
    float dx[X];
    size_t count;
    float *values;
    OK(elman_forward(network, x, BATCH, STEPS, none, start, other, last));
    OK(elman_backward(network, y, state, dx, start));
    OK(elman_gradients(network, &values, &count));
    for (size_t i = 0; i < count; i++) CHECK(values[i] == 0.0f);
    for (size_t i = 0; i < X; i++) CHECK(dx[i] == 0.0f);
    for (size_t i = 0; i < BATCH * 9; i++) CHECK(start[i] == 0.0f && last[i] == 0.0f);

    float turned[X], turned_y[BATCH * STEPS * 2], turned_dx[X];
    CHECK(elman_get_time_major(network) == 0);
    OK(elman_set_seed(network, 3));
    OK(elman_forward(network, x, BATCH, STEPS, some, NULL, y, NULL));
    OK(elman_backward(network, y, NULL, dx, NULL));
    transpose(x, BATCH, STEPS, INPUT, turned);
    OK(elman_set_time_major(network, 1));
    OK(elman_clone(network, &copy));
    CHECK(elman_get_time_major(network) == 1 && elman_get_time_major(copy) == 1);
    elman_destroy(copy);
    OK(elman_set_seed(network, 3));
    OK(elman_forward(network, turned, BATCH, STEPS, some, NULL, turned_y, NULL));
    transpose(turned_y, STEPS, BATCH, 2, other);
    SAME(other, y, BATCH * row);
    OK(elman_backward(network, turned_y, NULL, turned_dx, NULL));
    transpose(turned_dx, STEPS, BATCH, INPUT, turned);
    SAME(turned, dx, X);
    double error;
    OK(elman_gradient_check(network, turned, BATCH, STEPS, some, NULL, turned_y, NULL, &error));
    CHECK(error < 1e-6);
    elman_destroy(network);
}

/* A frozen layer stays as it is, in a file too. */
static void frozen_layers(void) {
    elman_network *network = network_of(ELMAN_OUTPUT_LAST), *loaded;
    elman_optimizer *optimizer;
    elman_layer_info info;
    OK(elman_adamw_create(0.1, 0.9, 0.999, 1e-8, 0.1, &optimizer));
    OK(elman_set_trainable(network, 1, 0));
    OK(elman_get_layer_info(network, 1, &info, sizeof info));
    CHECK(info.trainable == 0);
    const size_t count = elman_parameter_count(network), end = info.parameter_offset + info.parameter_count;
    float *before = floats(count), *after = floats(count), dy[BATCH * 2] = {1, -1, 1, -1, 1, -1, 1, -1}, *gradients;
    OK(elman_get_parameters(network, before, count));
    OK(elman_forward(network, x, BATCH, STEPS, lengths, NULL, NULL, NULL));
    OK(elman_backward(network, dy, NULL, NULL, NULL));
    OK(elman_gradients(network, &gradients, NULL));
    CHECK(gradients[0] != 0.0f);
    for (size_t i = info.parameter_offset; i < end; i++) CHECK(gradients[i] == 0.0f);
    OK(elman_update(network, optimizer));
    OK(elman_get_parameters(network, after, count));
    SAME(after + info.parameter_offset, before + info.parameter_offset, info.parameter_count);
    CHECK(after[0] != before[0] && after[count - 1] != before[count - 1]);

    size_t size;
    OK(elman_save_memory(network, NULL, 0, &size));
    unsigned char *bytes = malloc(size);
    OK(elman_save_memory(network, bytes, size, &size));
    OK(elman_load_memory(bytes, size, &loaded));
    OK(elman_get_layer_info(loaded, 1, &info, sizeof info));
    CHECK(info.trainable == 0);
    OK(elman_set_trainable(loaded, 1, 1));
    OK(elman_get_layer_info(loaded, 1, &info, sizeof info));
    CHECK(info.trainable == 1);
    free(bytes), free(before), free(after);
    elman_optimizer_destroy(optimizer);
    elman_destroy(loaded);
    elman_destroy(network);
}

/* What many threads do with one network, each with its own errors. */
static void *run_often(void *argument) {
    const elman_network *network = (const elman_network *)argument;
    float expected[BATCH * 2], y[BATCH * 2];
    CHECK(strcmp(elman_last_error(), "") == 0);
    OK(elman_predict(network, x, BATCH, STEPS, lengths, NULL, expected, NULL));
    for (size_t round = 0; round < 200; round++) {
        const size_t batch = 1 + round % BATCH;
        OK(elman_predict(network, x, batch, STEPS, lengths, NULL, y, NULL));
        SAME(y, expected, batch * 2);
        CHECK(elman_predict(network, x, 0, STEPS, NULL, NULL, y, NULL) == ELMAN_ERROR_ZERO_SIZE);
        CHECK(strcmp(elman_last_error(), "batch is 0, expected at least 1") == 0);
    }
    return NULL;
}

static void many_threads(void) {
    elman_network *network = network_of(ELMAN_OUTPUT_LAST);
    pthread_t threads[4];
    for (size_t i = 0; i < COUNT(threads); i++) CHECK(pthread_create(&threads[i], NULL, run_often, network) == 0);
    for (size_t i = 0; i < COUNT(threads); i++) CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(strcmp(elman_last_error(), "") == 0);
    elman_destroy(network);
}

static void dropout(void) {
    elman_network *network = network_of(ELMAN_OUTPUT_LAST);
    float first[BATCH * 2], second[BATCH * 2], again[BATCH * 2];
    OK(elman_set_seed(network, 11));
    OK(elman_forward(network, x, BATCH, STEPS, lengths, NULL, first, NULL));
    OK(elman_forward(network, x, BATCH, STEPS, lengths, NULL, second, NULL));
    CHECK(memcmp(first, second, sizeof first) != 0);
    OK(elman_set_seed(network, 11));
    OK(elman_forward(network, x, BATCH, STEPS, lengths, NULL, again, NULL));
    SAME(first, again, BATCH * 2);
    elman_destroy(network);
}

static void gradients(void) {
    elman_network *network = network_of(ELMAN_OUTPUT_LAST);
    float dy[BATCH * 2], *values;
    size_t count;
    double norm, after, error;
    for (size_t i = 0; i < COUNT(dy); i++) dy[i] = (float)i - 3.0f;
    OK(elman_gradient_check(network, x, BATCH, STEPS, lengths, NULL, dy, NULL, &error));
    CHECK(error < 1e-6);

    OK(elman_forward(network, x, BATCH, STEPS, lengths, NULL, NULL, NULL));
    OK(elman_backward(network, dy, NULL, NULL, NULL));
    OK(elman_gradients(network, &values, &count));
    CHECK(count == elman_parameter_count(network) && (size_t)values % 64 == 0);
    const float once = values[0];
    OK(elman_backward(network, dy, NULL, NULL, NULL));
    CHECK(once != 0.0f && fabsf(values[0] - 2 * once) <= 1e-6f * fabsf(once));
    OK(elman_clip_gradients_by_norm(network, INFINITY, &norm));
    OK(elman_clip_gradients_by_norm(network, norm / 2, NULL));
    OK(elman_clip_gradients_by_norm(network, INFINITY, &after));
    CHECK(fabs(after - norm / 2) < 1e-5 * norm);
    OK(elman_clip_gradients_by_value(network, 1e-3));
    for (size_t i = 0; i < count; i++) CHECK(fabsf(values[i]) <= 1e-3f);
    OK(elman_clear_gradients(network));
    for (size_t i = 0; i < count; i++) CHECK(values[i] == 0.0f);
    elman_destroy(network);
}

static void losses(void) {
    const float logits[8] = {1, 2, 3, 1, 5, 5, 0, -1};
    const size_t labels[4] = {1, 0, ELMAN_NO_LABEL, 1}, ends[2] = {2, 1}, rest[4] = {1, 0, 0, 7};
    double loss, other;
    float p[8], d[8], e[8];
    OK(elman_softmax(logits, 4, 2, p));
    CHECK(fabsf(p[0] + p[1] - 1) < 1e-6f && p[4] == 0.5f);

    OK(elman_softmax_cross_entropy(logits, labels, 4, 2, &loss, d));
    CHECK(fabs(loss + (log(p[1]) + log(p[2]) + log(p[7])) / 3) < 1e-6);
    CHECK(fabsf(d[0] - p[0] / 3) < 1e-6f && fabsf(d[1] - (p[1] - 1) / 3) < 1e-6f && d[4] == 0.0f && d[5] == 0.0f);
    OK(elman_softmax_cross_entropy_padded(logits, rest, 2, 2, ends, 2, &loss, e));
    CHECK(fabs(loss + (log(p[1]) + log(p[2]) + log(0.5)) / 3) < 1e-6 && e[6] == 0.0f && e[7] == 0.0f);

    const float weights[2] = {0.5f, 2.0f};
    OK(elman_softmax_cross_entropy_weighted(logits, labels, 4, 2, weights, &loss, d));
    CHECK(fabs(loss + (2 * log(p[1]) + 0.5 * log(p[2]) + 2 * log(p[7])) / 4.5) < 1e-6);
    CHECK(fabsf(d[0] - p[0] * 2 / 4.5f) < 1e-6f && fabsf(d[3] - p[3] * 0.5f / 4.5f) < 1e-6f && d[4] == 0.0f);
    OK(elman_softmax_cross_entropy_weighted_padded(logits, labels, 2, 2, ends, 2, weights, &other, e));
    CHECK(fabs(other + (2 * log(p[1]) + 0.5 * log(p[2])) / 2.5) < 1e-6 && e[4] == 0.0f && e[7] == 0.0f);
    OK(elman_softmax_cross_entropy_weighted(logits, labels, 4, 2, NULL, &loss, d));
    OK(elman_softmax_cross_entropy(logits, labels, 4, 2, &other, e));
    CHECK(loss == other);
    SAME(d, e, 8);

    const float targets[8] = {0, 1, 1, 1, 0, 1, 9, 9};
    OK(elman_mean_squared_error(logits, targets, 6, &loss, d));
    CHECK(loss == (1 + 1 + 4 + 0 + 25 + 16) / 6.0 && fabsf(d[2] - 2.0f * 2 / 6) < 1e-6f);
    OK(elman_mean_squared_error_padded(logits, targets, 2, 2, ends, 2, &other, e));
    CHECK(loss == other && e[7] == 0.0f);
    SAME(d, e, 6);

    const float some[6] = {0, NAN, 1, 1, NAN, NAN};
    OK(elman_mean_squared_error(logits, some, 6, &loss, d));
    CHECK(loss == (1 + 4 + 0) / 3.0 && fabsf(d[2] - 2.0f * 2 / 3) < 1e-6f && d[1] == 0.0f && d[4] == 0.0f);
    OK(elman_binary_cross_entropy_with_logits(logits, some, 6, &loss, d));
    CHECK(fabs(loss - (log(1 + exp(1)) + log(1 + exp(-3)) + log(1 + exp(-1))) / 3) < 1e-6 && d[5] == 0.0f);

    OK(elman_binary_cross_entropy_with_logits(logits, targets, 6, &loss, d));
    CHECK(fabsf(d[4] - (float)(1 / (1 + exp(-5)) / 6)) < 1e-6f);
    OK(elman_binary_cross_entropy_with_logits_padded(logits, targets, 2, 2, ends, 2, &other, e));
    CHECK(loss == other && e[6] == 0.0f);
    SAME(d, e, 6);
}

static void ctc(void) {
    /* Two sequences of three classes, of which the first is the blank. */
    const float logits[18] = {0, 0, 0, 0, 0, 0, 0, 0, 0,   0, 2, 1, 0, 3, 1, 0, 1, NAN};
    const size_t labels[2] = {1, 1}, label_lengths[2] = {1, 1}, ends[2] = {3, 2};
    double loss, other;
    float d[18], e[18];
    elman_ctc_options options;
    OK(elman_ctc_options_init(&options, sizeof options));
    CHECK(options.size == sizeof options && options.blank == 0);
    CHECK(options.reduction == ELMAN_CTC_MEAN && options.zero_infinity == 0);
    elman_ctc_workspace *workspace;
    OK(elman_ctc_workspace_create(&workspace));

    /* 1 is spelled by 6 of the 27 paths of the first sequence; of the second one's by 11, 01 and 10. */
    const double p = exp(2) / (1 + exp(2) + exp(1)), q = exp(3) / (1 + exp(3) + exp(1));
    const double blanks[2] = {1 / (1 + exp(2) + exp(1)), 1 / (1 + exp(3) + exp(1))};
    const double losses[2] = {-log(6 / 27.0), -log(p * q + blanks[0] * q + p * blanks[1])};
    OK(elman_ctc(logits, labels, label_lengths, 2, 3, ends, 3, NULL, workspace, &loss, d));
    CHECK(fabs(loss - (losses[0] + losses[1]) / 2) < 1e-6);
    /* Of the 6, the first step is 1 in 3, the blank in 3. */
    CHECK(fabsf(d[0] - (1 / 3.0f - 0.5f) / 2) < 1e-6f && fabsf(d[1] - (1 / 3.0f - 0.5f) / 2) < 1e-6f);
    CHECK(fabsf(d[2] - 1 / 6.0f) < 1e-6f && d[15] == 0.0f && d[16] == 0.0f && d[17] == 0.0f);
    OK(elman_ctc(logits, labels, label_lengths, 2, 3, ends, 3, &options, NULL, &other, e));
    CHECK(loss == other);
    SAME(d, e, 18);
    options.reduction = ELMAN_CTC_SUM;
    OK(elman_ctc(logits, labels, label_lengths, 2, 3, ends, 3, &options, workspace, &other, NULL));
    CHECK(other == 2 * loss);
    /* All steps of one sequence, another blank. */
    options.blank = 2;
    OK(elman_ctc(logits, labels, label_lengths, 1, 3, NULL, 3, &options, workspace, &other, NULL));
    CHECK(fabs(other - losses[0]) < 1e-6);
    /* Labels that need more steps than there are. */
    const size_t twice[1] = {2};
    options.zero_infinity = 1;
    OK(elman_ctc(logits, labels, twice, 1, 2, NULL, 3, &options, workspace, &other, d));
    CHECK(other == 0);
    for (int i = 0; i < 6; i++) CHECK(d[i] == 0.0f);
    OK(elman_ctc(logits, labels, twice, 1, 3, NULL, 3, &options, workspace, NULL, NULL));
    elman_ctc_workspace_destroy(workspace);

    size_t read[6] = {9, 9, 9, 9, 9, 9}, read_lengths[2];
    const float votes[18] = {0, 1, 0, 1, 0, 0, 0, 1, 0,   0, 0, 1, 0, 0, 1, 0, 1, 0};
    OK(elman_ctc_greedy_decode(votes, 2, 3, NULL, 3, 0, read, read_lengths));
    CHECK(read_lengths[0] == 2 && read_lengths[1] == 2);
    CHECK(read[0] == 1 && read[1] == 1 && read[2] == 2 && read[3] == 1 && read[4] == 9);
    OK(elman_ctc_greedy_decode(votes, 2, 3, ends, 3, 2, read, read_lengths));
    CHECK(read_lengths[0] == 3 && read_lengths[1] == 0 && read[1] == 0 && read[3] == 1);
}

/* A program with the header of an older version of the options, of which there were some `size` bytes: what lies behind is not
   its own to fill in, and not the library's to read or write. */
static void options_of_an_older_header(size_t first) {
    const size_t sequences[2] = {3, 2}, labels[2] = {1, 0};
    elman_fit_options options, whole;
    memset(&options, 0xee, sizeof options);
    OK(elman_fit_options_init(&options, first));
    CHECK(options.size == first && options.epochs == 30);
    for (size_t byte = first; byte < sizeof options; byte++) CHECK(((unsigned char *)&options)[byte] == 0xee);

    elman_dataset *dataset;
    elman_optimizer *sgd;
    elman_network *old_one = network_of(ELMAN_OUTPUT_LAST), *new_one = network_of(ELMAN_OUTPUT_LAST);
    OK(elman_dataset_create_classes(INPUT, x, sequences, 2, labels, 2, 0, &dataset));
    OK(elman_sgd_create(0.1, 0.0, 0, 0.0, &sgd));
    OK(elman_fit_options_init(&whole, sizeof whole));
    OK(elman_fit(old_one, dataset, sgd, &options));
    OK(elman_fit(new_one, dataset, sgd, &whole));
    const size_t count = elman_parameter_count(old_one);
    float *left = floats(count), *right = floats(count);
    OK(elman_get_parameters(old_one, left, count));
    OK(elman_get_parameters(new_one, right, count));
    SAME(left, right, count);
    free(left), free(right);
    elman_optimizer_destroy(sgd);
    elman_dataset_destroy(dataset);
    elman_destroy(old_one);
    elman_destroy(new_one);
}

/* elman_fit is the loop that one would write. */
static void fit_is_a_loop(void) {
    const size_t sequences[2] = {3, 2}, labels[2] = {1, 0};
    elman_dataset *dataset;
    elman_network *fitted, *looped;
    elman_optimizer *adam, *other;
    elman_fit_options options;
    OK(elman_dataset_create_classes(INPUT, x, sequences, 2, labels, 2, 0, &dataset));
    OK(elman_adam_create(0.01, 0.9, 0.999, 1e-8, 0.0, &adam));
    OK(elman_adam_create(0.01, 0.9, 0.999, 1e-8, 0.0, &other));
    fitted = network_of(ELMAN_OUTPUT_LAST);
    looped = network_of(ELMAN_OUTPUT_LAST);
    OK(elman_fit_options_init(&options, sizeof options));
    options.epochs = 5;
    options.shuffle = 0;
    OK(elman_fit(fitted, dataset, adam, &options));

    float padded[2 * 3 * INPUT] = {0}, y[4], dy[4];
    memcpy(padded, x, 5 * INPUT * sizeof *x);
    for (size_t epoch = 0; epoch < options.epochs; epoch++) {
        OK(elman_forward(looped, padded, 2, 3, sequences, NULL, y, NULL));
        OK(elman_softmax_cross_entropy(y, labels, 2, 2, NULL, dy));
        OK(elman_backward(looped, dy, NULL, NULL, NULL));
        OK(elman_update(looped, other));
    }
    const size_t count = elman_parameter_count(fitted);
    float *left = floats(count), *right = floats(count);
    OK(elman_get_parameters(fitted, left, count));
    OK(elman_get_parameters(looped, right, count));
    SAME(left, right, count);
    free(left), free(right);
    elman_optimizer_destroy(adam);
    elman_optimizer_destroy(other);
    elman_dataset_destroy(dataset);
    elman_destroy(fitted);
    elman_destroy(looped);
}

/* A file whose header is wrong, with time stamps and gaps, read in several ways. */
static void ts_files(void) {
    const char *text = "% Not UTF-8: \x96\n@timeStamps true\n@seriesLength 9\n@classLabel true left hand right hand\n@data\n"
                       "(2024-01-01 00:01:00,3),(2024-01-01 00:00:00,1),(2024-01-01 00:00:30,?),(2024-01-02,?):right hand\n";
    FILE *file = fopen("every_part.ts", "wb");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
    elman_dataset *dataset;
    CHECK(elman_dataset_read_ts("every_part.ts", &dataset) == ELMAN_ERROR_PARSE);
    CHECK(elman_dataset_read_ts_with("every_part.ts", NULL, &dataset) == ELMAN_ERROR_PARSE);
    elman_ts_options options;
    OK(elman_ts_options_init(&options, sizeof options));
    CHECK(options.size == sizeof options && options.missing == ELMAN_MISSING_ERROR);
    CHECK(options.trim_padding == 0 && options.time_feature == 0 && options.reserved == 0);
    CHECK(elman_dataset_read_ts_with("every_part.ts", &options, &dataset) == ELMAN_ERROR_PARSE);

    options.missing = ELMAN_MISSING_LINEAR;
    options.trim_padding = options.time_feature = 1;
    OK(elman_dataset_read_ts_with("every_part.ts", &options, &dataset));
    const float linear[] = {1, 0, 2, 30, 3, 60}, *values;
    size_t length;
    const char *text_of;
    CHECK(elman_dataset_input_size(dataset) == 2 && elman_dataset_sequence_count(dataset) == 1);
    OK(elman_dataset_sequence(dataset, 0, &values, &length));
    CHECK(length == 3);
    SAME(values, linear, 6);
    CHECK(elman_dataset_class_count(dataset) == 1);
    OK(elman_dataset_class_name(dataset, 0, &text_of));
    CHECK(strcmp(text_of, "right hand") == 0);
    CHECK(elman_dataset_get_note_count(dataset) == 2);
    OK(elman_dataset_get_note(dataset, 0, &text_of));
    CHECK(strcmp(text_of, "line 3: @seriesLength is 9, the cases have 4 steps") == 0);
    OK(elman_dataset_get_note(dataset, 1, &text_of));
    CHECK(strstr(text_of, "line 4: @classLabel") == text_of);
    elman_dataset_destroy(dataset);

    options.missing = ELMAN_MISSING_CARRY;
    options.trim_padding = options.time_feature = 0;
    OK(elman_dataset_read_ts_with("every_part.ts", &options, &dataset));
    const float carried[] = {1, 1, 3, 3};
    OK(elman_dataset_sequence(dataset, 0, &values, &length));
    CHECK(length == 4);
    SAME(values, carried, 4);
    elman_dataset_destroy(dataset);
    remove("every_part.ts");
}

struct updates {
    size_t seen, cancel_at;
    elman_cancellation *cancellation;
};

/* Halves the gradients, and the learning rate once. */
static uint32_t before_update(void *user, elman_batch_progress *progress) {
    struct updates *updates = (struct updates *)user;
    CHECK(progress->epoch >= 1 && progress->epochs == 6 && progress->batches == 2);
    CHECK(progress->batch == updates->seen % 2 + 1 && progress->sequences == (progress->batch == 1 ? 3 : 1));
    CHECK(progress->first_step == 0 && progress->steps >= 1 && progress->loss > 0.0);
    CHECK(progress->weight == (double)progress->sequences * 2);
    CHECK(progress->learning_rate == (updates->seen == 0 ? 0.02 : 0.01));
    for (size_t i = 0; i < progress->gradient_count; i++) progress->gradients[i] *= 0.5f;
    progress->learning_rate = 0.01;
    updates->seen++;
    if (updates->seen == updates->cancel_at) OK(elman_cancellation_set(updates->cancellation, 1));
    return ELMAN_CONTINUE;
}

static uint32_t best_so_far(void *user, elman_progress *progress, const elman_network *network) {
    size_t *best = (size_t *)user;
    CHECK(progress->best_epoch >= 1 && progress->best_epoch <= progress->epoch);
    CHECK(elman_get_epochs(network) == progress->epoch);
    best[0] = progress->best_epoch;
    best[1] = progress->epoch;
    return ELMAN_CONTINUE;
}

/* Six epochs in one call, with a callback before each update; in calls of one epoch, with a stop in between after which
   everything is loaded; and cut short. */
static void long_training(void) {
    elman_dataset *dataset;
    elman_network *whole = network_of(ELMAN_OUTPUT_LAST), *parts = network_of(ELMAN_OUTPUT_LAST);
    elman_optimizer *adam, *other;
    elman_fit_options options;
    struct updates updates = {0, 0, NULL};
    OK(elman_dataset_create_values(INPUT, x, lengths, BATCH, x, 2, 0, &dataset));
    OK(elman_adam_create(0.02, 0.9, 0.999, 1e-8, 0.0, &adam));
    OK(elman_adam_create(0.02, 0.9, 0.999, 1e-8, 0.0, &other));
    OK(elman_set_seed(whole, 5));
    OK(elman_set_seed(parts, 5));
    OK(elman_fit_options_init(&options, sizeof options));
    options.loss = ELMAN_LOSS_MEAN_SQUARED_ERROR;
    options.epochs = 6;
    options.batch_size = 3;
    options.batch_callback = before_update;
    options.user = &updates;
    OK(elman_cancellation_create(&updates.cancellation));
    options.cancel = updates.cancellation;
    OK(elman_fit(whole, dataset, adam, &options));
    CHECK(updates.seen == 12 && elman_get_epochs(whole) == 6 && elman_get_passes(whole) == 12);

    updates.seen = 0;
    for (size_t epoch = 0; epoch < 6; epoch++) {
        updates.cancel_at = updates.seen + 2;
        CHECK(elman_fit(parts, dataset, other, &options) == ELMAN_ERROR_CANCELLED);
        CHECK(elman_get_epochs(parts) == epoch + 1);
        OK(elman_cancellation_set(updates.cancellation, 0));
        if (epoch % 2 == 0) {
            OK(elman_save(parts, "every_part.safetensors"));
            elman_destroy(parts);
            OK(elman_load("every_part.safetensors", &parts));
            OK(elman_optimizer_save(other, "every_part.safetensors"));
            elman_optimizer_destroy(other);
            OK(elman_optimizer_load("every_part.safetensors", &other));
            remove("every_part.safetensors");
        }
    }
    CHECK(elman_get_seed(parts) == 5 && elman_get_passes(parts) == 12);
    CHECK(elman_optimizer_get_learning_rate(other) == 0.01);
    expect_parameters(whole, parts);
    elman_cancellation_destroy(updates.cancellation);

    size_t best[2];
    OK(elman_fit_options_init(&options, sizeof options));
    options.loss = ELMAN_LOSS_MEAN_SQUARED_ERROR;
    options.validation = dataset;
    options.callback = best_so_far;
    options.user = best;
    options.epochs = 1000;
    options.patience = 2;
    options.watch = ELMAN_WATCH_LOSS;
    options.min_delta = 1e-3;
    OK(elman_set_seed(parts, 1));
    OK(elman_fit(parts, dataset, other, &options));
    CHECK(best[1] == best[0] + 2 && elman_get_epochs(parts) == best[1]);
    double after_best, loss;
    OK(elman_evaluate(parts, dataset, &options, &after_best, NULL, NULL));
    options.patience = 0;
    options.callback = NULL;
    options.epochs = 1;
    OK(elman_fit(parts, dataset, other, &options));
    OK(elman_evaluate(parts, dataset, &options, &loss, NULL, NULL));
    CHECK(loss != after_best);
    elman_optimizer_destroy(adam);
    elman_optimizer_destroy(other);
    elman_dataset_destroy(dataset);
    elman_destroy(whole);
    elman_destroy(parts);
}

enum { EPOCHS = 20 };

/* The parameters after each epoch. */
static uint32_t keep_parameters(void *user, elman_progress *progress, const elman_network *network) {
    const size_t count = elman_parameter_count(network);
    OK(elman_get_parameters(network, (float *)user + (progress->epoch - 1) * count, count));
    CHECK(isnan(progress->average_loss) && isnan(progress->average_accuracy) && progress->average_epoch == 0);
    return ELMAN_CONTINUE;
}

static uint32_t keep_progress(void *user, elman_progress *progress, const elman_network *network) {
    CHECK(elman_get_epochs(network) == progress->epoch && isnan(progress->average_accuracy));
    ((elman_progress *)user)[progress->epoch - 1] = *progress;
    return ELMAN_CONTINUE;
}

/* With `average` the network gets the mean of its parameters that is best on the validation set or, without one, the last. */
static void mean_of_parameters(void) {
    elman_dataset *dataset, *held_out;
    OK(elman_dataset_create_values(INPUT, x, lengths, BATCH, x, 2, 0, &dataset));
    OK(elman_dataset_create_values(INPUT, x, lengths, BATCH, x + 8, 2, 0, &held_out));
    for (uint32_t validates = 0; validates < 2; validates++) {
        elman_network *plain = network_of(ELMAN_OUTPUT_LAST), *averaged = network_of(ELMAN_OUTPUT_LAST);
        elman_optimizer *adam, *other;
        elman_fit_options options;
        elman_progress seen[EPOCHS];
        const size_t count = elman_parameter_count(plain);
        float *each = floats(EPOCHS * count), *mean = floats(count), *best = floats(count), *found = floats(count);
        double *sums = (double *)calloc(count, sizeof *sums), least = INFINITY;
        size_t best_epoch = 0;
        CHECK(sums != NULL);
        OK(elman_adam_create(0.1, 0.9, 0.999, 1e-8, 0.0, &adam));
        OK(elman_adam_create(0.1, 0.9, 0.999, 1e-8, 0.0, &other));
        OK(elman_fit_options_init(&options, sizeof options));
        CHECK(options.average == 0 && options.reserved == 0);
        options.loss = ELMAN_LOSS_MEAN_SQUARED_ERROR;
        options.epochs = EPOCHS;
        options.batch_size = 3;
        options.validation = validates ? held_out : NULL;
        options.callback = keep_parameters;
        options.user = each;
        OK(elman_fit(plain, dataset, adam, &options));
        options.average = 1;
        options.callback = keep_progress;
        options.user = seen;
        OK(elman_fit(averaged, dataset, other, &options));
        OK(elman_get_parameters(averaged, found, count));

        for (size_t epoch = 1; epoch <= EPOCHS; epoch++) {
            const double share = 9.0 / (8.0 + (double)epoch);
            for (size_t i = 0; i < count; i++) {
                sums[i] += share * ((double)each[(epoch - 1) * count + i] - sums[i]);
                mean[i] = (float)sums[i];
            }
            OK(elman_set_parameters(plain, mean, count));
            double loss = -(double)epoch;
            if (validates) {
                OK(elman_evaluate(plain, held_out, &options, &loss, NULL, NULL));
                CHECK(seen[epoch - 1].average_loss == loss);
            } else {
                CHECK(isnan(seen[epoch - 1].average_loss));
            }
            if (loss < least) {
                least = loss;
                best_epoch = epoch;
                memcpy(best, mean, count * sizeof *best);
            }
            CHECK(seen[epoch - 1].average_epoch == best_epoch && seen[epoch - 1].best_epoch == 0);
        }
        CHECK((best_epoch == EPOCHS) == !validates);
        SAME(found, best, count);
        free(each), free(mean), free(best), free(found), free(sums);
        elman_optimizer_destroy(adam);
        elman_optimizer_destroy(other);
        elman_destroy(plain);
        elman_destroy(averaged);
    }
    elman_dataset_destroy(dataset);
    elman_dataset_destroy(held_out);
}

static void datasets(void) {
    const size_t sequences[2] = {3, 2}, labels[5] = {1, 0, 2, 2, 1}, *targets;
    const float *values;
    size_t count;
    const char *name;
    elman_dataset *dataset;
    OK(elman_dataset_create(INPUT, x, sequences, 2, &dataset));
    CHECK(elman_dataset_targets(dataset) == ELMAN_TARGETS_NONE && elman_dataset_class_count(dataset) == 0);
    CHECK(elman_dataset_sequence_count(dataset) == 2 && elman_dataset_input_size(dataset) == INPUT);
    CHECK(elman_dataset_total_steps(dataset) == 5 && elman_dataset_max_length(dataset) == 3);
    OK(elman_dataset_sequence(dataset, 1, &values, &count));
    CHECK(count == 2);
    SAME(values, x + 3 * INPUT, 2 * INPUT);
    elman_dataset_destroy(dataset);

    OK(elman_dataset_create_classes(INPUT, x, sequences, 2, labels, 3, 1, &dataset));
    CHECK(elman_dataset_targets(dataset) == ELMAN_TARGETS_STEP_CLASSES && elman_dataset_class_count(dataset) == 3);
    OK(elman_dataset_labels(dataset, &targets, &count));
    CHECK(count == 5);
    SAME(targets, labels, 5);
    OK(elman_dataset_class_name(dataset, 2, &name));
    CHECK(strcmp(name, "2") == 0);
    elman_dataset_destroy(dataset);

    for (uint32_t per_step = 0; per_step < 2; per_step++) {
        OK(elman_dataset_create_values(INPUT, x, sequences, 2, x, 2, per_step, &dataset));
        CHECK(elman_dataset_targets(dataset) == (per_step ? ELMAN_TARGETS_STEP_VALUES : ELMAN_TARGETS_VALUES));
        OK(elman_dataset_values(dataset, &values, &count));
        CHECK(count == (per_step ? 10u : 4u));
        SAME(values, x, count);

        /* Outputs of a whole data set, and a loss that has no classes. */
        elman_network *network = network_of(per_step ? ELMAN_OUTPUT_ALL : ELMAN_OUTPUT_LAST);
        elman_fit_options options;
        float y[10], alone[6];
        double loss, mean, accuracy;
        OK(elman_fit_options_init(&options, sizeof options));
        options.loss = ELMAN_LOSS_MEAN_SQUARED_ERROR;
        OK(elman_predict_dataset(network, dataset, 2, y));
        OK(elman_predict(network, x, 1, 3, NULL, NULL, alone, NULL));
        SAME(y, alone, per_step ? 6 : 2);
        OK(elman_evaluate(network, dataset, &options, &loss, &accuracy, NULL));
        OK(elman_mean_squared_error(y, x, count, &mean, NULL));
        CHECK(fabs(loss - mean) < 1e-6 && isnan(accuracy));

        elman_optimizer *sgd;
        OK(elman_sgd_create(0.01, 0.5, 0, 0.0, &sgd));
        options.truncate = per_step ? 2 : 0;
        options.clip = ELMAN_CLIP_VALUE;
        OK(elman_fit(network, dataset, sgd, &options));
        OK(elman_evaluate(network, dataset, &options, &mean, NULL, NULL));
        CHECK(mean < loss);
        elman_optimizer_destroy(sgd);
        elman_destroy(network);
        elman_dataset_destroy(dataset);
    }
}

/* What has no target is left out of training and measuring. */
static void partial_targets(void) {
    const size_t sequences[3] = {3, 2, 1}, labels[6] = {1, ELMAN_NO_LABEL, 0, ELMAN_NO_LABEL, 1, 0}, *given;
    const float weights[2] = {1.0f, 3.0f};
    float y[12], d[12], values[12];
    size_t confusion[4], count;
    double loss, alone, accuracy;
    elman_dataset *dataset;
    elman_optimizer *adam;
    elman_fit_options options;
    elman_network *network = network_of(ELMAN_OUTPUT_ALL);
    OK(elman_fit_options_init(&options, sizeof options));
    CHECK(options.class_weights == NULL);
    OK(elman_dataset_create_classes(INPUT, x, sequences, 3, labels, 2, 1, &dataset));
    OK(elman_dataset_labels(dataset, &given, &count));
    SAME(given, labels, 6);
    OK(elman_predict_dataset(network, dataset, 2, y));
    OK(elman_evaluate(network, dataset, NULL, &loss, &accuracy, confusion));
    OK(elman_softmax_cross_entropy(y, labels, 6, 2, &alone, d));
    CHECK(fabs(loss - alone) < 1e-6 && confusion[0] + confusion[1] == 2 && confusion[2] + confusion[3] == 2);
    CHECK(accuracy == (double)(confusion[0] + confusion[3]) / 4);
    options.class_weights = weights;
    OK(elman_evaluate(network, dataset, &options, &loss, NULL, NULL));
    OK(elman_softmax_cross_entropy_weighted(y, labels, 6, 2, weights, &alone, d));
    CHECK(fabs(loss - alone) < 1e-6);
    OK(elman_adam_create(0.05, 0.9, 0.999, 1e-8, 0.0, &adam));
    options.epochs = 200;
    OK(elman_fit(network, dataset, adam, &options));
    OK(elman_evaluate(network, dataset, &options, &alone, NULL, NULL));
    CHECK(alone < loss);
    elman_dataset_destroy(dataset);

    for (size_t i = 0; i < 12; i++) values[i] = i % 5 == 2 ? NAN : 0.5f;
    OK(elman_dataset_create_values(INPUT, x, sequences, 3, values, 2, 1, &dataset));
    options.loss = ELMAN_LOSS_BINARY_CROSS_ENTROPY;
    options.class_weights = NULL;
    OK(elman_optimizer_reset(adam));
    OK(elman_fit(network, dataset, adam, &options));
    OK(elman_predict_dataset(network, dataset, 2, y));
    OK(elman_evaluate(network, dataset, &options, &loss, NULL, NULL));
    OK(elman_binary_cross_entropy_with_logits(y, values, 12, &alone, d));
    CHECK(fabs(loss - alone) < 1e-6);
    elman_dataset_destroy(dataset);
    elman_optimizer_destroy(adam);
    elman_destroy(network);
}

static elman_dataset *read_text(const char *text) {
    FILE *file = fopen("every_part.ts", "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
    elman_dataset *dataset;
    OK(elman_dataset_read_ts("every_part.ts", &dataset));
    remove("every_part.ts");
    return dataset;
}

/* The same classes in another order are the same classes. */
static void class_names(void) {
    elman_dataset *first = read_text("@classLabel true up down\n@data\n1,2:up\n2,1:down\n0,3:up\n5,2:down\n2,3,4:up\n");
    elman_dataset *other = read_text("@classLabel true down up\n@data\n1,2:up\n2,1:down\n0,3:up\n5,2:down\n2,3,4:up\n");
    elman_dataset *falling = read_text("@classLabel true down\n@data\n4,2:down\n3,1:down\n");
    elman_network *network, *loaded;
    elman_optimizer *adam;
    elman_fit_options options;
    OK(elman_create(1, &network));
    OK(elman_add_rnn(network, 8, ELMAN_TANH));
    OK(elman_add_dense(network, 2, ELMAN_LINEAR));
    OK(elman_initialize(network, ELMAN_INIT_PYTORCH, 1.0f, 1));
    OK(elman_adam_create(0.02, 0.9, 0.999, 1e-8, 0.0, &adam));
    OK(elman_fit_options_init(&options, sizeof options));
    options.epochs = 200;
    options.validation = other;
    CHECK(elman_get_class_name_count(network) == 0);
    OK(elman_fit(network, first, adam, &options));
    CHECK(elman_get_class_name_count(network) == 2);
    const char *name, *again;
    OK(elman_get_class_name(network, 1, &name));
    CHECK(strcmp(name, "down") == 0);

    OK(elman_save(network, "every_part.safetensors"));
    OK(elman_load("every_part.safetensors", &loaded));
    remove("every_part.safetensors");
    const elman_dataset *orders[2] = {first, other};
    for (size_t i = 0; i < 4; i++) {
        const elman_network *measured = i % 2 ? loaded : network;
        double accuracy;
        size_t confusion[4];
        OK(elman_evaluate(measured, orders[i / 2], NULL, NULL, &accuracy, confusion));
        CHECK(accuracy == 1.0 && confusion[0] == 3 && confusion[3] == 2 && confusion[1] + confusion[2] == 0);
        OK(elman_evaluate(measured, falling, NULL, NULL, &accuracy, confusion));
        CHECK(accuracy == 1.0 && confusion[3] == 2 && confusion[0] + confusion[1] + confusion[2] == 0);
        OK(elman_get_class_name(measured, 0, &again));
        CHECK(strcmp(again, "up") == 0);
    }
    OK(elman_optimizer_reset(adam));
    OK(elman_fit(loaded, other, adam, &options));
    OK(elman_get_class_name(loaded, 0, &again));
    CHECK(strcmp(again, "up") == 0 && strcmp(name, "down") == 0);

    const char *const german[2] = {"auf", "ab"};
    OK(elman_set_class_names(network, german, 2));
    OK(elman_get_class_name(network, 1, &name));
    CHECK(strcmp(name, "ab") == 0);
    OK(elman_set_class_names(network, NULL, 7));
    CHECK(elman_get_class_name_count(network) == 0);
    elman_dataset_destroy(first);
    elman_dataset_destroy(other);
    elman_dataset_destroy(falling);
    elman_optimizer_destroy(adam);
    elman_destroy(network);
    elman_destroy(loaded);
}

struct watch {
    size_t epochs;
    double best;
};

static uint32_t watch(void *user, elman_progress *progress, const elman_network *network) {
    struct watch *seen = (struct watch *)user;
    seen->epochs++;
    CHECK(progress->epoch == seen->epochs && progress->epochs == 40);
    CHECK(isfinite(progress->loss) && progress->accuracy >= 0.0 && isfinite(progress->validation_loss));
    CHECK(progress->learning_rate == (progress->epoch == 1 ? 0.01 : 0.005));
    CHECK(elman_input_size(network) == 12);
    progress->learning_rate = 0.005;
    if (progress->validation_accuracy > seen->best) seen->best = progress->validation_accuracy;
    return progress->epoch == 12 ? ELMAN_STOP : ELMAN_CONTINUE;
}

static void real_data(const char *directory) {
    char path[1000];
    elman_dataset *train, *test;
    snprintf(path, sizeof path, "%s/JapaneseVowels_TRAIN.ts", directory);
    OK(elman_dataset_read_ts(path, &train));
    snprintf(path, sizeof path, "%s/JapaneseVowels_TEST.ts", directory);
    OK(elman_dataset_read_ts(path, &test));
    CHECK(elman_dataset_sequence_count(train) == 270 && elman_dataset_sequence_count(test) == 370);
    CHECK(elman_dataset_input_size(train) == 12 && elman_dataset_class_count(train) == 9);
    CHECK(elman_dataset_targets(train) == ELMAN_TARGETS_CLASSES && elman_dataset_max_length(test) == 29);
    const char *name;
    OK(elman_dataset_class_name(train, 8, &name));
    CHECK(strcmp(name, "9") == 0);

    elman_network *network;
    elman_optimizer *adam;
    elman_fit_options options;
    struct watch seen = {0, 0.0};
    OK(elman_create(12, &network));
    OK(elman_add_rnn(network, 32, ELMAN_TANH));
    OK(elman_add_dense(network, 9, ELMAN_LINEAR));
    OK(elman_initialize(network, ELMAN_INIT_PYTORCH, 1.0f, 1));
    OK(elman_standardize(network, train));
    OK(elman_adamw_create(0.01, 0.9, 0.999, 1e-8, 0.01, &adam));
    OK(elman_fit_options_init(&options, sizeof options));
    options.epochs = 40;
    options.clip = ELMAN_CLIP_NORM;
    options.validation = test;
    options.callback = watch;
    options.user = &seen;
    OK(elman_fit(network, train, adam, &options));
    CHECK(seen.epochs == 12 && seen.best > 0.85);
    CHECK(elman_optimizer_get_learning_rate(adam) == 0.005);
    OK(elman_optimizer_set_learning_rate(adam, 0.001));
    OK(elman_optimizer_reset(adam));
    OK(elman_update(network, adam));

    double loss, accuracy;
    size_t confusion[81], right = 0, all = 0;
    OK(elman_evaluate(network, test, NULL, &loss, &accuracy, confusion));
    for (size_t i = 0; i < 81; i++) all += confusion[i];
    for (size_t i = 0; i < 9; i++) right += confusion[i * 10];
    CHECK(all == 370 && fabs((double)right / 370 - accuracy) < 1e-12);
    elman_optimizer_destroy(adam);
    elman_destroy(network);
    elman_dataset_destroy(train);
    elman_dataset_destroy(test);
}

static void by_name(const char *function, const uint64_t *arguments, size_t count) {
    char message[100] = "before";
    OK(elman_call(function, arguments, count, message, sizeof message));
    CHECK(strcmp(message, "") == 0);
}

#define BY_NAME(function, ...) by_name(function, (const uint64_t[]){__VA_ARGS__}, COUNT(((const uint64_t[]){__VA_ARGS__})))

static uint64_t bits_of_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static uint64_t bits_of_double(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static uint64_t address(const void *pointer) {
    return (uintptr_t)pointer;
}

/* Calls by name, with arguments of every type, do what the functions do. */
static void names(void) {
    elman_network *network, *other = network_of(ELMAN_OUTPUT_ALL);
    BY_NAME("elman_create", INPUT, address(&network));
    BY_NAME("elman_add_rnn", address(network), 5, ELMAN_TANH);
    BY_NAME("elman_add_rnn", address(network), 4, ELMAN_SIGMOID);
    BY_NAME("elman_add_dropout", address(network), bits_of_float(0.25f));
    BY_NAME("elman_add_activation", address(network), ELMAN_LINEAR, bits_of_float(0.0f), bits_of_float(0.0f));
    BY_NAME("elman_add_dense", address(network), 3, ELMAN_RELU);
    BY_NAME("elman_add_dense", address(network), 2, ELMAN_LINEAR);
    BY_NAME("elman_set_output", address(network), ELMAN_OUTPUT_ALL);
    BY_NAME("elman_initialize", address(network), ELMAN_INIT_GLOROT_UNIFORM, bits_of_float(-0.0f), UINT64_MAX);
    BY_NAME("elman_initialize", address(network), ELMAN_INIT_GLOROT_UNIFORM, bits_of_float(1.0f), 7);
    const float mean[INPUT] = {0.1f, 0.2f, 0.3f}, deviation[INPUT] = {1.0f, 2.0f, 0.5f};
    BY_NAME("elman_set_standardization", address(network), address(mean), address(deviation), INPUT);

    elman_optimizer *one, *two;
    BY_NAME("elman_sgd_create", bits_of_double(0.1), bits_of_double(0.5), 1, bits_of_double(1e-3), address(&one));
    OK(elman_sgd_create(0.1, 0.5, 1, 1e-3, &two));
    const size_t count = BATCH * STEPS * 2;
    float *y = floats(count), *same = floats(count);
    const uint64_t batch = address(x), sizes = address(lengths);
    for (int round = 0; round < 3; round++) {
        BY_NAME("elman_forward", address(network), batch, BATCH, STEPS, sizes, 0, address(y), 0);
        BY_NAME("elman_backward", address(network), address(y), 0, 0, 0);
        BY_NAME("elman_update", address(network), address(one));
        OK(elman_forward(other, x, BATCH, STEPS, lengths, NULL, same, NULL));
        OK(elman_backward(other, same, NULL, NULL, NULL));
        OK(elman_update(other, two));
        SAME(y, same, count);
    }
    BY_NAME("elman_predict", address(network), batch, BATCH, STEPS, sizes, 0, address(y), 0);
    OK(elman_predict(other, x, BATCH, STEPS, lengths, NULL, same, NULL));
    SAME(y, same, count);
    BY_NAME("elman_optimizer_destroy", address(one));
    BY_NAME("elman_destroy", address(network));
    BY_NAME("elman_destroy", 0);
    free(y), free(same);
    elman_optimizer_destroy(two);
    elman_destroy(other);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    for (size_t i = 0; i < X; i++) x[i] = sinf((float)i);
    version_and_tier();
    settings();
    layers();
    around();
    activations();
    recurrent_layers();
    same_bits();
    batches();
    frozen_layers();
    many_threads();
    dropout();
    gradients();
    losses();
    ctc();
    fit_is_a_loop();
    options_of_an_older_header(offsetof(elman_fit_options, class_weights));
    options_of_an_older_header(offsetof(elman_fit_options, average));
    long_training();
    mean_of_parameters();
    datasets();
    names();
    partial_targets();
    class_names();
    ts_files();
    real_data(argv[1]);
    puts("ok");
    return 0;
}
