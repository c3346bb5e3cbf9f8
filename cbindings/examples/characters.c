/* What comes next? Learns to write text, one character after the other.
 *
 * Reads files, cuts them into pieces of 100 characters, and learns from nine tenths of them to tell each character from
 * those before it, with an embedding of the characters, an LSTM and a dense layer. The loss in nats a character is printed
 * for these and for the other tenth. Then it writes: each character is drawn from what the network expects, with a
 * temperature that makes likely ones likelier, and is its next input.
 *
 *     characters file...
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

enum { PIECE = 100, EMBEDDING = 32, UNITS = 128, EPOCHS = 60, LETTERS = 600 };

static const double enough = 1.5, temperature = 0.6;

struct text {
    unsigned char *bytes;
    size_t size;
    size_t code[256]; /* of each byte that occurs, its number */
    unsigned char byte[256];
    size_t kinds;
};

struct watch {
    double best;
    double start;
};

static double seconds(void) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void read_file(struct text *text, const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    enum { BLOCK = 4096 };
    size_t read;
    do {
        text->bytes = realloc(text->bytes, text->size + BLOCK);
        read = fread(text->bytes + text->size, 1, BLOCK, file);
        text->size += read;
    } while (read == BLOCK);
    fclose(file);
}

/* Every tenth piece, or all but these. A step is the number of its character, which the embedding takes as an index. */
static elman_dataset *pieces(const struct text *text, int held_out) {
    const size_t count = (text->size - 1) / PIECE;
    float *x = malloc(count * PIECE * sizeof *x);
    size_t *next = malloc(count * PIECE * sizeof *next), *lengths = malloc(count * sizeof *lengths);
    size_t taken = 0, steps = 0;
    for (size_t piece = 0; piece < count; piece++) {
        if ((piece % 10 == 9) != held_out) continue;
        for (size_t i = 0; i < PIECE; i++, steps++) {
            x[steps] = (float)text->code[text->bytes[piece * PIECE + i]];
            next[steps] = text->code[text->bytes[piece * PIECE + i + 1]];
        }
        lengths[taken++] = PIECE;
    }
    elman_dataset *dataset;
    CHECK(elman_dataset_create_classes(1, x, lengths, taken, next, text->kinds, 1, &dataset));
    free(x), free(next), free(lengths);
    return dataset;
}

static uint32_t show_progress(void *user, elman_progress *progress, const elman_network *network) {
    struct watch *watch = user;
    (void)network;
    watch->best = progress->loss;
    printf("epoch %2zu: loss %.3f nats, on the held-out tenth %.3f nats, after %.1f s\n", progress->epoch, progress->loss,
           progress->validation_loss, seconds() - watch->start);
    fflush(stdout);
    return progress->loss < enough ? ELMAN_STOP : ELMAN_CONTINUE;
}

/* xorshift64* (Vigna 2016): a number in [0, 1). */
static double draw(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (double)((*state * 2685821657736338717u) >> 11) / 9007199254740992.0;
}

static void write_text(const elman_network *network, const struct text *text, uint64_t seed) {
    elman_session *session;
    float *y = malloc(2 * text->kinds * sizeof *y), *p = y + text->kinds;
    size_t letter = text->code['\n'];
    CHECK(elman_session_create(network, &session));
    for (size_t i = 0; i < LETTERS; i++) {
        const float x = (float)letter;
        CHECK(elman_session_step(session, &x, y));
        for (size_t kind = 0; kind < text->kinds; kind++) y[kind] /= (float)temperature;
        CHECK(elman_softmax(y, 1, text->kinds, p));
        double rest = draw(&seed);
        for (letter = 0; letter + 1 < text->kinds && rest >= (double)p[letter]; letter++) rest -= (double)p[letter];
        putchar(text->byte[letter]);
    }
    putchar('\n');
    free(y);
    elman_session_destroy(session);
}

int main(int argc, char **argv) {
    struct text text = {0};
    for (int i = 1; i < argc; i++) read_file(&text, argv[i]);
    int seen[256] = {0};
    for (size_t i = 0; i < text.size; i++) seen[text.bytes[i]] = 1;
    seen['\n'] = 1;
    for (size_t byte = 0; byte < 256; byte++) {
        if (!seen[byte]) continue;
        text.code[byte] = text.kinds;
        text.byte[text.kinds++] = (unsigned char)byte;
    }
    if (text.size <= 20 * PIECE) {
        fprintf(stderr, "characters: %zu characters to learn from, expected more than %d\n", text.size, 20 * PIECE);
        return EXIT_FAILURE;
    }
    elman_dataset *training = pieces(&text, 0), *held_out = pieces(&text, 1);
    printf("%zu characters of %zu kinds\n", text.size, text.kinds);

    elman_network *network;
    elman_optimizer *adam;
    elman_fit_options options;
    struct watch watch = {0.0, seconds()};
    const size_t column = 0;
    CHECK(elman_create(1, &network));
    CHECK(elman_add_embedding(network, &column, 1, text.kinds, EMBEDDING));
    CHECK(elman_add_lstm(network, UNITS, NULL));
    CHECK(elman_add_dense(network, text.kinds, ELMAN_LINEAR));
    CHECK(elman_set_output(network, ELMAN_OUTPUT_ALL));
    CHECK(elman_set_threads(network, 2));
    CHECK(elman_adam_create(0.005, 0.9, 0.999, 1e-8, 0.0, &adam));
    CHECK(elman_fit_options_init(&options, sizeof options));
    options.epochs = EPOCHS;
    options.batch_size = 8;
    options.clip = ELMAN_CLIP_NORM;
    options.validation = held_out;
    options.callback = show_progress;
    options.user = &watch;
    CHECK(elman_fit(network, training, adam, &options));

    printf("\nWith temperature %.1f it writes:\n\n", temperature);
    write_text(network, &text, 1);
    elman_optimizer_destroy(adam);
    elman_destroy(network);
    elman_dataset_destroy(held_out);
    elman_dataset_destroy(training);
    free(text.bytes);
    return watch.best < 1.9 ? EXIT_SUCCESS : EXIT_FAILURE;
}
