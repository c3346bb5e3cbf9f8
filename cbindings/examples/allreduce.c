/* What does it cost to average gradients over processes?
 *
 * For GRUs of growing size: a training step of each rank by itself, and the two reductions that a batch takes besides, of the
 * weights and of the gradients, as in distributed.c. Times are the shortest of some, each of the slowest rank.
 *
 *     mpirun -n 4 allreduce [the largest number of units, by default 1024]
 */
#include <elman.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(call)                                                                                                    \
    do {                                                                                                               \
        const elman_status status = (call);                                                                            \
        if (status != ELMAN_OK) {                                                                                      \
            fprintf(stderr, "%s: %s\n", elman_status_string(status), elman_last_error());                              \
            MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);                                                                   \
        }                                                                                                              \
    } while (0)

enum { ROWS = 16, STEPS = 20, SMALLEST = 16, REPEATS = 15 };

struct training {
    elman_network *network;
    elman_optimizer *optimizer;
    float *x, *y, *dy, *gradients;
    size_t units, count;
};

static void train(struct training *training) {
    double loss;
    const size_t outputs = ROWS * training->units;
    CHECK(elman_forward(training->network, training->x, ROWS, STEPS, NULL, NULL, training->y, NULL));
    CHECK(elman_mean_squared_error(training->y, training->x, outputs, &loss, training->dy));
    CHECK(elman_backward(training->network, training->dy, NULL, NULL, NULL));
    CHECK(elman_update(training->network, training->optimizer));
}

static void reduce_weight(struct training *training) {
    double weight = 1.0, total;
    (void)training;
    MPI_Allreduce(&weight, &total, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
}

static void reduce_gradients(struct training *training) {
    for (size_t i = 0; i < training->count; i++) training->gradients[i] *= 0.5f;
    MPI_Allreduce(MPI_IN_PLACE, training->gradients, (int)training->count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

/* Microseconds. Every measurement begins on all ranks together. */
static double measure(void (*work)(struct training *), struct training *training) {
    double times[REPEATS], shortest;
    work(training);
    for (size_t i = 0; i < REPEATS; i++) {
        MPI_Barrier(MPI_COMM_WORLD);
        const double start = MPI_Wtime();
        work(training);
        times[i] = (MPI_Wtime() - start) * 1e6;
    }
    MPI_Allreduce(MPI_IN_PLACE, times, REPEATS, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    shortest = times[0];
    for (size_t i = 1; i < REPEATS; i++) shortest = times[i] < shortest ? times[i] : shortest;
    return shortest;
}

int main(int argc, char **argv) {
    int rank, ranks;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    const size_t largest = argc > 1 ? strtoul(argv[1], NULL, 10) : 1024;
    if (rank == 0) {
        printf("%d ranks, each with %d sequences of %d steps a batch; microseconds\n\n", ranks, ROWS, STEPS);
        printf("%6s %10s %9s %12s %8s %10s %8s\n", "units", "parameters", "kilobytes", "step", "weight", "gradients", "share");
    }
    for (size_t units = SMALLEST; units <= largest; units *= 2) {
        struct training training = {.units = units};
        CHECK(elman_create(units, &training.network));
        CHECK(elman_add_gru(training.network, units, NULL));
        CHECK(elman_sgd_create(0.01, 0.0, 0, 0.0, &training.optimizer));
        CHECK(elman_gradients(training.network, &training.gradients, &training.count));
        training.x = calloc(ROWS * STEPS * units, sizeof(float));
        training.y = calloc(ROWS * units, sizeof(float));
        training.dy = calloc(ROWS * units, sizeof(float));
        for (size_t i = 0; i < ROWS * STEPS * units; i++) training.x[i] = (float)(i % 17) / 17.0f;
        const double step = measure(train, &training), weight = measure(reduce_weight, &training);
        const double gradients = measure(reduce_gradients, &training), all = step + weight + gradients;
        if (rank == 0) {
            printf("%6zu %10zu %9.1f %12.0f %8.1f %10.1f %6.1f %%\n", units, training.count, (double)training.count * 4e-3,
                   step, weight, gradients, 100.0 * (weight + gradients) / all);
            fflush(stdout);
        }
        free(training.x), free(training.y), free(training.dy);
        elman_optimizer_destroy(training.optimizer);
        elman_destroy(training.network);
    }
    MPI_Finalize();
    return EXIT_SUCCESS;
}
