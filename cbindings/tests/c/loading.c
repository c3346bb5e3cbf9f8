/* Copies of the shared library, loaded and unloaded while the program runs: the arguments are their paths. */
#define _GNU_SOURCE
#include "check.h"
#include <dlfcn.h>
#include <pthread.h>

enum { INPUT = 3, BATCH = 12, STEPS = 7, TIMES = 20 };

/* The functions of one copy. */
struct library {
    void *handle;
    const char *(*last_error)(void);
    elman_status (*create)(size_t, elman_network **);
    elman_status (*add_rnn)(elman_network *, size_t, uint32_t);
    elman_status (*initialize)(elman_network *, uint32_t, float, uint64_t);
    elman_status (*set_threads)(elman_network *, size_t);
    elman_status (*set_parallel_threshold)(elman_network *, size_t);
    elman_status (*predict)(const elman_network *, const float *, size_t, size_t, const size_t *, const float *, float *,
                            float *);
    void (*destroy)(elman_network *);
};

static struct library load(const char *path) {
    struct library library = {.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL)};
    if (library.handle == NULL) fprintf(stderr, "%s\n", dlerror());
    CHECK(library.handle != NULL);
#define FIND(name) CHECK((*(void **)&library.name = dlsym(library.handle, "elman_" #name)) != NULL)
    FIND(last_error);
    FIND(create);
    FIND(add_rnn);
    FIND(initialize);
    FIND(set_threads);
    FIND(set_parallel_threshold);
    FIND(predict);
    FIND(destroy);
    return library;
}

static float x[BATCH * STEPS * INPUT];

static elman_network *network_of(const struct library *library) {
    elman_network *network;
    CHECK(library->create(INPUT, &network) == ELMAN_OK);
    CHECK(library->add_rnn(network, 5, ELMAN_TANH) == ELMAN_OK);
    CHECK(library->initialize(network, ELMAN_INIT_PYTORCH, 1.0f, 5) == ELMAN_OK);
    CHECK(library->set_threads(network, 2) == ELMAN_OK);
    CHECK(library->set_parallel_threshold(network, 0) == ELMAN_OK);
    return network;
}

static void predict(const struct library *library, const elman_network *network, float *y) {
    CHECK(library->predict(network, x, BATCH, STEPS, NULL, NULL, y, NULL) == ELMAN_OK);
}

/* Each copy has its own message, its own threads, and the same results. */
static void two_copies(const char *const *paths) {
    struct library libraries[2];
    elman_network *networks[2];
    float y[2][BATCH * 5];
    for (size_t i = 0; i < 2; i++) {
        libraries[i] = load(paths[i]);
        networks[i] = network_of(&libraries[i]);
    }
    CHECK(libraries[0].create != libraries[1].create);
    for (size_t round = 0; round < 100; round++) {
        for (size_t i = 0; i < 2; i++) predict(&libraries[i], networks[i], y[i]);
        SAME(y[0], y[1], COUNT(y[0]));
    }
    CHECK(libraries[0].create(0, &networks[0]) == ELMAN_ERROR_ZERO_SIZE);
    CHECK(libraries[0].last_error()[0] != 0 && libraries[1].last_error()[0] == 0);
    for (size_t i = 0; i < 2; i++) {
        libraries[i].destroy(networks[i]);
        CHECK(dlclose(libraries[i].handle) == 0);
    }
}

/* Whether some of the file is in the memory of this process. */
static int is_mapped(const char *path) {
    char line[4096];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) found |= strstr(line, path) != NULL;
    fclose(maps);
    return found;
}

static void *use(void *argument) {
    const struct library *library = argument;
    elman_network *network = network_of(library), *none;
    float y[BATCH * 5];
    predict(library, network, y);
    CHECK(library->create(0, &none) == ELMAN_ERROR_ZERO_SIZE);
    library->destroy(network);
    return NULL;
}

static void *nothing(void *argument) { return argument; }

static void run_thread(void *(*work)(void *), void *argument) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, work, argument) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* What a living thread remembers of the library (its last message) keeps the library in memory. */
static void unloading(const char *path) {
    for (size_t time = 0; time < TIMES; time++) {
        struct library library = load(path);
        run_thread(use, &library);
        CHECK(dlclose(library.handle) == 0);
        CHECK(!is_mapped(path));
        run_thread(nothing, NULL);
    }
    struct library library = load(path);
    use(&library);
    CHECK(dlclose(library.handle) == 0);
    run_thread(nothing, NULL);
}

int main(int count, char **paths) {
    CHECK(count == 3);
    for (size_t i = 0; i < COUNT(x); i++) x[i] = sinf((float)i);
    unloading(paths[1]);
    two_copies((const char *const *)paths + 1);
    puts("ok");
    return 0;
}
