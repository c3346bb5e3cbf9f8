/* What becomes of a network's file when the process is killed, the disk is full, or nothing may be written. */
#define _GNU_SOURCE
#include "check.h"
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { UNITS = 300, KILLS = 50 };

static elman_network *network_of(uint64_t seed) {
    elman_network *network;
    OK(elman_create(10, &network));
    OK(elman_add_rnn(network, UNITS, ELMAN_TANH));
    OK(elman_initialize(network, ELMAN_INIT_PYTORCH, 1.0f, seed));
    return network;
}

static int are_equal(const elman_network *left, const elman_network *right) {
    const size_t count = elman_parameter_count(left);
    CHECK(elman_parameter_count(right) == count);
    float *a = floats(count), *b = floats(count);
    OK(elman_get_parameters(left, a, count));
    OK(elman_get_parameters(right, b, count));
    const int equal = memcmp(a, b, count * sizeof *a) == 0;
    free(a);
    free(b);
    return equal;
}

/* Which of two networks the file holds, entirely. */
static size_t which(const char *path, elman_network *const *networks) {
    elman_network *loaded;
    OK(elman_load(path, &loaded));
    const size_t index = are_equal(loaded, networks[0]) ? 0 : 1;
    CHECK(are_equal(loaded, networks[index]));
    elman_destroy(loaded);
    return index;
}

/* Deletes what saving has left in the working directory; how many there were. */
static size_t sweep(void) {
    size_t count = 0;
    DIR *directory = opendir(".");
    CHECK(directory != NULL);
    for (const struct dirent *entry = readdir(directory); entry != NULL; entry = readdir(directory))
        if (strncmp(entry->d_name, ".elman-", 7) == 0) {
            CHECK(unlink(entry->d_name) == 0);
            count++;
        }
    closedir(directory);
    return count;
}

static void killed(elman_network *const *networks) {
    size_t found[2] = {0, 0}, interrupted = 0;
    srand(1);
    OK(elman_save(networks[0], "network"));
    for (size_t time = 0; time < KILLS; time++) {
        const pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            for (size_t i = 1;; i++) OK(elman_save(networks[i % 2], "network"));
        nanosleep(&(struct timespec){0, 1000000 + rand() % 20000000}, NULL);
        int status;
        CHECK(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status));
        found[which("network", networks)]++;
        interrupted += sweep();
    }
    fprintf(stderr, "%d kills: %zu while a file was written, %zu and %zu times either network\n", KILLS, interrupted,
            found[0], found[1]);
    CHECK(interrupted > 0);
}

static void expect_failure(elman_network *const *networks, const char *path, elman_status expected) {
    CHECK(elman_save(networks[1], path) == expected);
    CHECK(strncmp(elman_last_error(), path, strlen(path)) == 0);
    CHECK(which("network", networks) == 0);
    CHECK(sweep() == 0);
}

int main(void) {
    char directory[] = "saving-XXXXXX";
    CHECK(mkdtemp(directory) != NULL && chdir(directory) == 0);
    elman_network *networks[] = {network_of(1), network_of(2)};
    killed(networks);

    OK(elman_save(networks[0], "network"));
    expect_failure(networks, "network/below_a_file", ELMAN_ERROR_IO);
    expect_failure(networks, "missing/network", ELMAN_ERROR_IO);
    expect_failure(networks, "/proc/self/network", ELMAN_ERROR_IO);
    expect_failure(networks, ".", ELMAN_ERROR_FORMAT);

    /* As with a full disk, whose space ends in the header, in the tensors or in the last bytes. */
    struct stat file;
    CHECK(stat("network", &file) == 0);
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    const rlim_t sizes[] = {0, 10, 5000, 100000, (rlim_t)file.st_size - 1};
    for (size_t i = 0; i < COUNT(sizes); i++) {
        const struct rlimit small = {sizes[i], limit.rlim_max};
        CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
        expect_failure(networks, "network", ELMAN_ERROR_IO);
    }
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    OK(elman_save(networks[1], "network"));
    CHECK(which("network", networks) == 1);

    for (size_t i = 0; i < 2; i++) elman_destroy(networks[i]);
    CHECK(unlink("network") == 0 && chdir("..") == 0 && rmdir(directory) == 0);
    puts("ok");
    return 0;
}
