/*
 * Steps of sessions in a process that watches what they do, on Linux. The argument says how:
 *
 *   confined   100,000 steps, and blocks of steps, after the process has given up every system call but read, write and
 *              exit: another one would end it with SIGKILL
 *   traced     some steps and a block of them instruction by instruction (x86-64): none may make a system call or access
 *              memory atomically, without which there is no lock
 *
 * A second argument makes the process do what it must not, to show that it would be noticed: "call", "lock".
 * Prints "done", or "no tier" where the CPU lacks the one that ELMAN_TIER names.
 */
#define _GNU_SOURCE
#include "check.h"
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* BLOCK is more than a session runs at a time, TRACED few enough steps to look at every instruction. */
enum { INPUT = 19, OUTPUT = 5, BLOCK = 150, TRACED = 2, MOST_STATE = 200, MOST_OUTPUT = 50 };

/* One recurrent layer; one of every simple kind; three recurrent ones, of which the last is large; LSTMs and GRUs with and
   without options, and what stands around them; one layer of as many outputs as inputs. */
enum { ONE, SIMPLE, LARGE, LSTMS, GRUS, IN_PLACE, STACKS };

static elman_session *sessions[STACKS];
static float x[BLOCK * INPUT], y[BLOCK * MOST_OUTPUT], state[MOST_STATE];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void add_simple(elman_network *network) {
    OK(elman_add_dense(network, 7, ELMAN_SIGMOID));
    OK(elman_add_dropout(network, 0.5f));
    OK(elman_add_rnn(network, 33, ELMAN_RELU));
}

static void add_layers(elman_network *network, size_t stack) {
    const size_t both[] = {1, 2};
    elman_recurrent_options options;
    OK(elman_recurrent_options_init(&options, sizeof options));
    switch (stack) {
    case ONE:
        OK(elman_add_rnn(network, OUTPUT, ELMAN_TANH));
        break;
    case SIMPLE:
        add_simple(network);
        OK(elman_add_rnn(network, OUTPUT, ELMAN_TANH));
        break;
    case LARGE:
        add_simple(network);
        OK(elman_add_rnn(network, 16, ELMAN_SIGMOID));
        OK(elman_add_rnn(network, 100, ELMAN_LINEAR));
        OK(elman_add_dense(network, OUTPUT, ELMAN_LINEAR));
        break;
    case LSTMS:
        OK(elman_add_lstm(network, 17, NULL));
        options.peepholes = options.coupled = 1;
        options.projection = 3;
        options.clip_state = options.clip_sums = 3.0;
        options.zoneout = options.recurrent_dropout = 0.1;
        OK(elman_add_lstm(network, 5, &options));
        OK(elman_add_concat(network, both, 2));
        OK(elman_add_layer_norm(network, 1e-5f));
        break;
    case GRUS:
        OK(elman_add_gru(network, 17, NULL));
        options.reset = ELMAN_RESET_BEFORE;
        options.initial_state = ELMAN_INITIAL_TRAINABLE;
        options.zoneout = 0.1;
        OK(elman_add_gru(network, 17, &options));
        OK(elman_add_residual(network, 1));
        OK(elman_add_activation(network, ELMAN_SOFTSIGN, 0.0f, 0.0f));
        break;
    default:
        OK(elman_add_rnn(network, INPUT, ELMAN_TANH));
    }
}

static void create_sessions(void) {
    const float zeros[INPUT] = {0};
    float ones[INPUT];
    for (size_t i = 0; i < BLOCK * INPUT; i++) x[i] = sinf((float)i);
    for (size_t i = 0; i < INPUT; i++) ones[i] = 1.0f;
    for (size_t stack = 0; stack < STACKS; stack++) {
        elman_network *network;
        OK(elman_create(INPUT, &network));
        if (stack != ONE && stack != IN_PLACE) OK(elman_set_standardization(network, zeros, ones, INPUT));
        add_layers(network, stack);
        OK(elman_initialize(network, ELMAN_INIT_PYTORCH, 1.0f, 5));
        OK(elman_session_create(network, &sessions[stack]));
        elman_destroy(network);
    }
}

/* Everything that is promised to be real-time safe but single steps. */
static void run_all(size_t steps) {
    for (size_t stack = 0; stack < STACKS; stack++) {
        elman_session *session = sessions[stack];
        const size_t count = elman_session_get_state_size(session);
        OK(elman_session_run(session, x, steps, y));
        OK(elman_session_get_state(session, state, count));
        OK(elman_session_reset(session));
        OK(elman_session_set_state(session, state, count));
        CHECK(elman_session_set_state(session, state, count + 1) == ELMAN_ERROR_LENGTH);
        CHECK(elman_session_run(session, x, steps, NULL) == ELMAN_ERROR_NULL);
    }
    OK(elman_session_run(sessions[IN_PLACE], y, steps, y));
}

static void step_all(void) {
    for (size_t stack = 0; stack < STACKS; stack++) OK(elman_session_step(sessions[stack], x, y));
    CHECK(elman_session_step(sessions[0], x, NULL) == ELMAN_ERROR_NULL);
}

static void misbehave(const char *how) {
    if (strcmp(how, "call") == 0) syscall(SYS_getpid);
    if (strcmp(how, "lock") == 0) pthread_mutex_lock(&mutex);
}

static void confined(const char *how) {
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
    for (size_t step = 0; step < 100000; step++) step_all();
    for (size_t block = 0; block < 300; block++) run_all(BLOCK);
    misbehave(how);
    /* Not what exit() does, which is another system call: this one ends a process of one thread as well. */
    syscall(SYS_exit, write(STDOUT_FILENO, "done\n", 5) == 5 ? 0 : 1);
}

#ifdef __x86_64__
/* Tells what an instruction does that it must not, NULL where it is harmless. */
static const char *fault_of(const unsigned char *code) {
    const unsigned char prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3};
    const unsigned char lock = 0xf0;
    while (memchr(prefixes, *code, sizeof prefixes) != NULL) code++;
    if (*code == lock) return "a locked instruction";
    if (*code >= 0x40 && *code <= 0x4f) code++;
    const int in_memory = code[1] < 0xc0;
    if ((*code == 0x86 || *code == 0x87) && in_memory) return "an exchange with memory, which is locked";
    if (code[0] == 0x0f && (code[1] == 0x05 || code[1] == 0x34)) return "a system call";
    if (code[0] == 0xcd) return "an interrupt";
    return NULL;
}

static void expect_trap(pid_t child) {
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
}

/* The C library locks nothing in a process of one thread. */
static void *wait_for_ever(void *argument) {
    for (;;) pause();
    return argument;
}

static void traced(const char *how) {
    const unsigned char breakpoint = 0xcc;
    /* Watching and being watched take turns: on two cores each waits for the other one to wake, six times as long. */
    cpu_set_t core;
    CPU_ZERO(&core);
    CPU_SET(sched_getcpu(), &core);
    CHECK(sched_setaffinity(0, sizeof core, &core) == 0);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        pthread_t other;
        CHECK(pthread_create(&other, NULL, wait_for_ever, NULL) == 0);
        CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
        __asm__ volatile("int3");
        step_all();
        if (*how == 0) run_all(TRACED);
        misbehave(how);
        __asm__ volatile("int3");
    }
    const char *fault;
    size_t instructions = 0;
    for (expect_trap(child);; expect_trap(child)) {
        struct user_regs_struct registers;
        long code[2];
        CHECK(ptrace(PTRACE_GETREGS, child, NULL, &registers) == 0);
        for (size_t word = 0; word < 2; word++) {
            char *address = (char *)registers.rip + word * sizeof *code;
            code[word] = ptrace(PTRACE_PEEKTEXT, child, address, NULL);
        }
        const unsigned char *bytes = (const unsigned char *)code;
        fault = fault_of(bytes);
        if (*bytes == breakpoint || fault != NULL) break;
        instructions++;
        CHECK(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) == 0);
    }
    CHECK(instructions > 1000 && kill(child, SIGKILL) == 0);
    puts(fault == NULL ? "done" : fault);
}
#endif

int main(int argc, char **argv) {
    CHECK(argc >= 2);
    const char *how = argc > 2 ? argv[2] : "";
    elman_network *network;
    const elman_status status = elman_create(1, &network);
    if (status == ELMAN_ERROR_TIER) {
        puts("no tier");
        return 0;
    }
    OK(status);
    elman_destroy(network);
    create_sessions();
    if (strcmp(argv[1], "confined") == 0) confined(how);
#ifdef __x86_64__
    if (strcmp(argv[1], "traced") == 0) traced(how);
#endif
    return 0;
}
