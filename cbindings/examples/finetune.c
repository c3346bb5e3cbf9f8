/* A network of PyTorch goes on learning here, on data that it has not seen.
 *
 * It tells how warm the winding of a motor is from its current and its speed, for nobody can put a thermometer there in daily use.
 * PyTorch has trained it on motors of one kind. This one is heavier and has a weaker fan; a few runs of it, with a thermometer,
 * are there. First the new layers learn on top of what the recurrent one knows, which stays frozen; then all learn, slowly. The
 * network goes back to PyTorch as a state dict.
 *
 *     finetune MODEL.safetensors TUNED.safetensors
 */
#include <elman.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(call)                                                                                                    \
    do {                                                                                                               \
        const elman_status status = (call);                                                                            \
        if (status != ELMAN_OK) {                                                                                      \
            fprintf(stderr, "%s: %s\n", elman_status_string(status), elman_last_error());                              \
            exit(EXIT_FAILURE);                                                                                        \
        }                                                                                                              \
    } while (0)

enum { INPUTS = 2, STEPS = 120, TRAINED = 12, HELD_OUT = 24 };

/* What there is, by number. */
static const char *const kinds[] = {"rnn",  "dense",      "dropout",   "activation", "gru",
                                    "lstm", "layer norm", "embedding", "concat",     "residual"};
static const char *const activations[] = {"tanh",       "relu", "sigmoid",  "linear",   "hard sigmoid", "hard tanh",
                                          "leaky relu", "elu",  "softsign", "softplus", "affine",       "scaled tanh",
                                          "thresholded relu"};
static const char *const directions[] = {"forward", "reverse", "bidirectional"};
static const char *const merges[] = {"side by side", "their sum", "their mean", "their product"};

/* Writes an activation, and its parameters if it has any. */
static void print_activation(const char *name, uint32_t activation, double alpha, double beta) {
    printf("  %s%s", name, activations[activation]);
    switch (activation) {
    case ELMAN_HARD_SIGMOID:
    case ELMAN_AFFINE:
    case ELMAN_SCALED_TANH: printf("(%g, %g)", alpha, beta); break;
    case ELMAN_LEAKY_RELU:
    case ELMAN_ELU:
    case ELMAN_THRESHOLDED_RELU: printf("(%g)", alpha); break;
    default: break;
    }
}

/* Writes what a recurrent layer has that PyTorch's has not by default. */
static void print_options(const elman_network *network, size_t layer, uint32_t kind) {
    elman_recurrent_options options;
    CHECK(elman_get_recurrent_options(network, layer, &options, sizeof options));
    printf("  %s", directions[options.direction]);
    const int both = options.direction == ELMAN_BIDIRECTIONAL;
    if (both) printf(", %s", merges[options.merge]);
    for (int way = 0; way <= both && kind != ELMAN_LAYER_RNN; way++) {
        if (options.gates[way] != ELMAN_SIGMOID)
            print_activation("gates ", options.gates[way], options.gates_alpha[way], options.gates_beta[way]);
        if (options.candidate[way] != ELMAN_TANH)
            print_activation("candidate ", options.candidate[way], options.candidate_alpha[way],
                             options.candidate_beta[way]);
        if (options.output[way] != ELMAN_TANH)
            print_activation("output ", options.output[way], options.output_alpha[way], options.output_beta[way]);
    }
    if (options.reset == ELMAN_RESET_BEFORE) printf("  reset before the product");
    if (options.peepholes) printf("  peepholes");
    if (options.coupled) printf("  coupled gates");
    if (options.projection > 0) printf("  projected to %zu", options.projection);
    if (!options.bias) printf("  no bias");
    if (options.clip_sums > 0.0) printf("  sums up to %g", options.clip_sums);
    if (options.clip_state > 0.0) printf("  c up to %g", options.clip_state);
    if (options.recurrent_dropout > 0.0) printf("  recurrent dropout %g", options.recurrent_dropout);
    if (options.zoneout > 0.0) printf("  zoneout %g", options.zoneout);
    if (options.zoneout_cell > 0.0) printf("  zoneout of c %g", options.zoneout_cell);
    if (options.initial_state == ELMAN_INITIAL_FIXED) printf("  starts from a state");
    if (options.initial_state == ELMAN_INITIAL_TRAINABLE) printf("  starts from a state that is trained");
}

/* Writes the columns of an embedding, or the outputs that a layer looks back to: 0 is the input. */
static void print_numbers(const elman_network *network, size_t layer, size_t count, const char *name) {
    size_t *const numbers = malloc(count * sizeof *numbers);
    if (numbers == NULL) exit(EXIT_FAILURE);
    CHECK(elman_get_layer_numbers(network, layer, numbers, count));
    printf("  %s", name);
    for (size_t i = 0; i < count; i++) printf(" %zu", numbers[i]);
    free(numbers);
}

/* The network as a table. */
static void print_layers(const elman_network *network) {
    printf("    kind        units  takes  gives  parameters  trained\n");
    for (size_t layer = 0; layer < elman_layer_count(network); layer++) {
        elman_layer_info info;
        CHECK(elman_get_layer_info(network, layer, &info, sizeof info));
        printf("%2zu  %-10s  ", layer, kinds[info.kind]);
        if (info.units > 0) printf("%5zu", info.units);
        else printf("    -");
        printf("  %5zu  %5zu  %10zu  %-7s", info.input_size, info.output_size, info.parameter_count,
               info.parameter_count == 0 ? "-"
               : info.trainable          ? "yes"
                                         : "no");
        switch (info.kind) {
        case ELMAN_LAYER_RNN:
        case ELMAN_LAYER_DENSE:
        case ELMAN_LAYER_ACTIVATION: print_activation("", info.activation, info.alpha, info.beta); break;
        case ELMAN_LAYER_DROPOUT: printf("  %g of the elements", info.rate); break;
        case ELMAN_LAYER_NORM: printf("  epsilon %g", info.epsilon); break;
        case ELMAN_LAYER_EMBEDDING: print_numbers(network, layer, info.number_count, "of columns"); break;
        case ELMAN_LAYER_CONCAT:
        case ELMAN_LAYER_RESIDUAL: print_numbers(network, layer, info.number_count, "of outputs"); break;
        default: break;
        }
        if (info.kind == ELMAN_LAYER_EMBEDDING) printf("  %zu classes", info.classes);
        if (info.kind == ELMAN_LAYER_RNN || info.kind == ELMAN_LAYER_GRU || info.kind == ELMAN_LAYER_LSTM)
            print_options(network, layer, info.kind);
        printf("\n");
    }
}

/* xorshift64* (Vigna 2016): a number in [0, 1). */
static double draw(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (double)((*state * 2685821657736338717u) >> 11) / 9007199254740992.0;
}

/* Runs of this motor: its current and its speed, which jump now and then, and how much warmer than the air it gets, in 100 K. */
static elman_dataset *make_runs(size_t count, uint64_t seed) {
    static float x[HELD_OUT * STEPS * INPUTS], y[HELD_OUT * STEPS];
    size_t lengths[HELD_OUT];
    for (size_t run = 0; run < count; run++) {
        double current = draw(&seed), speed = draw(&seed), warmth = 0.0;
        for (size_t step = run * STEPS; step < (run + 1) * STEPS; step++) {
            if (draw(&seed) < 0.05) current = draw(&seed), speed = draw(&seed);
            warmth += 0.05 * current * current - (0.015 + 0.02 * speed) * warmth;
            x[step * INPUTS] = (float)current;
            x[step * INPUTS + 1] = (float)speed;
            y[step] = (float)warmth;
        }
        lengths[run] = STEPS;
    }
    elman_dataset *runs;
    CHECK(elman_dataset_create_values(INPUTS, x, lengths, count, y, 1, 1, &runs));
    return runs;
}

/* By how much the network is off, in K. */
static double error_of(const elman_network *network, const elman_dataset *runs, const elman_fit_options *options) {
    double loss;
    CHECK(elman_evaluate(network, runs, options, &loss, NULL, NULL));
    return 100.0 * sqrt(loss);
}

/* Makes the recurrent layers learn, or freezes them. */
static void set_recurrent_trainable(elman_network *network, uint32_t trainable) {
    for (size_t layer = 0; layer < elman_layer_count(network); layer++) {
        elman_layer_info info;
        CHECK(elman_get_layer_info(network, layer, &info, sizeof info));
        if (info.state_size > 0) CHECK(elman_set_trainable(network, layer, trainable));
    }
}

static void train(elman_network *network, const elman_dataset *runs, const elman_fit_options *options, double rate) {
    elman_optimizer *adam;
    CHECK(elman_adam_create(rate, 0.9, 0.999, 1e-8, 0.0, &adam));
    CHECK(elman_fit(network, runs, adam, options));
    elman_optimizer_destroy(adam);
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: %s MODEL.safetensors TUNED.safetensors\n", arguments[0]);
        return EXIT_FAILURE;
    }
    /* Which function follows which Linear, the description beside the file says. */
    elman_network *network;
    CHECK(elman_import(arguments[1], NULL, &network));
    if (elman_input_size(network) != INPUTS || elman_output_size(network) != 1) {
        fprintf(stderr, "%s: %zu inputs and %zu outputs, expected %d and 1\n", arguments[1],
                elman_input_size(network), elman_output_size(network), INPUTS);
        return EXIT_FAILURE;
    }
    printf("%s\n", arguments[1]);
    print_layers(network);

    elman_dataset *const runs = make_runs(TRAINED, 1), *const held_out = make_runs(HELD_OUT, 2);
    elman_fit_options options;
    CHECK(elman_fit_options_init(&options, sizeof options));
    options.loss = ELMAN_LOSS_MEAN_SQUARED_ERROR;
    options.batch_size = 4;
    options.clip = ELMAN_CLIP_NORM;
    printf("%d runs of the new motor; in %d others the network is off by\n", TRAINED, HELD_OUT);
    const double before = error_of(network, held_out, &options);
    printf("    %6.2f K before\n", before);

    options.epochs = 40;
    set_recurrent_trainable(network, 0);
    train(network, runs, &options, 0.01);
    printf("    %6.2f K after training what is behind the recurrent layer\n", error_of(network, held_out, &options));

    options.epochs = 60;
    set_recurrent_trainable(network, 1);
    train(network, runs, &options, 0.002);
    const double after = error_of(network, held_out, &options);
    printf("    %6.2f K after training all of it\n", after);

    const char *const modules[] = {"gru", "head.0", "head.2"};
    CHECK(elman_save_state_dict(network, arguments[2], modules, sizeof modules / sizeof *modules));
    printf("in Python: model.load_state_dict(safetensors.torch.load_file(\"%s\"))\n", arguments[2]);
    elman_dataset_destroy(runs);
    elman_dataset_destroy(held_out);
    elman_destroy(network);
    return after < before ? EXIT_SUCCESS : EXIT_FAILURE;
}
