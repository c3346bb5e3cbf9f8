/* One training on several processes, on one machine or on many: each takes its part of every batch, all make the same update.
 *
 * Trains a tagger on lines of different lengths. A step is two numbers; its tag says which of them has the larger sum up to
 * there, and every fourth tag is not known. Losses are means, so a rank's gradients count by the number of its known tags. In
 * the last batch of an epoch some ranks have fewer lines than others, or none.
 *
 *     mpirun -n 4 distributed loop|fit [epochs [dropout [directory [epoch]]]]
 *
 * "loop" is a loop of its own, "fit" is elman_fit() with a callback; both give the same bits. With a directory the network and
 * the optimizer are written there after every epoch; with an epoch training goes on from what was written after that one.
 */
#define _POSIX_C_SOURCE 200809L
#include <elman.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(call)                                                                                                    \
    do {                                                                                                               \
        const elman_status status = (call);                                                                            \
        if (status != ELMAN_OK) {                                                                                      \
            fprintf(stderr, "%s: %s\n", elman_status_string(status), elman_last_error());                              \
            MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);                                                                   \
        }                                                                                                              \
    } while (0)

enum { LINES = 300, LONGEST = 20, NUMBERS = 2, TAGS = 2, UNITS = 16, BATCH = 18 };

static const uint64_t seed = 1;

struct lines {
    float x[LINES][LONGEST][NUMBERS];
    size_t tags[LINES][LONGEST];
    size_t lengths[LINES];
};

/* What a rank takes: of every batch the lines at the places from `first` to before `end`. */
struct part {
    int rank, ranks;
    size_t first, end;
};

/* A mean in the making. */
struct mean {
    double sum, weight;
};

/* xorshift64* (Vigna 2016): a number below `count`. */
static size_t draw(uint64_t *state, size_t count) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (size_t)((*state * 2685821657736338717u) >> 33) % count;
}

static void make_lines(struct lines *lines) {
    uint64_t state = seed;
    for (size_t line = 0; line < LINES; line++) {
        float difference = 0.0f;
        lines->lengths[line] = 1 + draw(&state, LONGEST);
        for (size_t step = 0; step < lines->lengths[line]; step++) {
            float *x = lines->x[line][step];
            for (size_t i = 0; i < NUMBERS; i++) x[i] = (float)draw(&state, 2001) / 1000.0f - 1.0f;
            difference += x[1] - x[0];
            lines->tags[line][step] = draw(&state, 4) == 0 ? ELMAN_NO_LABEL : difference > 0.0f;
        }
    }
}

/* The order of the lines in an epoch: the same for all ranks, whatever their number. */
static void shuffle(size_t order[LINES], size_t epoch) {
    uint64_t state = seed + epoch;
    for (size_t i = 0; i < LINES; i++) {
        const size_t j = draw(&state, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
}

static elman_network *make_network(float dropout) {
    elman_network *network;
    CHECK(elman_create(NUMBERS, &network));
    CHECK(elman_set_seed(network, seed)); /* all ranks start with the same parameters */
    CHECK(elman_add_gru(network, UNITS, NULL));
    CHECK(elman_add_dropout(network, dropout));
    CHECK(elman_add_dense(network, TAGS, ELMAN_LINEAR));
    CHECK(elman_set_output(network, ELMAN_OUTPUT_ALL));
    return network;
}

/* Makes gradients those of all ranks together: each rank's count by their weight, the number of rows that they are a mean over.
 * Returns the sum of the weights. */
static double average(float *gradients, size_t count, double weight) {
    double total;
    MPI_Allreduce(&weight, &total, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    if (total == 0.0) return total;
    const float share = (float)(weight / total);
    for (size_t i = 0; i < count; i++) gradients[i] *= share;
    MPI_Allreduce(MPI_IN_PLACE, gradients, (int)count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    return total;
}

/* An epoch in a loop of one's own. Gives this rank's loss. */
static struct mean loop(elman_network *network, elman_optimizer *optimizer, const struct lines *lines, const size_t *order,
                        const struct part *part) {
    static float x[BATCH][LONGEST][NUMBERS], y[BATCH][LONGEST][TAGS], dy[BATCH][LONGEST][TAGS];
    static size_t tags[BATCH][LONGEST], lengths[BATCH];
    struct mean mean = {0.0, 0.0};
    float *gradients;
    size_t count;
    CHECK(elman_gradients(network, &gradients, &count));
    for (size_t batch = 0; batch < LINES; batch += BATCH) {
        double loss = 0.0, weight = 0.0;
        size_t rows = 0;
        for (size_t place = batch + part->first; place < batch + part->end && place < LINES; place++, rows++) {
            const size_t line = order[place];
            memcpy(x[rows], lines->x[line], sizeof x[rows]);
            memcpy(tags[rows], lines->tags[line], sizeof tags[rows]);
            lengths[rows] = lines->lengths[line];
            for (size_t step = 0; step < lengths[rows]; step++) weight += tags[rows][step] != ELMAN_NO_LABEL;
        }
        if (rows > 0) {
            CHECK(elman_forward(network, x[0][0], rows, LONGEST, lengths, NULL, y[0][0], NULL));
            CHECK(elman_softmax_cross_entropy_padded(y[0][0], tags[0], rows, LONGEST, lengths, TAGS, &loss, dy[0][0]));
            CHECK(elman_backward(network, dy[0][0], NULL, NULL, NULL));
        }
        mean.sum += weight * loss;
        mean.weight += weight;
        if (average(gradients, count, weight) > 0.0) {
            CHECK(elman_clip_gradients_by_norm(network, 1.0, NULL));
            CHECK(elman_update(network, optimizer));
        }
    }
    return mean;
}

/* Is called by elman_fit() before each update, and before it limits the gradients. */
static uint32_t before_update(void *user, elman_batch_progress *batch) {
    struct mean *mean = user;
    mean->sum += batch->weight * batch->loss;
    mean->weight += batch->weight;
    batch->weight = average(batch->gradients, batch->gradient_count, batch->weight);
    return ELMAN_CONTINUE;
}

/* An epoch of elman_fit(), on a data set of this rank's parts of all batches. Gives this rank's loss. */
static struct mean fit(elman_network *network, elman_optimizer *optimizer, const struct lines *lines, const size_t *order,
                       const struct part *part) {
    static float x[LINES * LONGEST][NUMBERS];
    static size_t tags[LINES * LONGEST], lengths[LINES];
    struct mean mean = {0.0, 0.0};
    size_t count = 0, steps = 0, rows = 0;
    for (size_t batch = 0; batch < LINES; batch += BATCH) {
        rows = 0;
        for (size_t place = batch + part->first; place < batch + part->end && place < LINES; place++, rows++) {
            const size_t line = order[place], length = lines->lengths[line];
            memcpy(x[steps], lines->x[line], length * sizeof x[0]);
            memcpy(tags + steps, lines->tags[line], length * sizeof tags[0]);
            steps += length;
            lengths[count++] = length;
        }
    }
    if (rows == 0) { /* a line without a tag, so that this rank has as many batches as the others */
        memset(x[steps], 0, sizeof x[0]);
        tags[steps] = ELMAN_NO_LABEL;
        lengths[count++] = 1;
    }
    elman_dataset *dataset;
    elman_fit_options options;
    CHECK(elman_dataset_create_classes(NUMBERS, x[0], lengths, count, tags, TAGS, 1, &dataset));
    CHECK(elman_fit_options_init(&options, sizeof options));
    options.epochs = 1;
    options.shuffle = 0;
    options.batch_size = part->end - part->first;
    options.clip = ELMAN_CLIP_NORM;
    options.batch_callback = before_update;
    options.user = &mean;
    CHECK(elman_fit(network, dataset, optimizer, &options));
    elman_dataset_destroy(dataset);
    return mean;
}

static const char *path_of(const char *directory, const char *what, size_t epoch) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s-%zu.safetensors", directory, what, epoch);
    return path;
}

/* The network comes last: where its file is, the optimizer's is. */
static void save(const elman_network *network, const elman_optimizer *optimizer, const char *directory, size_t epoch) {
    CHECK(elman_optimizer_save(optimizer, path_of(directory, "optimizer", epoch)));
    CHECK(elman_save(network, path_of(directory, "network", epoch)));
}

static void introduce(const struct part *part) {
    long process = (long)getpid(), processes[BATCH];
    MPI_Gather(&process, 1, MPI_LONG, processes, 1, MPI_LONG, 0, MPI_COMM_WORLD);
    for (int rank = 0; part->rank == 0 && rank < part->ranks; rank++)
        printf("rank %d is process %ld\n", rank, processes[rank]);
    fflush(stdout);
}

/* Whether all ranks have the parameters of the first one, bit for bit. */
static int are_equal(const elman_network *network) {
    const size_t count = elman_parameter_count(network);
    float *own = malloc(2 * count * sizeof *own), *first = own + count;
    CHECK(elman_get_parameters(network, own, count));
    memcpy(first, own, count * sizeof *own);
    MPI_Bcast(first, (int)count, MPI_FLOAT, 0, MPI_COMM_WORLD);
    int equal = memcmp(own, first, count * sizeof *own) == 0;
    MPI_Allreduce(MPI_IN_PLACE, &equal, 1, MPI_INT, MPI_LAND, MPI_COMM_WORLD);
    free(own);
    return equal;
}

int main(int argc, char **argv) {
    static struct lines lines;
    static size_t order[LINES];
    MPI_Init(&argc, &argv);
    const char *way = argc > 1 ? argv[1] : "loop", *directory = argc > 4 ? argv[4] : NULL;
    const size_t epochs = argc > 2 ? strtoul(argv[2], NULL, 10) : 10, begin = argc > 5 ? strtoul(argv[5], NULL, 10) : 0;
    const float dropout = argc > 3 ? strtof(argv[3], NULL) : 0.0f;
    struct part part;
    MPI_Comm_rank(MPI_COMM_WORLD, &part.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &part.ranks);
    if ((strcmp(way, "loop") != 0 && strcmp(way, "fit") != 0) || part.ranks > BATCH) {
        if (part.rank == 0)
            fprintf(stderr, "distributed: '%s' on %d ranks, expected loop or fit on at most %d\n", way, part.ranks, BATCH);
        MPI_Finalize();
        return EXIT_FAILURE;
    }
    const size_t rank = (size_t)part.rank, ranks = (size_t)part.ranks;
    part.first = BATCH * rank / ranks;
    part.end = BATCH * (rank + 1) / ranks;
    introduce(&part);

    make_lines(&lines);
    elman_network *network;
    elman_optimizer *optimizer;
    if (begin > 0) {
        CHECK(elman_load(path_of(directory, "network", begin), &network));
        CHECK(elman_optimizer_load(path_of(directory, "optimizer", begin), &optimizer));
    } else {
        network = make_network(dropout);
        CHECK(elman_adam_create(0.01, 0.9, 0.999, 1e-8, 0.0, &optimizer));
    }
    for (size_t epoch = begin; epoch < epochs; epoch++) {
        shuffle(order, epoch);
        CHECK(elman_set_seed(network, seed + epoch * ranks + rank)); /* no rank drops what another one, or epoch, drops */
        struct mean mean = (strcmp(way, "fit") == 0 ? fit : loop)(network, optimizer, &lines, order, &part);
        MPI_Allreduce(MPI_IN_PLACE, &mean, 2, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
        if (part.rank == 0) {
            printf("epoch %zu: loss %.4f over %.0f tags\n", epoch + 1, mean.sum / mean.weight, mean.weight);
            fflush(stdout);
            if (directory != NULL) save(network, optimizer, directory, epoch + 1);
        }
    }
    const int equal = are_equal(network);
    if (part.rank == 0) puts(equal ? "all ranks have the same bits" : "the ranks have different parameters");
    elman_optimizer_destroy(optimizer);
    elman_destroy(network);
    MPI_Finalize();
    return equal ? EXIT_SUCCESS : EXIT_FAILURE;
}
