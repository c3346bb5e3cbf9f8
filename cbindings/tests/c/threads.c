/* What elman_set_threads() does where the system has no more threads: here, after some that the program allows. */
#define _GNU_SOURCE
#include "check.h"
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <time.h>

enum { BATCH = 16, STEPS = 5, MOST = 4 };

static size_t allowed;

typedef int create_function(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

/* In place of the C library's, for the library too. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
    if (allowed == 0) return EAGAIN;
    allowed--;
    create_function *create;
    *(void **)&create = dlsym(RTLD_NEXT, "pthread_create");
    CHECK(create != NULL);
    return create(thread, attributes, start, argument);
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
    const struct timespec moment = {0, 1000000};
    for (size_t tries = 0; tries < 2000 && threads_alive() != expected; tries++) nanosleep(&moment, NULL);
    CHECK(threads_alive() == expected);
}

static float x[BATCH * STEPS];

static void expect_refusal(elman_network *network, size_t can_start, size_t before) {
    float expected[BATCH], y[BATCH];
    OK(elman_predict(network, x, BATCH, STEPS, NULL, NULL, expected, NULL));
    allowed = can_start;
    CHECK(elman_set_threads(network, MOST + 1) == ELMAN_ERROR_THREADS);
    CHECK(strncmp(elman_last_error(), "5 threads could not be started: ", 32) == 0);
    CHECK(elman_threads(network) == before);
    OK(elman_set_parallel_threshold(network, 0));
    OK(elman_predict(network, x, BATCH, STEPS, NULL, NULL, y, NULL));
    SAME(y, expected, BATCH);
}

int main(void) {
    elman_network *network;
    for (size_t i = 0; i < COUNT(x); i++) x[i] = sinf((float)i);
    OK(elman_create(1, &network));
    OK(elman_add_rnn(network, 9, ELMAN_TANH));
    OK(elman_add_dense(network, 1, ELMAN_TANH));
    OK(elman_initialize(network, ELMAN_INIT_PYTORCH, 1.0f, 5));

    /* Those that could be started end as well. */
    for (size_t can_start = 0; can_start < MOST; can_start++) {
        expect_refusal(network, can_start, 1);
        expect_alive(1);
    }
    /* The old ones stay. */
    allowed = MOST;
    OK(elman_set_threads(network, 3));
    const size_t alive = threads_alive();
    CHECK(alive > 1 && alive <= 3);
    for (size_t can_start = 0; can_start < MOST; can_start++) {
        expect_refusal(network, can_start, 3);
        expect_alive(alive);
    }
    OK(elman_set_threads(network, 1));
    expect_alive(1);
    allowed = MOST;
    OK(elman_set_threads(network, 2));
    elman_destroy(network);
    expect_alive(1);
    puts("ok");
    return 0;
}
