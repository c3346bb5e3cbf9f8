/* Who is speaking? Nine men say two vowels; a step of an utterance is 12 numbers that describe a moment of it.
 *
 * Trains a network on 270 utterances and measures it on 370 others. Then saves it, loads it, and listens to the others
 * again, step by step as they would come from a microphone: the answers are the same to the last bit. A network that goes
 * through an utterance from its end can't do that; it gets the others again one by one.
 *
 *     [CELL=rnn|gru|lstm] [DIRECTION=forward|reverse|bidirectional]
 *     japanese_vowels [seed [directory of JapaneseVowels_TRAIN.ts and JapaneseVowels_TEST.ts]]
 */
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

enum { UNITS = 64, EPOCHS = 60 };

static double seconds(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static elman_dataset *read_part(const char *directory, const char *part) {
    char path[4096];
    snprintf(path, sizeof path, "%s/JapaneseVowels_%s.ts", directory, part);
    elman_dataset *dataset;
    CHECK(elman_dataset_read_ts(path, &dataset));
    printf("%-5s  %zu utterances of up to %zu steps\n", part, elman_dataset_sequence_count(dataset),
           elman_dataset_max_length(dataset));
    return dataset;
}

static uint32_t show_progress(void *user, elman_progress *progress, const elman_network *network) {
    (void)user, (void)network;
    printf("\repoch %2zu of %zu: loss %.4f, accuracy %.3f", progress->epoch, progress->epochs, progress->loss,
           progress->accuracy);
    fflush(stdout);
    /* Small steps at the end settle what the large ones have found. */
    progress->learning_rate *= 0.95;
    return ELMAN_CONTINUE;
}

/* Which of three names an environment variable has; the first where it is not set. */
static uint32_t choice(const char *variable, const char *const names[3]) {
    const char *value = getenv(variable);
    if (value == NULL || *value == '\0') return 0;
    for (uint32_t i = 0; i < 3; i++)
        if (strcmp(value, names[i]) == 0) return i;
    fprintf(stderr, "%s is '%s', expected %s, %s or %s\n", variable, value, names[0], names[1], names[2]);
    exit(EXIT_FAILURE);
}

static void add_cell(elman_network *network, uint32_t cell, uint32_t direction) {
    elman_recurrent_options options;
    CHECK(elman_recurrent_options_init(&options, sizeof options));
    options.direction = direction;
    switch (cell) {
    case 0: CHECK(elman_add_recurrent(network, UNITS, ELMAN_TANH, &options)); break;
    case 1: CHECK(elman_add_gru(network, UNITS, &options)); break;
    default: CHECK(elman_add_lstm(network, UNITS, &options)); break;
    }
}

static elman_network *train(const elman_dataset *dataset, uint64_t seed, uint32_t cell, uint32_t direction) {
    elman_network *network;
    CHECK(elman_create(elman_dataset_input_size(dataset), &network));
    add_cell(network, cell, direction);
    CHECK(elman_add_dense(network, elman_dataset_class_count(dataset), ELMAN_LINEAR));
    CHECK(elman_initialize(network, ELMAN_INIT_PYTORCH, 1.0f, seed));
    CHECK(elman_standardize(network, dataset));

    elman_optimizer *adam;
    CHECK(elman_adam_create(0.005, 0.9, 0.999, 1e-8, 0.0, &adam));
    elman_fit_options options;
    CHECK(elman_fit_options_init(&options, sizeof options));
    options.epochs = EPOCHS;
    options.seed = seed;
    options.clip = ELMAN_CLIP_NORM;
    options.callback = show_progress;

    const double start = seconds();
    CHECK(elman_fit(network, dataset, adam, &options));
    printf("\ntraining time: %.2f s (%s)\n", seconds() - start, elman_tier());
    elman_optimizer_destroy(adam);
    return network;
}

static void measure(const elman_network *network, const elman_dataset *dataset) {
    const size_t classes = elman_dataset_class_count(dataset);
    size_t *confusion = malloc(classes * classes * sizeof *confusion);
    double accuracy;
    CHECK(elman_evaluate(network, dataset, NULL, NULL, &accuracy, confusion));
    printf("test accuracy: %.3f\n\nspeaker  taken for\n       ", accuracy);
    for (size_t class = 0; class < classes; class++) {
        const char *name;
        CHECK(elman_dataset_class_name(dataset, class, &name));
        printf("%5s", name);
    }
    for (size_t class = 0; class < classes; class++) {
        const char *name;
        CHECK(elman_dataset_class_name(dataset, class, &name));
        printf("\n%7s", name);
        for (size_t taken = 0; taken < classes; taken++) printf("%5zu", confusion[class * classes + taken]);
    }
    printf("\n\n");
    free(confusion);
}

/* Listens to every utterance step by step. Returns how many answers differ from `expected` [utterances][classes]. */
static size_t stream(const elman_network *network, const elman_dataset *dataset, const float *expected) {
    const size_t classes = elman_output_size(network), features = elman_input_size(network);
    float *answer = malloc(classes * sizeof *answer);
    elman_session *session;
    CHECK(elman_session_create(network, &session));
    size_t different = 0;
    for (size_t index = 0; index < elman_dataset_sequence_count(dataset); index++) {
        const float *utterance;
        size_t steps;
        CHECK(elman_dataset_sequence(dataset, index, &utterance, &steps));
        CHECK(elman_session_reset(session));
        for (size_t step = 0; step < steps; step++)
            CHECK(elman_session_step(session, utterance + step * features, answer));
        different += memcmp(answer, expected + index * classes, classes * sizeof *answer) != 0;
    }
    elman_session_destroy(session);
    free(answer);
    return different;
}

/* As stream(), of whole utterances. */
static size_t one_by_one(const elman_network *network, const elman_dataset *dataset, const float *expected) {
    const size_t classes = elman_output_size(network);
    float *answer = malloc(classes * sizeof *answer);
    size_t different = 0;
    for (size_t index = 0; index < elman_dataset_sequence_count(dataset); index++) {
        const float *utterance;
        size_t steps;
        CHECK(elman_dataset_sequence(dataset, index, &utterance, &steps));
        CHECK(elman_predict(network, utterance, 1, steps, NULL, NULL, answer, NULL));
        different += memcmp(answer, expected + index * classes, classes * sizeof *answer) != 0;
    }
    free(answer);
    return different;
}

int main(int argc, char **argv) {
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    const char *directory = argc > 2 ? argv[2] : "../tests/data/japanese_vowels";
    const char *file = "japanese_vowels.safetensors";
    const char *const cells[] = {"rnn", "gru", "lstm"}, *const directions[] = {"forward", "reverse", "bidirectional"};
    /* ELMAN_FORWARD, ELMAN_REVERSE and ELMAN_BIDIRECTIONAL are 0 to 2. */
    const uint32_t cell = choice("CELL", cells), direction = choice("DIRECTION", directions);

    elman_dataset *training = read_part(directory, "TRAIN"), *test = read_part(directory, "TEST");
    printf("a layer of %d units, %s, %s\n", UNITS, cells[cell], directions[direction]);
    elman_network *network = train(training, seed, cell, direction);
    measure(network, test);

    const size_t utterances = elman_dataset_sequence_count(test);
    float *answers = malloc(utterances * elman_output_size(network) * sizeof *answers);
    CHECK(elman_predict_dataset(network, test, 32, answers));

    elman_network *loaded;
    CHECK(elman_save(network, file));
    CHECK(elman_load(file, &loaded));
    const int streams = direction == ELMAN_FORWARD;
    const size_t different = (streams ? stream : one_by_one)(loaded, test, answers);
    printf("saved to %s, loaded and %s: %zu of %zu answers have the same bits\n", file,
           streams ? "streamed" : "run one by one", utterances - different, utterances);

    free(answers);
    elman_destroy(loaded);
    elman_destroy(network);
    elman_dataset_destroy(test);
    elman_dataset_destroy(training);
    return different == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
