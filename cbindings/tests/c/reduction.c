/* Gradients that are reduced over processes are those of the whole batch, for each loss by its own weights. */
#include <mpi.h>

#include "check.h"

enum { BATCH = 11, STEPS = 9, NUMBERS = 3, CLASSES = 4, SIZE = BATCH * STEPS * CLASSES };

enum loss { CROSS_ENTROPY, WEIGHTED_CROSS_ENTROPY, SQUARED_ERROR, BINARY_CROSS_ENTROPY, CTC_MEAN, CTC_SUM, LOSSES };

static const float class_weights[CLASSES] = {1.0f, 0.25f, 0.0f, 3.0f};

static float x[BATCH][STEPS][NUMBERS], targets[BATCH][STEPS][CLASSES];
static size_t labels[BATCH][STEPS], lengths[BATCH], spelt[BATCH], spelling[BATCH][2];

static size_t draw(size_t count) {
    static uint64_t state = 7;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(state >> 33) % count;
}

static void make_batch(void) {
    for (size_t row = 0; row < BATCH; row++) {
        lengths[row] = 5 + draw(STEPS - 4);
        for (size_t step = 0; step < STEPS; step++) {
            for (size_t i = 0; i < NUMBERS; i++) x[row][step][i] = (float)draw(2001) / 1000.0f - 1.0f;
            for (size_t i = 0; i < CLASSES; i++) targets[row][step][i] = draw(3) == 0 ? NAN : (float)draw(101) / 100.0f;
            labels[row][step] = draw(3) == 0 ? ELMAN_NO_LABEL : draw(CLASSES);
        }
        spelt[row] = draw(3);
        for (size_t i = 0; i < 2; i++) spelling[row][i] = 1 + draw(CLASSES - 1);
    }
}

/* What the loss of the rows from `first` to before `end` is a mean over. */
static double weight_of(enum loss loss, size_t first, size_t end) {
    double weight = 0.0;
    if (loss == CTC_MEAN) return (double)(end - first);
    for (size_t row = first; row < end; row++)
        for (size_t step = 0; step < lengths[row]; step++) {
            const size_t label = labels[row][step];
            switch (loss) {
                case CROSS_ENTROPY: weight += label != ELMAN_NO_LABEL; break;
                case WEIGHTED_CROSS_ENTROPY: weight += label == ELMAN_NO_LABEL ? 0.0 : (double)class_weights[label]; break;
                default:
                    for (size_t i = 0; i < CLASSES; i++) weight += !isnan(targets[row][step][i]);
            }
        }
    return weight;
}

/* The gradients of the loss of the rows from `first` to before `end`, in the network. */
static void backward(elman_network *network, enum loss loss, size_t first, size_t end) {
    static float y[SIZE], dy[SIZE];
    const size_t rows = end - first, *known = lengths + first;
    OK(elman_clear_gradients(network));
    if (rows == 0) return;
    OK(elman_forward(network, x[first][0], rows, STEPS, known, NULL, y, NULL));
    switch (loss) {
        case CROSS_ENTROPY:
            OK(elman_softmax_cross_entropy_padded(y, labels[first], rows, STEPS, known, CLASSES, NULL, dy));
            break;
        case WEIGHTED_CROSS_ENTROPY:
            OK(elman_softmax_cross_entropy_weighted_padded(y, labels[first], rows, STEPS, known, CLASSES, class_weights,
                                                           NULL, dy));
            break;
        case SQUARED_ERROR:
            OK(elman_mean_squared_error_padded(y, targets[first][0], rows, STEPS, known, CLASSES, NULL, dy));
            break;
        case BINARY_CROSS_ENTROPY:
            OK(elman_binary_cross_entropy_with_logits_padded(y, targets[first][0], rows, STEPS, known, CLASSES, NULL, dy));
            break;
        default: {
            size_t flat[2 * BATCH], count = 0;
            elman_ctc_options options;
            OK(elman_ctc_options_init(&options, sizeof options));
            options.reduction = loss == CTC_SUM ? ELMAN_CTC_SUM : ELMAN_CTC_MEAN;
            for (size_t row = first; row < end; row++)
                for (size_t i = 0; i < spelt[row]; i++) flat[count++] = spelling[row][i];
            OK(elman_ctc(y, flat, spelt + first, rows, STEPS, known, CLASSES, &options, NULL, NULL, dy));
        }
    }
    OK(elman_backward(network, dy, NULL, NULL, NULL));
}

/* The gradients times what they count for. A sum counts as it is. */
static void scale(float *gradients, size_t count, enum loss loss, double weight, double total) {
    if (loss == CTC_SUM) return;
    const float share = (float)(weight / total);
    for (size_t i = 0; i < count; i++) gradients[i] *= share;
}

int main(int argc, char **argv) {
    int own, ranks;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &own);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    make_batch();
    /* Parts of different sizes; of four ranks the first one has no rows. */
    size_t ends[64] = {0};
    for (int rank = 1; rank <= ranks; rank++) ends[rank] = (size_t)(BATCH * rank * rank / (ranks * ranks));

    elman_network *network;
    elman_recurrent_options both;
    OK(elman_create(NUMBERS, &network));
    OK(elman_recurrent_options_init(&both, sizeof both));
    both.direction = ELMAN_BIDIRECTIONAL;
    OK(elman_add_lstm(network, 8, &both));
    OK(elman_add_dense(network, CLASSES, ELMAN_LINEAR));
    OK(elman_set_output(network, ELMAN_OUTPUT_ALL));
    float *gradients;
    size_t count;
    OK(elman_gradients(network, &gradients, &count));
    const size_t bytes = count * sizeof *gradients;
    float *whole = malloc(bytes), *sum = malloc(bytes);

    for (enum loss loss = CROSS_ENTROPY; loss < LOSSES; loss++) {
        backward(network, loss, 0, BATCH);
        memcpy(whole, gradients, bytes);
        const double all = weight_of(loss, 0, BATCH);

        /* The same sums in one process, rank by rank. */
        memset(sum, 0, bytes);
        for (int rank = 0; rank < ranks; rank++) {
            backward(network, loss, ends[rank], ends[rank + 1]);
            scale(gradients, count, loss, weight_of(loss, ends[rank], ends[rank + 1]), all);
            for (size_t i = 0; i < count; i++) sum[i] += gradients[i];
        }

        double weight = weight_of(loss, ends[own], ends[own + 1]), total;
        MPI_Allreduce(&weight, &total, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
        CHECK(total == all);
        backward(network, loss, ends[own], ends[own + 1]);
        scale(gradients, count, loss, weight, total);
        MPI_Allreduce(MPI_IN_PLACE, gradients, (int)count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
        float largest = 0.0f, difference = 0.0f;
        for (size_t i = 0; i < count; i++) {
            largest = fmaxf(largest, fabsf(whole[i]));
            difference = fmaxf(difference, fabsf(gradients[i] - whole[i]));
        }
        CHECK(largest > 0.0f && difference <= 1e-6f * largest);
        /* Two numbers have one sum, whoever adds them. */
        CHECK(ranks > 2 || memcmp(gradients, sum, bytes) == 0);
        CHECK(ranks > 1 || memcmp(gradients, whole, bytes) == 0);

        /* One rank has all rows, the others have none. */
        const int last = own == ranks - 1;
        backward(network, loss, 0, last ? BATCH : 0);
        scale(gradients, count, loss, last ? all : 0.0, all);
        MPI_Allreduce(MPI_IN_PLACE, gradients, (int)count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
        for (size_t i = 0; i < count; i++) CHECK(gradients[i] == whole[i]);
    }
    free(whole), free(sum);
    elman_destroy(network);
    if (own == 0) puts("ok");
    MPI_Finalize();
    return 0;
}
