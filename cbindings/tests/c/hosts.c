/* Programs that use threads of their own, fork, and end networks at any moment. */
#define _GNU_SOURCE
#include "check.h"
#include <dirent.h>
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { INPUT = 3, UNITS = 24, OUTPUT = 2, BATCH = 12, STEPS = 7, CALLERS = 16, ROUNDS = 200 };

static float x[BATCH * STEPS * INPUT];
static size_t lengths[BATCH];

static elman_network *network_of(size_t threads) {
    elman_network *network;
    OK(elman_create(INPUT, &network));
    OK(elman_add_rnn(network, UNITS, ELMAN_TANH));
    OK(elman_add_rnn(network, UNITS, ELMAN_RELU));
    OK(elman_add_dense(network, OUTPUT, ELMAN_LINEAR));
    OK(elman_initialize(network, ELMAN_INIT_PYTORCH, 1.0f, 5));
    OK(elman_set_threads(network, threads));
    OK(elman_set_parallel_threshold(network, 0));
    return network;
}

struct results {
    float y[BATCH * OUTPUT], state[BATCH * 2 * UNITS], streamed[OUTPUT];
};

/* Every call that many threads may make on one network. */
static void use(const elman_network *network, struct results *results) {
    memset(results, 0, sizeof *results);
    OK(elman_predict(network, x, BATCH, STEPS, lengths, NULL, results->y, results->state));
    elman_session *session;
    OK(elman_session_create(network, &session));
    for (size_t step = 0; step < STEPS; step++) OK(elman_session_step(session, x + step * INPUT, results->streamed));
    elman_session_destroy(session);
    CHECK(elman_output_size(network) == OUTPUT && elman_threads(network) >= 1);
}

static void train(elman_network *network, elman_optimizer *optimizer) {
    float y[BATCH * OUTPUT];
    OK(elman_forward(network, x, BATCH, STEPS, lengths, NULL, y, NULL));
    OK(elman_backward(network, y, NULL, NULL, NULL));
    OK(elman_update(network, optimizer));
}

struct caller {
    const elman_network *network;
    const struct results *expected;
};

static void *call_often(void *argument) {
    const struct caller *caller = argument;
    for (size_t round = 0; round < ROUNDS; round++) {
        struct results results;
        use(caller->network, &results);
        SAME(&results, caller->expected, 1);
    }
    return NULL;
}

static void many_threads_call_one_network(const struct results *expected) {
    for (size_t threads = 1; threads <= 2; threads++) {
        elman_network *network = network_of(threads);
        struct caller caller = {network, expected};
        pthread_t callers[CALLERS];
        for (size_t i = 0; i < CALLERS; i++) CHECK(pthread_create(&callers[i], NULL, call_often, &caller) == 0);
        for (size_t i = 0; i < CALLERS; i++) CHECK(pthread_join(callers[i], NULL) == 0);
        elman_destroy(network);
    }
}

/* The threads of a network are the parent's: the child goes on with its own. */
static void a_fork_goes_on_without_the_threads(const struct results *expected) {
    elman_network *network = network_of(2);
    elman_optimizer *optimizer;
    struct results results;
    OK(elman_adam_create(0.01, 0.9, 0.999, 1e-8, 0.0, &optimizer));
    use(network, &results);
    for (size_t round = 0; round < 10; round++) {
        /* Also while the threads sleep. */
        if (round % 2 == 1) nanosleep(&(struct timespec){0, 2000000}, NULL);
        const pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(60);
            use(network, &results);
            SAME(&results, expected, 1);
            train(network, optimizer);
            /* The child may have threads too. */
            if (round % 3 == 2) {
                OK(elman_set_threads(network, 2));
                OK(elman_set_parallel_threshold(network, 0));
                train(network, optimizer);
            }
            elman_destroy(network);
            elman_optimizer_destroy(optimizer);
            _exit(0);
        }
        use(network, &results);
        SAME(&results, expected, 1);
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    /* What the children trained was theirs. */
    elman_network *untouched = network_of(1);
    const size_t count = elman_parameter_count(network);
    float *parameters = floats(count), *expected_parameters = floats(count);
    OK(elman_get_parameters(network, parameters, count));
    OK(elman_get_parameters(untouched, expected_parameters, count));
    SAME(parameters, expected_parameters, count);
    free(parameters);
    free(expected_parameters);
    elman_destroy(untouched);
    train(network, optimizer);
    elman_destroy(network);
    elman_optimizer_destroy(optimizer);
}

/* Number of threads of the process. */
static size_t threads_alive(void) {
    size_t count = 0;
    DIR *directory = opendir("/proc/self/task");
    CHECK(directory != NULL);
    for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory))
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

/* The kernel lists a thread for a moment after it has ended. */
static void expect_alive(size_t expected) {
    for (size_t tries = 0; tries < 2000 && threads_alive() != expected; tries++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    CHECK(threads_alive() == expected);
}

/* Just after a call, while the threads stay awake, and once they have fallen asleep; without any call, too. */
static void threads_end_with_their_network(const struct results *expected) {
    /* ThreadSanitizer starts a thread of its own with the first one. */
    elman_destroy(network_of(2));
    nanosleep(&(struct timespec){0, 50000000}, NULL);
    const size_t before = threads_alive();
    for (size_t round = 0; round < 300; round++) {
        elman_network *network = network_of(2 + round % 3);
        CHECK(threads_alive() > before);
        struct results results;
        if (round % 5 != 4) {
            use(network, &results);
            SAME(&results, expected, 1);
        }
        if (round % 2 == 1) nanosleep(&(struct timespec){0, (long)(round % 7) * 50000}, NULL);
        elman_destroy(network);
    }
    expect_alive(before);
}

int main(void) {
    struct results expected;
    for (size_t i = 0; i < COUNT(x); i++) x[i] = sinf((float)i);
    for (size_t i = 0; i < BATCH; i++) lengths[i] = 1 + i * 5 % STEPS;
    lengths[0] = STEPS;
    elman_network *alone = network_of(1);
    use(alone, &expected);
    elman_destroy(alone);

    threads_end_with_their_network(&expected);
    a_fork_goes_on_without_the_threads(&expected);
    many_threads_call_one_network(&expected);
    puts("ok");
    return 0;
}
