/* Who is speaking? Nine men say two vowels; a step of an utterance is 12 numbers that describe a moment of it.
 *
 * Trains a network on 270 utterances and measures it on 370 others. Then saves it, loads it, and listens to the others
 * again, step by step as they would come from a microphone: the answers are the same to the last bit.
 *
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

static elman_network *train(const elman_dataset *dataset, uint64_t seed) {
    elman_network *network;
    CHECK(elman_create(elman_dataset_input_size(dataset), &network));
    CHECK(elman_add_rnn(network, UNITS, ELMAN_TANH));
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

int main(int argc, char **argv) {
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    const char *directory = argc > 2 ? argv[2] : "../tests/data/japanese_vowels";
    const char *file = "japanese_vowels.safetensors";

    elman_dataset *training = read_part(directory, "TRAIN"), *test = read_part(directory, "TEST");
    elman_network *network = train(training, seed);
    measure(network, test);

    const size_t utterances = elman_dataset_sequence_count(test);
    float *answers = malloc(utterances * elman_output_size(network) * sizeof *answers);
    CHECK(elman_predict_dataset(network, test, 32, answers));

    elman_network *loaded;
    CHECK(elman_save(network, file));
    CHECK(elman_load(file, &loaded));
    const size_t different = stream(loaded, test, answers);
    printf("saved to %s, loaded and streamed: %zu of %zu answers have the same bits\n", file, utterances - different,
           utterances);

    free(answers);
    elman_destroy(loaded);
    elman_destroy(network);
    elman_dataset_destroy(test);
    elman_dataset_destroy(training);
    return different == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
