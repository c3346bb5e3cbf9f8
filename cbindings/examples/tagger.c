/* What is inside of brackets? Tags every symbol of lines of any length.
 *
 * A line is letters and brackets. A letter is inside where a bracket has opened before it and closes after it, and outside
 * where the bracket never closes, which only the rest of the line can tell. A network that goes from left to right guesses
 * at that; one that goes both ways knows. Trains both on lines that the program makes up, and tags lines they have not seen.
 *
 *     tagger [seed]
 */
#include <elman.h>
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

enum { LINES = 1000, LONGEST = 24, UNITS = 24, EPOCHS = 15 };
enum { OUTSIDE, INSIDE, TAGS };

static const char symbols[] = "abcdef()"; /* one input each: a step is 1 at its symbol and 0 elsewhere */
enum { SYMBOLS = sizeof symbols - 1 };

/* xorshift64* (Vigna 2016): a number below `count`. */
static size_t draw(uint64_t *state, size_t count) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (size_t)((*state * 2685821657736338717u) >> 33) % count;
}

/* Makes up a line and its tags. Returns its length. */
static size_t make_line(uint64_t *state, char *line, size_t *tags) {
    const size_t length = 1 + draw(state, LONGEST);
    size_t opened = LONGEST; /* where the bracket has opened that is open */
    for (size_t i = 0; i < length; i++) {
        line[i] = symbols[draw(state, 3) == 0 ? 6 + draw(state, 2) : draw(state, 6)];
        tags[i] = OUTSIDE;
        if (line[i] == '(' && opened == LONGEST) opened = i;
        if (line[i] == ')' && opened < LONGEST) {
            for (size_t j = opened + 1; j < i; j++) tags[j] = INSIDE;
            opened = LONGEST;
        }
    }
    line[length] = '\0';
    return length;
}

static void encode(const char *line, size_t length, float *x) {
    memset(x, 0, length * SYMBOLS * sizeof *x);
    for (size_t i = 0; i < length; i++) x[i * SYMBOLS + (size_t)(strchr(symbols, line[i]) - symbols)] = 1.0f;
}

static elman_dataset *make_lines(uint64_t seed) {
    static float x[LINES * LONGEST * SYMBOLS];
    static size_t tags[LINES * LONGEST], lengths[LINES];
    char line[LONGEST + 1];
    size_t steps = 0;
    for (size_t i = 0; i < LINES; i++) {
        lengths[i] = make_line(&seed, line, tags + steps);
        encode(line, lengths[i], x + steps * SYMBOLS);
        steps += lengths[i];
    }
    elman_dataset *dataset;
    CHECK(elman_dataset_create_classes(SYMBOLS, x, lengths, LINES, tags, TAGS, 1, &dataset));
    return dataset;
}

static elman_network *train(const elman_dataset *dataset, uint32_t direction, uint64_t seed) {
    elman_network *network;
    elman_recurrent_options layer;
    CHECK(elman_create(SYMBOLS, &network));
    CHECK(elman_set_seed(network, seed));
    CHECK(elman_recurrent_options_init(&layer, sizeof layer));
    layer.direction = direction;
    CHECK(elman_add_gru(network, UNITS, &layer));
    CHECK(elman_add_dense(network, TAGS, ELMAN_LINEAR));
    CHECK(elman_set_output(network, ELMAN_OUTPUT_ALL));

    elman_optimizer *adam;
    elman_fit_options options;
    CHECK(elman_adam_create(0.01, 0.9, 0.999, 1e-8, 0.0, &adam));
    CHECK(elman_fit_options_init(&options, sizeof options));
    options.epochs = EPOCHS;
    options.seed = seed;
    options.clip = ELMAN_CLIP_NORM;
    CHECK(elman_fit(network, dataset, adam, &options));
    elman_optimizer_destroy(adam);
    return network;
}

static void show(const elman_network *network, const char *line) {
    const size_t length = strlen(line);
    float x[LONGEST * SYMBOLS], y[LONGEST * TAGS];
    encode(line, length, x);
    CHECK(elman_predict(network, x, 1, length, NULL, NULL, y, NULL));
    printf("    %s\n    ", line);
    for (size_t i = 0; i < length; i++) putchar(y[i * TAGS + INSIDE] > y[i * TAGS + OUTSIDE] ? '^' : ' ');
    putchar('\n');
}

int main(int argc, char **argv) {
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    const char *const names[] = {"forward", "bidirectional"};
    const uint32_t directions[] = {ELMAN_FORWARD, ELMAN_BIDIRECTIONAL};
    double accuracy[2];
    elman_dataset *training = make_lines(2 * seed + 1), *test = make_lines(2 * seed + 2);
    printf("%d lines to learn from, of up to %zu symbols\n", LINES, elman_dataset_max_length(training));
    for (size_t i = 0; i < 2; i++) {
        elman_network *network = train(training, directions[i], seed);
        CHECK(elman_evaluate(network, test, NULL, NULL, &accuracy[i], NULL));
        printf("%s: accuracy %.4f over %zu symbols of other lines\n", names[i], accuracy[i],
               elman_dataset_total_steps(test));
        show(network, "ab(cd)ef(ab)c");
        show(network, "ab(cdefabcdefab");
        elman_destroy(network);
    }
    elman_dataset_destroy(test);
    elman_dataset_destroy(training);
    return accuracy[1] > 0.98 && accuracy[1] > accuracy[0] ? EXIT_SUCCESS : EXIT_FAILURE;
}
