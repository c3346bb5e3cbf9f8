/* A host whose tasks move: whatever a task does next, it does on another thread, as goroutines and the asynchronous calls of
   Node may. A task makes a call, and looks at the call's message later.

     moving              calls by elman_call()
     moving last_error   calls the functions themselves and asks elman_last_error(), which must not work here */
#define _GNU_SOURCE
#include "check.h"
#include <pthread.h>

enum { WORKERS = 4, TASKS = 60, ROUNDS = 50 };

struct task {
    elman_network *network;
    elman_status status;
    char message[256];
    size_t wrong;
};

static struct task tasks[TASKS];
static pthread_barrier_t barrier;
static int asks_for_the_last_error;

/* A number that no other call has. Every fifth call has one that is right. */
static uint32_t activation_of(size_t task, size_t round) {
    return round % 5 == 4 ? ELMAN_TANH : (uint32_t)(1000 + task * ROUNDS + round);
}

static void make_the_call(struct task *task, uint32_t activation) {
    if (asks_for_the_last_error) {
        task->status = elman_add_rnn(task->network, 1, activation);
    } else {
        const uint64_t arguments[] = {(uintptr_t)task->network, 1, activation};
        memset(task->message, 'x', sizeof task->message);
        task->status = elman_call("elman_add_rnn", arguments, COUNT(arguments), task->message, sizeof task->message);
    }
}

static void look_at_the_message(struct task *task, uint32_t activation) {
    const char *message = asks_for_the_last_error ? elman_last_error() : task->message;
    if (activation == ELMAN_TANH) {
        CHECK(task->status == ELMAN_OK);
        task->wrong += !asks_for_the_last_error && strcmp(message, "") != 0;
        return;
    }
    char start[64];
    const int length = snprintf(start, sizeof start, "activation is %u, which names nothing", (unsigned)activation);
    CHECK(task->status == ELMAN_ERROR_UNKNOWN_CONSTANT);
    task->wrong += strncmp(message, start, (size_t)length) != 0;
}

/* In every phase a worker has other tasks than in the one before. */
static void *work(void *argument) {
    const size_t worker = *(const size_t *)argument;
    for (size_t phase = 0; phase < 2 * ROUNDS; phase++) {
        for (size_t i = 0; i < TASKS; i++) {
            if ((i + phase) % WORKERS != worker) continue;
            const uint32_t activation = activation_of(i, phase / 2);
            if (phase % 2 == 0) make_the_call(&tasks[i], activation);
            else look_at_the_message(&tasks[i], activation);
        }
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

int main(int argc, char **argv) {
    asks_for_the_last_error = argc > 1 && strcmp(argv[1], "last_error") == 0;
    for (size_t i = 0; i < TASKS; i++) OK(elman_create(1, &tasks[i].network));
    CHECK(pthread_barrier_init(&barrier, NULL, WORKERS) == 0);
    pthread_t threads[WORKERS];
    size_t numbers[WORKERS];
    for (size_t i = 0; i < WORKERS; i++) {
        numbers[i] = i;
        CHECK(pthread_create(&threads[i], NULL, work, &numbers[i]) == 0);
    }
    for (size_t i = 0; i < WORKERS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    size_t wrong = 0;
    for (size_t i = 0; i < TASKS; i++) {
        /* The calls that succeeded have added a layer of 3 parameters each. */
        CHECK(elman_parameter_count(tasks[i].network) == ROUNDS / 5 * 3);
        wrong += tasks[i].wrong;
        elman_destroy(tasks[i].network);
    }
    if (wrong > 0) printf("%zu messages are not those of their calls\n", wrong);
    else puts("ok");
    return 0;
}
