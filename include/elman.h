/*
 * elman: recurrent neural networks, trained and run on the CPU
 * =============================================================
 *
 * The manual is this header. A complete program:
 *
 *     #include <elman.h>
 *     #include <stdio.h>
 *     #include <stdlib.h>
 *
 *     static void check(elman_status status) {
 *         if (status != ELMAN_OK) {
 *             fprintf(stderr, "%s: %s\n", elman_status_string(status), elman_last_error());
 *             exit(1);
 *         }
 *     }
 *
 *     int main(void) {
 *         // Four sequences of one number a step: do they rise (class 1) or fall (class 0)?
 *         const float x[] = {0.1f, 0.5f, 0.9f,   0.8f, 0.4f,   0.2f, 0.7f,   0.9f, 0.3f};
 *         const size_t lengths[] = {3, 2, 2, 2};
 *         const size_t labels[] = {1, 0, 1, 0};
 *         elman_dataset *dataset;
 *         check(elman_dataset_create_classes(1, x, lengths, 4, labels, 2, 0, &dataset));
 *
 *         elman_network *network;
 *         check(elman_create(1, &network));
 *         check(elman_set_seed(network, 42)); // where the layers draw their parameters from
 *         check(elman_add_rnn(network, 8, ELMAN_TANH));
 *         check(elman_add_dense(network, 2, ELMAN_LINEAR));
 *
 *         elman_optimizer *adam;
 *         check(elman_adam_create(0.01, 0.9, 0.999, 1e-8, 0.0, &adam));
 *         elman_fit_options options;
 *         check(elman_fit_options_init(&options, sizeof options));
 *         options.epochs = 200;
 *         check(elman_fit(network, dataset, adam, &options));
 *
 *         const float question[] = {0.3f, 0.4f, 0.8f};
 *         float answer[2];
 *         check(elman_predict(network, question, 1, 3, NULL, NULL, answer, NULL));
 *         puts(answer[1] > answer[0] ? "it rises" : "it falls");
 *
 *         elman_optimizer_destroy(adam);
 *         elman_destroy(network);
 *         elman_dataset_destroy(dataset);
 *         return 0;
 *     }
 *
 * Link with -lelman, or take what `pkg-config --cflags --libs elman` says.
 *
 * What holds everywhere, unless a function says otherwise:
 *
 * Objects. A function with _create in its name, elman_create(), elman_load() and elman_import() make an object and give it to the
 * caller; the _destroy function of its kind takes it back. A pointer to an object is NULL or one that the library gave
 * and has not taken back. Objects do not refer to each other: they may be destroyed in any order.
 *
 * Buffers. They are the caller's, are as large as their [shape] says, row-major, and are only used during the call. A
 * pointer must not be NULL unless its description says that it may. Buffers that are read may overlap each other; one
 * that is written must not overlap any other argument. Null, misaligned and overlapping pointers are errors; of their
 * sizes the library has only the caller's word.
 *
 * Errors. A call that fails has written to none of its results, and its objects are as they were. "Errors:" lists the
 * constants that a function can return, without their ELMAN_ERROR_. Each can also return INTERNAL and, if it takes a
 * buffer or gives a result, ALIGNMENT. No call ends the process, whatever its numbers are. elman_last_error() says what was
 * wrong; hosts whose calls move between threads learn it from elman_call().
 *
 * Threads. Different objects may be used by different threads at the same time, and so may one object that a function
 * takes as a pointer to const ("any number on one network"). A function that takes it as a pointer without const needs
 * it to itself. The library starts no thread unless elman_set_threads() asks for it, and has no global state but the
 * choice of the tier and each thread's last message.
 *
 * Results. The same parameters and inputs give the same bits, whatever the number of threads, whatever else is in the
 * batch, and whether a sequence comes as a whole or step by step; and on every CPU with fused multiply-add.
 *
 * Floating point. Whatever computes does so in a mode of the library's own, on all its threads: it rounds to nearest,
 * takes denormal numbers (below the smallest normal one, 1.2e-38) for 0, as operands and as results, and masks exceptions.
 * So results depend on no mode of the caller's, and what fades costs no more than what does not. Every call gives the
 * caller's mode and exception flags back, also when it fails; callbacks run in the caller's mode. What is only copied keeps
 * its bits. x86 flushes a result after it has been rounded, 64-bit Arm before: one that rounds up to the smallest normal
 * number is that number on x86 and 0 on Arm. Other processors, and valgrind, keep denormal numbers.
 *
 * Parts. All of them are there unless the library was built with fewer, for the sake of its size: AVX-512, data sets, double
 * and networks of other systems, as docs/install.md says. The functions of a part that was left out return UNSUPPORTED; those
 * that give a number give 0.
 *
 * ABI. Constants keep their values. Structs grow at the end, and carry their size where the caller makes them.
 */
#ifndef ELMAN_H
#define ELMAN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif


/*
 * 1. Status and errors
 * --------------------
 *
 * Whatever can fail returns an elman_status: ELMAN_OK (0), or one of the constants below. A call that fails has
 * written to none of its result pointers, and the objects it was given are as they were, unless the function says
 * otherwise, as elman_fit() does.
 */

/** What a call says about itself: ELMAN_OK or an ELMAN_ERROR_ constant. Later versions may add constants. */
typedef int32_t elman_status;

/** The call has done what it is for. */
#define ELMAN_OK 0
/** A pointer is NULL that must not be. */
#define ELMAN_ERROR_NULL 1
/** A pointer is not aligned to the type that it points to. */
#define ELMAN_ERROR_ALIGNMENT 2
/** A buffer that is written overlaps another argument. */
#define ELMAN_ERROR_OVERLAP 3
/** A size is 0 that must be at least 1. */
#define ELMAN_ERROR_ZERO_SIZE 4
/** Sizes multiply to more than memory can hold. */
#define ELMAN_ERROR_SIZE_OVERFLOW 5
/** A buffer has the wrong number of elements. */
#define ELMAN_ERROR_LENGTH 6
/** A number, an index, a label or the length of a sequence is outside its range, or not a number. */
#define ELMAN_ERROR_OUT_OF_RANGE 7
/** A constant, or the name of a function, names nothing. */
#define ELMAN_ERROR_UNKNOWN_CONSTANT 8
/** A call came before the one that it builds on, or after something made that one void. */
#define ELMAN_ERROR_CALL_ORDER 9
/** Two objects that are used together do not fit each other. */
#define ELMAN_ERROR_MISMATCH 10
/** A number is infinite or not a number where only finite ones make sense. */
#define ELMAN_ERROR_NOT_FINITE 11
/** Memory ran out. */
#define ELMAN_ERROR_OUT_OF_MEMORY 12
/** Threads could not be started. */
#define ELMAN_ERROR_THREADS 13
/** The environment variable ELMAN_TIER names no tier, or one that this CPU does not have. */
#define ELMAN_ERROR_TIER 14
/** A file could not be opened, read or written. */
#define ELMAN_ERROR_IO 15
/** A text file breaks its format. */
#define ELMAN_ERROR_PARSE 16
/** A saved network or optimizer is damaged, or is none. */
#define ELMAN_ERROR_FORMAT 17
/** A fault of the library itself. The objects of the call may only be destroyed. Please report it. */
#define ELMAN_ERROR_INTERNAL 18
/** Another thread has asked for the end of the call. */
#define ELMAN_ERROR_CANCELLED 19
/** The function belongs to a part that was left out when the library was built; the message names it. By default no part is. */
#define ELMAN_ERROR_UNSUPPORTED 20

/**
 * What a status means, in a few words; "unknown status" for a number that is none. The string is the library's and
 * stays for good.
 *
 * Threads: any. Since 0.1.
 */
const char *elman_status_string(elman_status status);

/**
 * The message of the last call on this thread that failed: it names the argument, what it was and what was expected.
 * An empty string where none has failed yet.
 *
 * A call that succeeds leaves the message alone, as it leaves errno alone; so read it right after a call that returned
 * something other than ELMAN_OK, and on the same thread: hosts that can't say on which thread they are (goroutines,
 * Node's asynchronous calls) have elman_call(). The string is the library's. It stays until another call on this thread
 * fails or the thread ends. A message beyond 1023 bytes is cut.
 *
 * Threads: each has its own message. Since 0.1.
 */
const char *elman_last_error(void);


/*
 * 2. Version and tier
 * -------------------
 *
 * The version follows semantic versioning, for the C ABI as for the Rust library. While the major version is 0, a new
 * minor version may change the ABI; a shared library has both in its name.
 */

/** Version of the header, major part. */
#define ELMAN_VERSION_MAJOR 0
/** Version of the header, minor part. */
#define ELMAN_VERSION_MINOR 1
/** Version of the header, patch part. */
#define ELMAN_VERSION_PATCH 0

/**
 * The version of the library as "major.minor.patch", to compare with the macros, which are the header's. The string is
 * the library's and stays for good.
 *
 * Threads: any. Since 0.1.
 */
const char *elman_version(void);

/**
 * The instructions that networks use: "portable", "neon" (every 64-bit Arm), "avx2" or "avx512" (x86-64). It is the best
 * that the CPU has, or what the environment variable ELMAN_TIER names. It is decided at the first call of this function
 * or of elman_create(), and the same from then on.
 *
 * An empty string, with the message in elman_last_error(), where ELMAN_TIER names no tier or one that the CPU does not
 * have; elman_create() then fails with ELMAN_ERROR_TIER. The string is the library's and stays for good.
 *
 * Threads: any. Since 0.1.
 */
const char *elman_tier(void);


/*
 * 3. Networks
 * -----------
 *
 * A network starts with an input size and no layers. Each layer that is added takes the outputs of the one before, and
 * draws its parameters as PyTorch does (ELMAN_INIT_PYTORCH with scale 1) from the seed of elman_set_seed(). So a network is
 * ready to be trained once its layers are there. elman_initialize() draws all parameters anew, in that way or another.
 *
 * Which start to take: ELMAN_INIT_PYTORCH or ELMAN_INIT_GLOROT_UNIFORM for tanh and short sequences;
 * ELMAN_INIT_ORTHOGONAL for tanh over some hundred steps; for long sequences an ELMAN_RELU layer with
 * ELMAN_INIT_IDENTITY and scale 1, which carries its state on unchanged to begin with (Le, Jaitly & Hinton 2015,
 * arXiv 1504.00941). Measured on 12 data sets of long sequences of the UCR and UEA archive, that layer's mean accuracy is
 * 0.567, that of a GRU of the same size 0.493. Its states have no bound, so clip its gradients (by norm 1, say) and take
 * small learning rates; where it explodes all the same, elman_fit() stops with ELMAN_ERROR_NOT_FINITE.
 */

/** Activation: the hyperbolic tangent. */
#define ELMAN_TANH 0
/** Activation: max(x, 0); NaN stays NaN. */
#define ELMAN_RELU 1
/** Activation: 1 / (1 + exp(-x)). */
#define ELMAN_SIGMOID 2
/** Activation: x itself. */
#define ELMAN_LINEAR 3

/**
 * Activation: max(0, min(1, alpha x + beta)); alpha 0.2 and beta 0.5 where a function does not ask for them (as in ONNX and
 * Keras 2; PyTorch and Keras 3 have alpha 1/6). Its derivative where it is 0 or 1 is 0.
 */
#define ELMAN_HARD_SIGMOID 4
/** Activation: max(-1, min(1, x)). Its derivative where it is -1 or 1 is 0. */
#define ELMAN_HARD_TANH 5
/** Activation: x where it is positive, else alpha x; alpha is at least 0, and 0.01 where a function does not ask for it. */
#define ELMAN_LEAKY_RELU 6

/**
 * Activation: x where it is positive, else alpha (exp(x) - 1); alpha is at least 0, and 1 where a function does not ask for
 * it.
 */
#define ELMAN_ELU 7
/** Activation: x / (1 + |x|). */
#define ELMAN_SOFTSIGN 8
/** Activation: ln(1 + exp(x)). */
#define ELMAN_SOFTPLUS 9
/** Activation: alpha x + beta; alpha 1 and beta 0 where a function does not ask for them. */
#define ELMAN_AFFINE 10
/** Activation: alpha tanh(beta x); alpha is not 0, and both are 1 where a function does not ask for them. */
#define ELMAN_SCALED_TANH 11
/** Activation: x where it is above alpha, else 0; alpha is at least 0, and 1 where a function does not ask for it. */
#define ELMAN_THRESHOLDED_RELU 12
/** The network gives the output of each sequence's last step: many-to-one. The default. */
#define ELMAN_OUTPUT_LAST 0
/** The network gives the outputs of all steps: many-to-many. */
#define ELMAN_OUTPUT_ALL 1

/**
 * Weights and biases uniform in +-scale / sqrt(n), as PyTorch starts its layers: n is the units of a recurrent layer,
 * the inputs of a dense one.
 */
#define ELMAN_INIT_PYTORCH 0
/** Weights normal with deviation scale sqrt(2 / (inputs + units)), for tanh (Glorot & Bengio 2010). Biases 0. */
#define ELMAN_INIT_GLOROT_NORMAL 1
/** Weights uniform in +-scale sqrt(6 / (inputs + units)), for tanh (Glorot & Bengio 2010). Biases 0. */
#define ELMAN_INIT_GLOROT_UNIFORM 2
/** Weights normal with deviation scale sqrt(2 / inputs), for ReLU (He et al. 2015). Biases 0. */
#define ELMAN_INIT_HE_NORMAL 3
/** Weights uniform in +-scale sqrt(6 / inputs), for ReLU (He et al. 2015). Biases 0. */
#define ELMAN_INIT_HE_UNIFORM 4

/**
 * Recurrent weights scale times a random orthogonal matrix (Saxe et al. 2014). Other weights as with
 * ELMAN_INIT_GLOROT_UNIFORM and scale 1. Biases 0.
 */
#define ELMAN_INIT_ORTHOGONAL 5

/**
 * Recurrent weights scale on the main diagonal and 0 elsewhere (Le et al. 2015): for ELMAN_RELU and long sequences. Other
 * weights as with ELMAN_INIT_GLOROT_UNIFORM and scale 1. Biases 0.
 */
#define ELMAN_INIT_IDENTITY 6
/** Weights normal with deviation scale. Biases 0. */
#define ELMAN_INIT_GAUSSIAN 7
/** Every parameter, biases too, is scale. */
#define ELMAN_INIT_CONSTANT 8

/**
 * As Keras starts its layers: weights uniform as with ELMAN_INIT_GLOROT_UNIFORM, recurrent ones orthogonal, each for the
 * matrix of all gates as a whole, times the scale; biases 0, those of forget gates 1.
 */
#define ELMAN_INIT_KERAS 9

/** A recurrent neural network. */
typedef struct elman_network elman_network;

/**
 * Makes a network for sequences of `input_size` features a step, without layers. It belongs to the caller, who gives
 * it back with elman_destroy().
 *
 *   input_size  at least 1
 *   out         receives the network
 *
 * Errors: NULL, ZERO_SIZE, SIZE_OVERFLOW; TIER where the environment variable ELMAN_TIER is wrong.
 * Threads: any. Since 0.1.
 */
elman_status elman_create(size_t input_size, elman_network **out);

/**
 * Frees a network; of NULL, does nothing. Its sessions live on. Pointers into it end.
 *
 * Threads: needs the network to itself. Since 0.1.
 */
void elman_destroy(elman_network *network);

/**
 * Makes a copy of a network that goes on as the network would, bit for bit: layers, parameters, gradients, standardisation,
 * output mode, seed and what has been drawn from it, order of buffers, and as many threads, of its own. What elman_forward()
 * has kept stays behind, so elman_backward() needs a new forward pass. It belongs to the caller, who gives it back with
 * elman_destroy().
 *
 *   out         receives the copy
 *
 * Errors: NULL, OUT_OF_MEMORY, THREADS.
 * Threads: any number on one network. Since 0.1.
 */
elman_status elman_clone(const elman_network *network,
                         elman_network **out);

/**
 * Adds a recurrent layer h_t = f(x_t W_x + h_{t-1} W_h + b). Its parameters are drawn: layers that are all added after
 * elman_set_seed() with some seed (0 by default) start as elman_initialize() with ELMAN_INIT_PYTORCH, scale 1 and that seed
 * would start them. For zeros, call elman_initialize() with ELMAN_INIT_CONSTANT and scale 0.
 *
 *   units       at least 1
 *   activation  ELMAN_TANH or another one, up to ELMAN_THRESHOLDED_RELU
 *
 * Pointers from elman_gradients() end. The gradients of the new layer are 0.
 *
 * Errors: NULL, ZERO_SIZE, SIZE_OVERFLOW, UNKNOWN_CONSTANT, OUT_OF_MEMORY.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_add_rnn(elman_network *network,
                           size_t units,
                           uint32_t activation);

/**
 * Adds a dense layer y = f(x W + b), which sees each step by itself. Its parameters are drawn as with elman_add_rnn().
 *
 * Arguments, errors and threads as with elman_add_rnn(). Since 0.1.
 */
elman_status elman_add_dense(elman_network *network, size_t units, uint32_t activation);

/**
 * Adds dropout: in elman_forward() and elman_fit(), an element is 0 with probability `rate` and else divided by
 * 1 - rate. Elsewhere it does nothing. Which elements are dropped follows from elman_set_seed() and the number of
 * forward passes since.
 *
 *   rate        at least 0 and below 1
 *
 * Pointers from elman_gradients() end. The gradients of the new layer are 0.
 *
 * Errors: NULL, OUT_OF_RANGE, OUT_OF_MEMORY.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_add_dropout(elman_network *network, float rate);

/**
 * Adds a layer that applies an activation to each element of its input. It has no parameters, and as many outputs as inputs.
 * A layer of elman_add_dense() or elman_add_rnn() that has the activation itself is faster and gives the same bits.
 *
 *   activation  ELMAN_TANH or another one, up to ELMAN_THRESHOLDED_RELU
 *   alpha, beta its parameters, as the constant's text has them; not looked at where it has none of that name. Pass ONNX'
 *               defaults, which that text names too, for the functions as elman_add_dense() has them
 *
 * Errors: NULL, UNKNOWN_CONSTANT, OUT_OF_MEMORY; OUT_OF_RANGE for a parameter that is not finite, an `alpha` below 0 of
 * ELMAN_LEAKY_RELU, ELMAN_ELU and ELMAN_THRESHOLDED_RELU, and one of 0 (or denormal) of ELMAN_SCALED_TANH: the derivative
 * must follow from the value.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_add_activation(elman_network *network,
                                  uint32_t activation,
                                  float alpha,
                                  float beta);

/**
 * Sets what the network gives for a sequence.
 *
 *   mode        ELMAN_OUTPUT_LAST (the default) or ELMAN_OUTPUT_ALL
 *
 * Errors: NULL, UNKNOWN_CONSTANT, OUT_OF_MEMORY.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_set_output(elman_network *network, uint32_t mode);

/**
 * Makes time the first index of what calls on this network get and give for all steps: x and dx are
 * [steps][batch][input_size] and, with ELMAN_OUTPUT_ALL, y and dy [steps][batch][output_size]. States and the outputs of
 * ELMAN_OUTPUT_LAST have no steps and stay [batch][...]. The numbers are the same, bit for bit.
 *
 *   time_major  0 (the default) or 1
 *
 * It holds for elman_forward(), elman_backward(), elman_predict() and elman_gradient_check() from the next call on. What the
 * library lays out itself, for data sets, is batch-major in any case, and so are the arguments of the losses. Copies of the
 * network have the setting, files have not.
 *
 * Errors: NULL, UNKNOWN_CONSTANT.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_set_time_major(elman_network *network,
                                  uint32_t time_major);

/**
 * Sets the number of threads that a call on this network may use, the calling thread among them.
 *
 *   threads     1 (the default) is the calling thread alone, 0 means one per core; at most 1024
 *
 * Results never depend on it, bit for bit. A call uses as many of them as it is worth, and no more than the process has cores
 * at the time of elman_set_threads(). The others wait for the next call awake for 100 microseconds, then asleep. They end with
 * the network, before elman_destroy() returns. Where several threads call at the same time, one call has the others' help. In
 * a fork of the process calls use the calling thread alone. A call does not wait for a thread that does not run, because other
 * programs have its core, unless it was stopped in the middle of a piece of work.
 *
 * Errors: NULL, OUT_OF_RANGE, THREADS.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_set_threads(elman_network *network,
                               size_t threads);

/**
 * Sets the number of floating-point operations from which a call uses two threads, and half of which each further one must
 * have. The default is two million: below that, waking a thread costs more than it saves; with 0 every call uses all threads,
 * also those that have no core. elman_set_threads() goes back to the default.
 * What can't be shared well is run by one thread whatever it costs: fewer than eight sequences through small layers.
 *
 * Errors: NULL.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_set_parallel_threshold(elman_network *network,
                                          size_t operations);

/**
 * Sets where random numbers start: those of dropout, and those that layers draw their parameters from when they are added.
 * The default is 0. Epochs and passes are counted from 0 again. Parameters that are there stay as they are; layers that are
 * added from now on draw from the start of the seed's numbers.
 *
 * Errors: NULL.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_set_seed(elman_network *network,
                            uint64_t seed);

/**
 * Draws all parameters anew. The same seed gives the same parameters on every machine. Layers start by themselves when they
 * are added: this is for another scheme, scale or seed. It does not change what later layers draw.
 *
 *   scheme      an ELMAN_INIT_ constant
 *   scale       the scheme's number: 1 gives the scheme of its source; finite, and at least 0 except with
 *               ELMAN_INIT_CONSTANT and ELMAN_INIT_IDENTITY
 *
 * Errors: NULL, UNKNOWN_CONSTANT, OUT_OF_RANGE, OUT_OF_MEMORY.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_initialize(elman_network *network,
                              uint32_t scheme,
                              float scale,
                              uint64_t seed);

/**
 * Makes the network standardise its inputs, x -> (x - mean) / deviation feature by feature, in every call and every
 * session created from then on. It is saved with the network.
 *
 *   mean        [count], finite
 *   deviation   [count], above 0, finite and not so small that 1 / deviation is not
 *   count       the network's input size
 *
 * With NULL for both buffers the inputs are taken as they come, whatever `count` is.
 *
 * Errors: NULL for one buffer alone, LENGTH, NOT_FINITE, OUT_OF_RANGE, OUT_OF_MEMORY.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_set_standardization(elman_network *network, const float *mean, const float *deviation, size_t count);

/**
 * Gives how the network standardises its inputs: zeros and ones where it takes them as they come.
 *
 *   mean        [count], may be NULL
 *   deviation   [count], may be NULL
 *   count       the network's input size
 *
 * Errors: NULL (network), LENGTH, OVERLAP.
 * Threads: any number on one network. Since 0.1.
 */
elman_status elman_get_standardization(const elman_network *network, float *mean, float *deviation, size_t count);

/**
 * Names the classes that the outputs stand for. Data sets whose classes have names, those of files, are then measured and
 * trained on by these names, whatever order they have them in. They are saved with the network.
 *
 *   names       [count], each a string of UTF-8 that ends with 0, none twice; NULL: the classes have no names, and labels are
 *               the numbers of the outputs
 *   count       the network's output size; not read where `names` is NULL
 *
 * The first elman_fit() on a data set whose classes have names does the same for a network that has none. The names go when
 * a layer is added that changes the output size. Pointers from elman_get_class_name() end.
 *
 * Errors: NULL (network, a name), LENGTH; MISMATCH for a name twice or one that is not UTF-8; OUT_OF_MEMORY.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_set_class_names(elman_network *network,
                                   const char *const *names,
                                   size_t count);

/**
 * Number of classes that have names: the output size, or 0 where they have none; 0 for NULL.
 *
 * Threads: any number on one network. Since 0.1.
 */
size_t elman_get_class_name_count(const elman_network *network);

/**
 * Gives the name of the class that an output stands for.
 *
 *   index       of the output, less than elman_get_class_name_count()
 *   name        receives the name, a string of UTF-8 that ends with 0. It stays until elman_set_class_names(), the first
 *               elman_fit(), a layer that changes the output size, or elman_destroy()
 *
 * Errors: NULL, OUT_OF_RANGE.
 * Threads: any number on one network. Since 0.1.
 */
elman_status elman_get_class_name(const elman_network *network,
                                  size_t index,
                                  const char **name);

/**
 * Features of a step of the input; 0 for NULL.
 *
 * Threads: any number on one network. Since 0.1.
 */
size_t elman_input_size(const elman_network *network);

/**
 * Features of a step of the output: those of the last layer, else the input size; 0 for NULL.
 *
 * Threads: any number on one network. Since 0.1.
 */
size_t elman_output_size(const elman_network *network);

/**
 * Elements of a sequence's state: h of all recurrent layers, in layer order, of an LSTM h and then c, of two directions the
 * forward one's and then the reverse one's; 0 for NULL.
 *
 * Threads: any number on one network. Since 0.1.
 */
size_t elman_state_size(const elman_network *network);

/**
 * What the network gives for a sequence, ELMAN_OUTPUT_LAST or ELMAN_OUTPUT_ALL; ELMAN_OUTPUT_LAST for NULL.
 *
 * Threads: any number on one network. Since 0.1.
 */
uint32_t elman_output(const elman_network *network);

/**
 * Whether time is the first index of what calls get and give for all steps, 0 or 1; 0 for NULL.
 *
 * Threads: any number on one network. Since 0.1.
 */
uint32_t elman_get_time_major(const elman_network *network);

/**
 * Number of threads that a call on this network may use, at least 1; 0 for NULL.
 *
 * Threads: any number on one network. Since 0.1.
 */
size_t elman_threads(const elman_network *network);

/**
 * The seed that elman_set_seed() has set; 0 for NULL. Saved with the network.
 *
 * Threads: any number on one network. Since 0.1.
 */
uint64_t elman_get_seed(const elman_network *network);

/**
 * Epochs that elman_fit() has ended since elman_set_seed(), in all its calls; 0 for NULL. The order of the sequences in
 * the next epoch follows from this and from the seed of the options. Saved with the network.
 *
 * Threads: any number on one network. Since 0.1.
 */
uint64_t elman_get_epochs(const elman_network *network);

/**
 * Forward passes for training since elman_set_seed(), those of elman_fit() among them; 0 for NULL. What dropout drops in
 * the next one follows from this and from the seed. Saved with the network.
 *
 * Threads: any number on one network. Since 0.1.
 */
uint64_t elman_get_passes(const elman_network *network);


/*
 * 4. Recurrent layers with options: plain ones, GRU and LSTM
 * ----------------------------------------------------------
 *
 * x_t is a layer's input at step t, h_t its output, s(a) the logistic function 1 / (1 + exp(-a)), and * multiplies element
 * by element. Each cell computes sums a = x_t W_x + h_{t-1} W_h + b, gate by gate: W_x [input][gates * units], W_h and b have
 * the gates side by side in the order that is given here. With an elman_recurrent_options of NULL:
 *
 *     elman_add_recurrent()  h_t = f(a)                                      (Elman 1990)
 *     elman_add_gru()        gates r, z, n                                   (Cho et al. 2014, arXiv 1406.1078)
 *                            r = s(a_r), z = s(a_z)
 *                            n = tanh(x_t W_xn + b_n + r * (h_{t-1} W_hn + q))
 *                            h_t = (1 - z) * n + z * h_{t-1}
 *     elman_add_lstm()       gates i, f, g, o               (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et
 *                            i = s(a_i), f = s(a_f)                                                          al. 2000)
 *                            g = tanh(a_g), o = s(a_o)
 *                            c_t = f * c_{t-1} + i * g
 *                            h_t = o * tanh(c_t)
 *
 * These are PyTorch's cells, in PyTorch's order of gates. PyTorch keeps two biases, b_ih and b_hh: b is their sum, and where
 * the reset acts after the product, q is b_hh of n alone.
 *
 * Directions. ELMAN_REVERSE goes from each sequence's own last step to its first: in the equations, t-1 is then t+1.
 * ELMAN_BIDIRECTIONAL does both, each with parameters and a state of its own, and merges the two outputs of a step. A network
 * with such a layer looks ahead: elman_predict(), elman_forward() and elman_fit() run it, but there is no session of it and
 * no truncation, which would need steps that have yet to come.
 *
 * Parameters of a direction, in the order in which they lie in the flat buffers; `units` is the size of c and of the gates,
 * `outputs` that of h: the projection where there is one, else the units.
 *
 *     W_x  [input][gates * units]    gates: 1; GRU 3 (r, z, n); LSTM 4 (i, f, g, o), coupled 3 (i, g, o)
 *     W_h  [outputs][gates * units]
 *     b    [gates * units]           where `bias` is 1
 *     q    [units]                   GRU with ELMAN_RESET_AFTER, where `bias` is 1
 *     p    [3][units]                LSTM with peepholes: those of i, f, o; coupled [2][units]: i, o
 *     R    [units][projection]       LSTM with a projection
 *     h_0  [outputs]                 with an initial state of its own
 *     c_0  [units]                   LSTM with such
 *
 * Of a bidirectional layer, all of the forward direction's come first, then all of the reverse one's.
 * elman_get_tensor_info() tells each one's name, gates, direction and place.
 *
 * The state of a sequence is h, of an LSTM h and then c; of two directions, the forward one's and then the reverse one's.
 * Its final value is the one after the last step of a direction: of the reverse one, after the sequence's first step. Where
 * a call gets NULL for the state that sequences start from, and where a session is created or reset, they start from the
 * network's own: 0, or the parameters h_0 and c_0 of layers that have them. elman_backward() then adds to the gradients
 * of those, if they are trained; with truncation in the first part only.
 *
 * Memory. For elman_backward(), elman_forward() keeps of each unit and step: RNN 1 number (h); GRU 5 (r, z, n,
 * h_{t-1} W_hn + q, h), with ELMAN_RESET_BEFORE 4; LSTM 6 (i, f, g, o, c, h), coupled 5; with a projection 5 (coupled 4) and
 * h. Zoneout keeps one more for each rate above 0, recurrent dropout one for each element of h. Bidirectional layers keep
 * that twice, and their merged output. elman_predict() and sessions keep none of it.
 */

/** Direction: from the first step to the last. The default. */
#define ELMAN_FORWARD 0
/** Direction: from each sequence's own last step to the first. */
#define ELMAN_REVERSE 1
/** Direction: both, each with parameters and a state of its own. */
#define ELMAN_BIDIRECTIONAL 2

/**
 * The output of a step of a bidirectional layer is that of both directions side by side, the forward one's first: twice the
 * size. The default.
 */
#define ELMAN_MERGE_CONCAT 0
/** It is their sum. */
#define ELMAN_MERGE_SUM 1
/** It is their mean. */
#define ELMAN_MERGE_MEAN 2
/** It is their product, element by element. */
#define ELMAN_MERGE_PRODUCT 3

/**
 * With ELMAN_OUTPUT_LAST, a reverse direction gives its final state, which has seen the whole sequence (as Keras). The
 * default.
 */
#define ELMAN_LAST_STATE 0
/** It gives its output at the sequence's last step, which is its first: what y[:, -1] is in PyTorch. */
#define ELMAN_LAST_STEP 1
/** n = tanh(x_t W_xn + b_n + r * (h_{t-1} W_hn + q)): PyTorch, cuDNN, Keras. The default. */
#define ELMAN_RESET_AFTER 0

/**
 * n = tanh(x_t W_xn + (r * h_{t-1}) W_hn + b_n): Cho et al. 2014, the default of ONNX. Two products a step, one after the
 * other.
 */
#define ELMAN_RESET_BEFORE 1
/** Sequences that are given no state start from 0. The default. */
#define ELMAN_INITIAL_ZEROS 0
/** They start from parameters of the layer, h_0 and c_0, which are 0 at first and which training leaves as they are. */
#define ELMAN_INITIAL_FIXED 1
/** They start from parameters of the layer, h_0 and c_0, which are 0 at first and trained like the others. */
#define ELMAN_INITIAL_TRAINABLE 2

/**
 * What can be chosen of a recurrent layer. elman_recurrent_options_init() gives every field its default, with which the layer
 * is PyTorch's. A field that a layer has no use for must have its default. Later versions may add fields at the end, and go
 * on to accept the size of this one.
 *
 * Of fields with an index, [0] is for the forward direction and for the only one of a layer that has one; [1] is for the
 * reverse direction of a bidirectional layer.
 */
typedef struct {
  /** Size of the struct in bytes, which is its version. */
  size_t size;
  /** ELMAN_FORWARD (the default), ELMAN_REVERSE or ELMAN_BIDIRECTIONAL. */
  uint32_t direction;
  /** What becomes of the two outputs of a bidirectional layer, an ELMAN_MERGE_ constant; by default ELMAN_MERGE_CONCAT. */
  uint32_t merge;
  /** What ELMAN_OUTPUT_LAST is of a reverse direction, ELMAN_LAST_STATE (the default) or ELMAN_LAST_STEP. */
  uint32_t last;
  /** 1, the default: sums have biases; 0: they have none, and training gives them none. */
  uint32_t bias;
  /** GRU: where the reset gate acts, ELMAN_RESET_AFTER (the default) or ELMAN_RESET_BEFORE. */
  uint32_t reset;
  /**
   * LSTM: 1 where the gates see the cell state, unit by unit: a_i and a_f take p_i * c_{t-1} and p_f * c_{t-1}, a_o takes
   * p_o * c_t (Gers & Schmidhuber 2000). By default 0.
   */
  uint32_t peepholes;
  /** LSTM: 1 where f = 1 - i, without weights of its own (Greff et al. 2017, arXiv 1503.04069). By default 0. */
  uint32_t coupled;
  /** The state of sequences that are given none, an ELMAN_INITIAL_ constant; by default ELMAN_INITIAL_ZEROS. */
  uint32_t initial_state;
  /** LSTM: elements of h, where it is (o * tanh(c_t)) R (Sak et al. 2014, arXiv 1402.1128). 0, the default: no projection. */
  size_t projection;
  /** The largest magnitude of the sums, before their activations; 0, the default: no limit. Beyond it there is no gradient. */
  double clip_sums;
  /** LSTM: the largest magnitude of c; 0, the default: no limit. */
  double clip_state;
  /**
   * LSTM: what b of f is when the layer is added, and after elman_initialize(), whatever the scheme has for biases; NAN, the
   * default: as the scheme has it. Keras and many others take 1 (Jozefowicz et al. 2015).
   */
  double forget_bias;
  /**
   * In elman_forward() and elman_fit(), each element of h_{t-1} is 0 with this probability where it meets W_h, and else
   * divided by 1 - recurrent_dropout: the same elements for all gates and all steps of a sequence (Gal & Ghahramani 2016,
   * arXiv 1512.05287). Elsewhere it does nothing. At least 0, the default, and below 1.
   */
  double recurrent_dropout;
  /**
   * In elman_forward() and elman_fit(), with this probability each element of h stays what it was at the step before.
   * Elsewhere the expectation is taken, zoneout * h_{t-1} + (1 - zoneout) * h_t (Krueger et al. 2017, arXiv 1606.01305). At
   * least 0, the default, and below 1.
   */
  double zoneout;
  /** LSTM: the same for c. */
  double zoneout_cell;
  /** GRU and LSTM: the activation of the gates; by default ELMAN_SIGMOID. */
  uint32_t gates[2];
  /** GRU and LSTM: that of the candidate, g of an LSTM and n of a GRU; by default ELMAN_TANH. */
  uint32_t candidate[2];
  /** LSTM: that of c_t where the gate o meets it; by default ELMAN_TANH. */
  uint32_t output[2];
  /**
   * The parameter alpha of the activation of the gates; NAN, the default: the one that the constant's text names. Not looked
   * at where the activation has none; so in all of the following.
   */
  double gates_alpha[2];
  /** Its parameter beta. */
  double gates_beta[2];
  /** The parameter alpha of the activation of the candidate; by default NAN. */
  double candidate_alpha[2];
  /** Its parameter beta. */
  double candidate_beta[2];
  /** The parameter alpha of the activation of c_t; by default NAN. */
  double output_alpha[2];
  /** Its parameter beta. */
  double output_beta[2];
  /** The parameter alpha of the activation of elman_add_recurrent(); by default NAN. */
  double activation_alpha;
  /** Its parameter beta. */
  double activation_beta;
} elman_recurrent_options;

/**
 * Gives every field of the options its default.
 *
 *   options     receives the defaults
 *   size        sizeof(elman_recurrent_options)
 *
 * Errors: NULL; MISMATCH where `size` is that of no version that the library knows.
 * Threads: any. Since 0.1.
 */
elman_status elman_recurrent_options_init(elman_recurrent_options *options, size_t size);

/**
 * Adds a recurrent layer as elman_add_rnn() does, with options.
 *
 *   units       at least 1
 *   activation  as with elman_add_rnn()
 *   options     NULL for the defaults, with which the layer is that of elman_add_rnn()
 *
 * Its parameters are drawn as with elman_add_rnn(). Pointers from elman_gradients() end. The gradients of the new layer are 0.
 *
 * Errors: NULL (network), ZERO_SIZE, SIZE_OVERFLOW, UNKNOWN_CONSTANT for `activation` or a field, OUT_OF_RANGE for a number
 * that is none of its field's; MISMATCH for a struct whose size is that of no version that the library knows, and for a field
 * that such a layer has no use for; OUT_OF_MEMORY.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_add_recurrent(elman_network *network,
                                 size_t units,
                                 uint32_t activation,
                                 const elman_recurrent_options *options);

/**
 * Adds a gated recurrent unit.
 *
 *   units       at least 1
 *   options     NULL for the defaults, with which the layer is PyTorch's nn.GRU
 *
 * Arguments, errors and threads as with elman_add_recurrent(). Since 0.1.
 */
elman_status elman_add_gru(elman_network *network, size_t units, const elman_recurrent_options *options);

/**
 * Adds long short-term memory.
 *
 *   units       at least 1: elements of c, and of h unless there is a projection
 *   options     NULL for the defaults, with which the layer is PyTorch's nn.LSTM
 *
 * Arguments, errors and threads as with elman_add_recurrent(); MISMATCH also for a forget bias where `coupled` is 1 or `bias`
 * is 0. Since 0.1.
 */
elman_status elman_add_lstm(elman_network *network,
                            size_t units,
                            const elman_recurrent_options *options);

/**
 * Tells the options of a recurrent layer, of one that was loaded as of one that was added. With them, and the units and the
 * activation, such a layer can be added again.
 *
 *   layer       its number, from 0 at the input
 *   options     receives them
 *   size        sizeof(elman_recurrent_options)
 *
 * Errors: NULL, OUT_OF_RANGE for `layer`; MISMATCH where `size` is that of no version that the library knows, and for a layer
 * that is not recurrent.
 * Threads: any number on one network. Since 0.1.
 */
elman_status elman_get_recurrent_options(const elman_network *network,
                                         size_t layer,
                                         elman_recurrent_options *options,
                                         size_t size);


/*
 * 5. Layers around the cells
 * --------------------------
 *
 * Layer normalisation, embeddings, and layers that look back: a network is a list of layers, each of which takes the output of
 * the one before, but for those that take outputs of earlier ones, too. Where a function takes the number of an earlier
 * output, 0 is the network's input (standardised, if it is), and i the output of the i-th layer that was added, dropout and
 * activations counted.
 *
 * With ELMAN_OUTPUT_LAST the layers behind the last recurrent one run over the last step of each sequence alone. What they
 * take of earlier layers is then the last of these, which of a bidirectional layer is what its option says.
 */

/**
 * Adds layer normalisation (Ba et al. 2016, as PyTorch's LayerNorm): y = (x - m) / sqrt(v + epsilon) g + b, element by
 * element, where m is the mean of the features of the step and v their variance (the mean of the squared differences).
 *
 *   epsilon     at least the smallest normal float; PyTorch's is 1e-5f
 *
 * The parameters are g [features], which starts at 1, and b [features], which starts at 0.
 *
 * Pointers from elman_gradients() end. The gradients of the new layer are 0.
 *
 * Errors: NULL, OUT_OF_RANGE, OUT_OF_MEMORY.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_add_layer_norm(elman_network *network, float epsilon);

/**
 * Adds an embedding, which replaces indices by rows of a table [classes][size], as PyTorch's Embedding does. Some columns of
 * the network's input are indices; the others pass as they are.
 *
 *   columns     [count] which columns of its input are indices, each once, in any order
 *   count       at least 1
 *   classes     rows of the table, 1 to 2^24
 *   size        elements of each, at least 1
 *
 * A row stands where its index stood: of an input a, i, b with columns {1} the output is a, then the row of i, then b, in all
 * 2 + size features. The columns share the table. Embeddings come before all other layers; a second one, for another table,
 * counts the columns of the first one's output, and may name those that have passed there.
 *
 * The parameters are the table, which starts with numbers from the normal distribution (mean 0, deviation 1).
 *
 * An index is a float that is an integer, at least 0 and less than `classes`. Every function that gets inputs, those of
 * sessions and elman_fit() too, looks at the indices of all steps that count (not at the padding behind lengths) before it
 * changes anything, and refuses a wrong one with OUT_OF_RANGE and a message that names its sequence, step, column and
 * value. elman_set_standardization() leaves these columns as they are; dx is 0 there. The gradient of a row of the table is
 * the sum over the steps that name it, from the last step to the first, within a step from the shortest sequence to the
 * longest, and within a row from the last column to the first; the gradients of other rows are not touched.
 *
 * Pointers from elman_gradients() end. The gradients of the new layer are 0.
 *
 * Errors: NULL, ALIGNMENT, ZERO_SIZE, SIZE_OVERFLOW, OUT_OF_MEMORY; OUT_OF_RANGE for `classes` and for a column that is not
 * there; MISMATCH for a column that is named twice or lies in another embedding's row, and where the network has layers that
 * are no embeddings.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_add_embedding(elman_network *network,
                                 const size_t *columns,
                                 size_t count,
                                 size_t classes,
                                 size_t size);

/**
 * Adds a layer that gives outputs of earlier layers side by side. It has no parameters.
 *
 *   layers      [count] which, in this order: 0 is the network's input, i the output of the i-th layer that was added; some
 *               may be there twice
 *   count       at least 1
 *
 * What is not named is not passed on: as a rule the layer before, whose number is elman_layer_count(), is one of them.
 *
 * Pointers from elman_gradients() end.
 *
 * Errors: NULL, ALIGNMENT, ZERO_SIZE, SIZE_OVERFLOW, OUT_OF_MEMORY; OUT_OF_RANGE for a layer that has not been added.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_add_concat(elman_network *network,
                              const size_t *layers,
                              size_t count);

/**
 * Adds a layer that adds the output of an earlier layer to that of the layer before, element by element (He et al. 2015). It
 * has no parameters.
 *
 *   layer       which: 0 is the network's input, i the output of the i-th layer that was added; it has as many features as
 *               the layer before
 *
 * Pointers from elman_gradients() end.
 *
 * Errors: NULL, OUT_OF_MEMORY; OUT_OF_RANGE for a layer that has not been added, MISMATCH for one of another size.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_add_residual(elman_network *network,
                                size_t layer);

/**
 * The numbers that a layer was added with: the columns of an embedding, the layers of elman_add_concat(), the one layer of
 * elman_add_residual(). Other kinds have none.
 *
 *   layer       its number, from 0 at the input
 *   numbers     [count] receives them
 *   count       number_count of its elman_layer_info
 *
 * Errors: NULL, ALIGNMENT; OUT_OF_RANGE for `layer`; LENGTH where `count` is another number.
 * Threads: any number on one network. Since 0.1.
 */
elman_status elman_get_layer_numbers(const elman_network *network,
                                     size_t layer,
                                     size_t *numbers,
                                     size_t count);


/*
 * 6. What a network is made of
 * ----------------------------
 *
 * Its layers, counted from 0, with their places in the flat parameters and in a sequence's state: of a network that was
 * loaded as of one that was built.
 */

/** A plain recurrent layer, of elman_add_rnn() or elman_add_recurrent(). */
#define ELMAN_LAYER_RNN 0
/** A dense layer, of elman_add_dense(). */
#define ELMAN_LAYER_DENSE 1
/** Dropout, of elman_add_dropout(). */
#define ELMAN_LAYER_DROPOUT 2
/** An activation, of elman_add_activation(). */
#define ELMAN_LAYER_ACTIVATION 3
/** A gated recurrent unit, of elman_add_gru(). */
#define ELMAN_LAYER_GRU 4
/** Long short-term memory, of elman_add_lstm(). */
#define ELMAN_LAYER_LSTM 5
/** Layer normalisation, of elman_add_layer_norm(). */
#define ELMAN_LAYER_NORM 6
/** An embedding, of elman_add_embedding(). */
#define ELMAN_LAYER_EMBEDDING 7
/** Outputs of earlier layers side by side, of elman_add_concat(). */
#define ELMAN_LAYER_CONCAT 8
/** The addition of an earlier output, of elman_add_residual(). */
#define ELMAN_LAYER_RESIDUAL 9

/** What a layer is. Later versions may add fields at the end, and kinds. */
typedef struct {
  /** Size of the struct in bytes, which is its version. */
  size_t size;
  /** An ELMAN_LAYER_ constant. */
  uint32_t kind;
  /** Its activation; ELMAN_LINEAR where it has none, or several, which elman_get_recurrent_options() tells. */
  uint32_t activation;
  /** Of dropout, the probability of zero; else 0. */
  double rate;
  /** Features of a step that it takes. */
  size_t input_size;
  /**
   * Features of a step that it gives: its units, if it has any, or their projection; those of both directions where they lie
   * side by side.
   */
  size_t output_size;
  /** Index of its first parameter, and of its first gradient, in the flat buffers of the network. */
  size_t parameter_offset;
  /** Number of its parameters. */
  size_t parameter_count;
  /** Number of tensors that they make up. */
  size_t tensor_count;
  /** Index of its first element in the state of a sequence. */
  size_t state_offset;
  /** Number of its elements in the state of a sequence. */
  size_t state_size;
  /** Whether training changes its parameters, 0 or 1: elman_set_trainable(). */
  uint32_t trainable;
  /** The parameter alpha of its activation; 0 where that has none. */
  double alpha;
  /** The parameter beta of its activation; 0 where that has none. */
  double beta;
  /** Of layer normalisation, what is added to the variance; else 0. */
  double epsilon;
  /** Of an embedding, the rows of its table; else 0. */
  size_t classes;
  /** How many numbers it was added with: elman_get_layer_numbers(). */
  size_t number_count;
  /** Units of a recurrent or a dense layer, whatever its output is; of an embedding, elements of a row; else 0. */
  size_t units;
} elman_layer_info;

/** What a tensor of a layer is: a row-major matrix [rows][columns]. Later versions may add fields at the end. */
typedef struct {
  /** Size of the struct in bytes, which is its version. */
  size_t size;
  /**
   * Its name in the layer's equation: "W_x", "W_h" and "b" of a recurrent layer, "W" and "b" of a dense one, "g" and "b"
   * of layer normalisation, "E" of an embedding; "q", "p", "R",
   * "h_0" and "c_0" of what only some recurrent layers have. It is never freed.
   */
  const char *name;
  /** Rows; 1 of a bias. */
  size_t rows;
  /** Columns: the layer's units, those of all gates side by side. */
  size_t columns;
  /** Index of its first element in the flat parameters of the network. */
  size_t parameter_offset;
  /** The number of gates that its columns are divided among; 1 where there are none. */
  uint32_t gates;
  /** ELMAN_REVERSE where it belongs to a direction from the last step to the first, else ELMAN_FORWARD. */
  uint32_t direction;
} elman_tensor_info;

/**
 * Number of layers; 0 for NULL.
 *
 * Threads: any number on one network. Since 0.1.
 */
size_t elman_layer_count(const elman_network *network);

/**
 * Tells what a layer is.
 *
 *   layer       its number, from 0 at the input
 *   info        receives it
 *   size        sizeof(elman_layer_info)
 *
 * Errors: NULL; MISMATCH where `size` is that of no version that the library knows; OUT_OF_RANGE for `layer`.
 * Threads: any number on one network. Since 0.1.
 */
elman_status elman_get_layer_info(const elman_network *network, size_t layer, elman_layer_info *info, size_t size);

/**
 * Tells what a tensor of a layer is.
 *
 *   layer       the layer's number, from 0 at the input
 *   tensor      its number, from 0, in the order of the flat parameters
 *   info        receives it
 *   size        sizeof(elman_tensor_info)
 *
 * Errors: NULL; MISMATCH where `size` is that of no version that the library knows; OUT_OF_RANGE for `layer` and `tensor`.
 * Threads: any number on one network. Since 0.1.
 */
elman_status elman_get_tensor_info(const elman_network *network,
                                   size_t layer,
                                   size_t tensor,
                                   elman_tensor_info *info,
                                   size_t size);

/**
 * Freezes a layer, or lets it be trained again, as every layer is when it is added. elman_get_layer_info() tells which it is;
 * it is saved with the network.
 *
 *   layer       its number, from 0 at the input
 *   trainable   0 or 1
 *
 * Training leaves the parameters of a frozen layer as they are, bit for bit: elman_backward() adds nothing to its gradients,
 * which become 0 here, and elman_update() passes over its parameters and what the optimizer remembers of them, weight decay
 * and momentum or not. Gradients still go through it to what is below. Where nothing below is trained and neither `dx` nor
 * `dstate_in` is wanted, elman_backward() ends above it. elman_initialize() and elman_set_parameters() reach its parameters
 * all the same.
 *
 * A layer that has been frozen from the first update on starts late: Adam's bias corrections count the steps of the
 * optimizer, not of a layer. elman_optimizer_reset() starts all of them anew.
 *
 * Errors: NULL, OUT_OF_RANGE for `layer`, UNKNOWN_CONSTANT, OUT_OF_MEMORY.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_set_trainable(elman_network *network,
                                 size_t layer,
                                 uint32_t trainable);


/*
 * 7. Running a network
 * --------------------
 *
 * Buffers are row-major. x is [batch][steps][input_size]. Sequences may differ in length: `lengths` says how many
 * steps of each are real, and what comes after them is not read. Time and memory follow the sum of the lengths. A sequence
 * may be empty: its outputs and its final state are 0, whatever layers there are and whatever it started from, and it has
 * no part in any gradient.
 *
 * Where time comes first in your buffers, as in a recording of several channels, elman_set_time_major() makes x
 * [steps][batch][input_size], and y likewise with ELMAN_OUTPUT_ALL; dx and dy follow them.
 */

/**
 * Runs a batch of sequences.
 *
 *   x           [batch][steps][input_size], or [steps][batch][input_size] after elman_set_time_major()
 *   batch       number of sequences, at least 1
 *   steps       steps of each in `x`, at least 1
 *   lengths     [batch], each 0 to `steps`; NULL where all are `steps` long
 *   state_in    [batch][state_size], the state that each sequence starts from; NULL for the network's own: zeros, or the
 *               parameters that layers have for it
 *   y           receives the outputs, [batch][output_size] or, with ELMAN_OUTPUT_ALL, [batch][steps][output_size] with
 *               0 behind the end of a sequence, steps before the batch after elman_set_time_major(); may be NULL
 *   state_out   receives the state of each sequence after its own last step, [batch][state_size]; may be NULL
 *
 * A row of the output has the same bits whatever the number of threads and whatever else is in the batch. `y` and
 * `state_out` must not overlap each other or an input. After the first call of a size nothing is allocated.
 *
 * Inputs, parameters and states may be infinite or NaN: a row of the output that one of them reaches becomes what
 * floating-point arithmetic makes of it, and every other row keeps its bits.
 *
 * Errors: NULL (network, x), OVERLAP, ZERO_SIZE, SIZE_OVERFLOW, OUT_OF_RANGE for a length, OUT_OF_MEMORY.
 * Threads: any number on one network. Since 0.1.
 */
elman_status elman_predict(const elman_network *network,
                           const float *x,
                           size_t batch,
                           size_t steps,
                           const size_t *lengths,
                           const float *state_in,
                           float *y,
                           float *state_out);


/*
 * 8. Streams: one step or a block of steps at a time
 * --------------------------------------------------
 *
 * A session runs one sequence in steps or blocks of steps and keeps the state between the calls. The outputs are those of
 * the sequence as a whole, bit for bit. One made with elman_session_create_many() runs several sequences side by side.
 *
 * elman_session_step(), _run(), _reset(), _get_state(), _set_state() and those of single streams are real-time safe: they
 * allocate nothing, take no lock and make no system call, from the first call on and on errors too.
 */

/** A stream through a network, or several in lockstep. */
typedef struct elman_session elman_session;

/**
 * Starts a stream from the network's own state: 0, or the parameters that layers have for it. It runs the parameters that the
 * network has now; the network may change or be destroyed meanwhile. The session belongs to the caller, who gives it back with
 * elman_session_destroy().
 *
 *   out         receives the session
 *
 * Errors: NULL, OUT_OF_MEMORY; MISMATCH for a network that looks ahead, of which a layer goes from the last step to the first:
 * its outputs need steps that have yet to come (elman_predict() runs it).
 * Threads: any number on one network; sessions of one network may run on different threads. Since 0.1.
 */
elman_status elman_session_create(const elman_network *network,
                                  elman_session **out);

/**
 * Starts several streams in lockstep: each call steps all of them, and reads the weights once for all. Each stream has the
 * bits that it would have alone, and can be reset or go on from another state by itself. All else is as with
 * elman_session_create().
 *
 *   streams     their number, at least 1
 *   out         receives the session
 *
 * Errors: those of elman_session_create(); ZERO_SIZE, SIZE_OVERFLOW.
 * Threads: any number on one network; sessions of one network may run on different threads. Since 0.1.
 */
elman_status elman_session_create_many(const elman_network *network,
                                       size_t streams,
                                       elman_session **out);

/**
 * Frees a session; of NULL, does nothing.
 *
 * Threads: needs the session to itself. Since 0.1.
 */
void elman_session_destroy(elman_session *session);

/**
 * Makes a second session whose streams go on from the states that these have now. It belongs to the caller, who gives it back with
 * elman_session_destroy().
 *
 *   out         receives the session
 *
 * Errors: NULL, OUT_OF_MEMORY.
 * Threads: any number on one session. Since 0.1.
 */
elman_status elman_session_clone(const elman_session *session,
                                 elman_session **out);

/**
 * Runs one step. Real-time safe.
 *
 *   x           [streams][input_size]
 *   y           receives the output of the last layer, [streams][output_size]; must not overlap `x`
 *
 * Errors: NULL, OVERLAP; OUT_OF_RANGE for an index that an embedding has no class for; the state is then as it was.
 * Threads: needs the session to itself. Since 0.1.
 */
elman_status elman_session_step(elman_session *session, const float *x, float *y);

/**
 * Runs some steps, with the bits of as many calls of elman_session_step() and in less time: layers run over up to 64 steps at
 * a time. Real-time safe.
 *
 *   x           [steps][streams][input_size]
 *   steps       any number; with 0 the call does nothing, and reads neither `x` nor `y`
 *   y           receives the output of the last layer at each step, whatever elman_set_output() says,
 *               [steps][streams][output_size]; where output_size is input_size it may be `x` itself, else it must not overlap `x`
 *
 * Errors: NULL, OVERLAP, SIZE_OVERFLOW; OUT_OF_RANGE as with elman_session_step(); the state is then as it was.
 * Threads: needs the session to itself. Since 0.1.
 */
elman_status elman_session_run(elman_session *session,
                               const float *x,
                               size_t steps,
                               float *y);

/**
 * Lets all streams start again from the network's own state, as those of a new session do. Real-time safe.
 *
 * Errors: NULL.
 * Threads: needs the session to itself. Since 0.1.
 */
elman_status elman_session_reset(elman_session *session);

/**
 * Lets one stream start again from the network's own state. Real-time safe.
 *
 *   stream      less than elman_session_get_streams()
 *
 * Errors: NULL, OUT_OF_RANGE.
 * Threads: needs the session to itself. Since 0.1.
 */
elman_status elman_session_reset_stream(elman_session *session, size_t stream);

/**
 * Copies the states. Real-time safe.
 *
 *   state       receives them, [count]: stream after stream, each in layer order
 *   count       elman_session_get_streams() times elman_session_get_state_size()
 *
 * Errors: NULL, LENGTH, SIZE_OVERFLOW.
 * Threads: any number on one session. Since 0.1.
 */
elman_status elman_session_get_state(const elman_session *session, float *state, size_t count);

/**
 * Copies the state of one stream. Real-time safe.
 *
 *   stream      less than elman_session_get_streams()
 *   state       receives it, [count], in layer order
 *   count       elman_session_get_state_size()
 *
 * Errors: NULL, LENGTH, OUT_OF_RANGE, SIZE_OVERFLOW.
 * Threads: any number on one session. Since 0.1.
 */
elman_status elman_session_get_stream_state(const elman_session *session, size_t stream, float *state, size_t count);

/**
 * Goes on from other states: of the same or another session, or what elman_predict() gave as `state_out`.
 * Real-time safe.
 *
 *   state       [count]: stream after stream, each in layer order
 *   count       elman_session_get_streams() times elman_session_get_state_size()
 *
 * Errors: NULL, LENGTH, SIZE_OVERFLOW; the state is then as it was.
 * Threads: needs the session to itself. Since 0.1.
 */
elman_status elman_session_set_state(elman_session *session, const float *state, size_t count);

/**
 * Lets one stream go on from another state. Real-time safe.
 *
 *   stream      less than elman_session_get_streams()
 *   state       [count], in layer order
 *   count       elman_session_get_state_size()
 *
 * Errors: NULL, LENGTH, OUT_OF_RANGE, SIZE_OVERFLOW; the state is then as it was.
 * Threads: needs the session to itself. Since 0.1.
 */
elman_status elman_session_set_stream_state(elman_session *session, size_t stream, const float *state, size_t count);

/**
 * Streams of a session; 0 for NULL.
 *
 * Threads: any number on one session. Since 0.1.
 */
size_t elman_session_get_streams(const elman_session *session);

/**
 * Features of a step of the input; 0 for NULL.
 *
 * Threads: any number on one session. Since 0.1.
 */
size_t elman_session_get_input_size(const elman_session *session);

/**
 * Features of a step of the output; 0 for NULL.
 *
 * Threads: any number on one session. Since 0.1.
 */
size_t elman_session_get_output_size(const elman_session *session);

/**
 * Elements of the state of a stream; 0 for NULL.
 *
 * Threads: any number on one session. Since 0.1.
 */
size_t elman_session_get_state_size(const elman_session *session);

/**
 * Bytes of memory that the session takes beside the parameters, which it shares with its network and with other sessions
 * until the network changes; 0 for NULL. For one step there is room in any case, and for up to 64 steps within 64 KiB.
 *
 * Threads: any number on one session. Since 0.1.
 */
size_t elman_session_get_bytes(const elman_session *session);


/*
 * 9. Files
 * --------
 *
 * A network is saved in the safetensors format, with the tensor names and layouts of torch.nn.RNN and torch.nn.Linear
 * (weight_ih_l0 and so on), so that other software can read and change the weights. The bytes of such a file may also lie
 * in memory, in an archive of the application's or in its binary.
 */

/**
 * Writes a network to a file: its layers, parameters, output mode, standardisation and class names, its seed, and how many
 * epochs and passes it has trained. Gradients and the number of threads are not part of it. The same network gives the
 * same bytes.
 *
 *   path        of the file, ends with 0; UTF-8 on Windows
 *
 * A file that is already there is replaced as a whole or, after an error or a crash, not at all. The same holds for a
 * power failure; on Unix one that comes after the call has returned leaves the new file.
 *
 * Errors: NULL, IO; FORMAT where the path is something else than a file; OUT_OF_RANGE for tens of thousands of layers.
 * Threads: any number on one network. Since 0.1.
 */
elman_status elman_save(const elman_network *network,
                        const char *path);

/**
 * Writes the parameters to a file that PyTorch takes: safetensors.torch.load_file() and then load_state_dict().
 *
 *   path        of the file, ends with 0; UTF-8 on Windows
 *   modules     the names of PyTorch's modules, text in UTF-8 that ends with 0, one for each layer that has parameters, from
 *               the input on, [count]; recurrent layers that follow each other and are layers of one module have its name
 *               each: "lstm", "lstm", "head.0"
 *
 * What is not a parameter is not in the file: activations, standardisation and names of classes among it. elman_import() reads
 * it again, bit for bit. The file is replaced as by elman_save().
 *
 * Errors: NULL, IO, OUT_OF_MEMORY; LENGTH where there is not a name for each layer with parameters; MISMATCH for a layer that
 * PyTorch has not, for a name of two modules and for text that is no UTF-8; FORMAT and OUT_OF_RANGE as with elman_save();
 * SIZE_OVERFLOW.
 * Threads: any number on one network. Since 0.1.
 */
elman_status elman_save_state_dict(const elman_network *network,
                                   const char *path,
                                   const char *const *modules,
                                   size_t count);

/**
 * Writes a network to an ONNX file, which ONNX Runtime and others run to the same numbers, but for rounding errors.
 *
 *   path        of the file, ends with 0; UTF-8 on Windows
 *
 * The graph has the input x, [batch][steps][input], and the output y, [batch][steps][output] or, where the output is that of the
 * last step, [batch][output]. What may be given beside x has a default, as an initializer of the same name: lengths [batch]
 * (int32), by default as many as there are steps, and state [batch][state_size], by default what the network starts from. The
 * output state_out, [batch][state_size], goes on from there. They lie as those of elman_predict(). Outputs of steps beyond a
 * sequence's length mean nothing; lengths are at least 1 where the output is that of the last step.
 *
 * Dropout stays in the graph, where it does nothing; recurrent dropout and class names are left out. The operators are those
 * of version 17. elman_import() reads the file again: the parameters are the same, bit for bit, but for initial states of
 * zeros, which the network then has not, and for standardised inputs, which become two dense layers; so a network that has
 * an embedding besides may be refused. The file is replaced as by elman_save(). The function belongs to the part "import".
 *
 * Errors: NULL, IO, OUT_OF_MEMORY; MISMATCH for what ONNX has not: projections, clipped cell states, zoneout, and hard tanh
 * within a cell; OUT_OF_RANGE for more than 2 GiB; FORMAT as with elman_save().
 * Threads: any number on one network. Since 0.1.
 */
elman_status elman_save_onnx(const elman_network *network,
                             const char *path);

/**
 * Reads a network from a file that elman_save() has written, or whose tensors other software has changed since. It
 * belongs to the caller, who gives it back with elman_destroy().
 *
 *   path        of the file, ends with 0; UTF-8 on Windows
 *   out         receives the network
 *
 * Everything in the file is checked before anything of the network's size is allocated; a damaged or hostile file is
 * an error and nothing else.
 *
 * Errors: NULL, IO, OUT_OF_MEMORY; FORMAT where the file is damaged or no network of this library (the message names what
 * PyTorch, Keras, ONNX, NumPy and some others write); TIER as with elman_create().
 * Threads: any. Since 0.1.
 */
elman_status elman_load(const char *path,
                        elman_network **out);

/**
 * Writes the contents of the file that elman_save() writes to memory.
 *
 *   bytes       receives them, up to [capacity]; NULL to ask for their number alone
 *   capacity    at least the number that the call gives; not read without `bytes`
 *   size        receives their number; may be NULL
 *
 * The number stays the same until the network is changed.
 *
 * Errors: NULL (network), OVERLAP, OUT_OF_MEMORY; LENGTH where `capacity` is too small; OUT_OF_RANGE as with elman_save().
 * Threads: any number on one network. Since 0.1.
 */
elman_status elman_save_memory(const elman_network *network,
                               uint8_t *bytes,
                               size_t capacity,
                               size_t *size);

/**
 * Reads a network from the contents of a file, as elman_load() does.
 *
 *   bytes       [size], not needed any more when the call returns
 *   out         receives the network
 *
 * Errors: NULL, OVERLAP, OUT_OF_MEMORY, FORMAT, TIER as with elman_load(). Messages call the file "the bytes".
 * Threads: any. Since 0.1.
 */
elman_status elman_load_memory(const uint8_t *bytes, size_t size, elman_network **out);


/*
 * 10. Networks of other systems
 * -----------------------------
 *
 * What PyTorch has trained, and amp models of several makers, go on in elman: docs/import.md says what is taken, and how to export
 * it there.
 *
 * These functions are the part "import" of the library.
 */

/**
 * What the file of another system does not say. elman_import_options_init() gives every field its default. Later versions may
 * add fields at the end, and go on to accept the size of this one.
 */
typedef struct {
  /** Size of the struct in bytes, which is its version. */
  size_t size;
  /**
   * JSON, UTF-8 text that ends with 0. NULL, the default: elman_import() takes what is in a file beside that of the network,
   * whose name has ".description.json" behind the other's, if there is one: "model.safetensors.description.json". It is about
   * state dicts: of other formats only "output" is looked at, of elman's own files nothing. An object, all of whose members
   * may be missing: "output", "all" (the default) or "last": elman_set_output(); "input_size", a number, where an embedding
   * takes some of the features; "layers", an array, the order of the layers. One with weights in the file is
   * {"module": "encoder.lstm"}, the name that its tensors have in common; beside it there may be "activation" ("relu",
   * {"leaky_relu": {"alpha": 0.01}}...) of a plain recurrent layer, by default "tanh", and of a dense one, by default
   * "linear"; "epsilon" of a layer norm, by default 1e-5; "columns" of an embedding, which tell it from a dense layer without
   * a bias. Others are {"kind": "dropout", "rate": 0.1}, {"kind": "activation", "activation": "relu"},
   * {"kind": "concat", "layers": [0, 1]}, {"kind": "residual", "layer": 0}.
   */
  const char *description;
} elman_import_options;

/**
 * Gives every field of the options its default.
 *
 *   options     receives the defaults
 *   size        sizeof(elman_import_options)
 *
 * Errors: NULL; MISMATCH where `size` is that of no version that the library knows.
 * Threads: any. Since 0.1.
 */
elman_status elman_import_options_init(elman_import_options *options, size_t size);

/**
 * Reads a network that another system has trained. It belongs to the caller, who gives it back with elman_destroy(), and is one
 * like any other: it can be trained, run as a stream and saved.
 *
 *   path        of the file, ends with 0; UTF-8 on Windows
 *   options     NULL for the defaults
 *   out         receives the network
 *
 * The format is recognised by the contents. Taken are:
 * - state dicts of PyTorch as safetensors: RNN, LSTM (also with proj_size) and GRU, stacked, bidirectional, with or without
 *   biases, their cells, Linear, Embedding and LayerNorm, whatever is in front of their names; numbers of 16, 32 and 64 bits,
 *   rounded to float; and as JSON text, alone or in a model of GuitarML's, whose skip is taken, too;
 * - RTNeural's JSON of Keras models with dense layers, LSTM, GRU and activations; that of AIDA-X, with its skip and gains;
 * - Neural Amp Modeler's .nam of the architecture LSTM, with the state that it starts from;
 * - ONNX: graphs of RNN, GRU and LSTM with all of their options, Gemm, MatMul, activations, layer norms, embeddings, sums and
 *   parts of features, in any order of their axes; states that go in and out are the business of elman's own;
 * - the files of elman_save().
 *
 * A recurrent layer gets one bias, the sum of its two; the candidate of a GRU keeps both. The order of modules is found out
 * where only one fits their sizes. What the file leaves open is in the message, with what has been understood; a description
 * then tells, in the options or in a file beside it.
 *
 * Errors: NULL (path, out), IO, OUT_OF_MEMORY; FORMAT where the file is damaged, leaves something open or has what cannot be
 * taken, which the message names, and for a wrong description (that of a file by its name); MISMATCH for options whose size is
 * that of no version that the library knows, and for a description in them that is no UTF-8; TIER as with elman_create().
 * Threads: any. Since 0.1.
 */
elman_status elman_import(const char *path,
                          const elman_import_options *options,
                          elman_network **out);

/**
 * Reads a network from the contents of a file, as elman_import() does; no description lies beside it.
 *
 *   bytes       [size], not needed any more when the call returns
 *   options     NULL for the defaults
 *   out         receives the network
 *
 * Errors: as elman_import(), but for IO; OVERLAP. Messages call the file "the bytes".
 * Threads: any. Since 0.1.
 */
elman_status elman_import_memory(const uint8_t *bytes,
                                 size_t size,
                                 const elman_import_options *options,
                                 elman_network **out);


/*
 * 11. Optimizers
 * --------------
 *
 * The formulas are those of torch.optim, so settings can be carried over. p is a parameter, g its gradient, r the
 * learning rate; what an optimizer remembers starts at 0, is allocated at the first update, and fits networks of that
 * many parameters only. Settings are double, because 1 - 0.999 needs the digits. An optimizer belongs to the caller,
 * who gives it back with elman_optimizer_destroy().
 */

/** An update rule, its settings, and what it remembers of the parameters that it has updated. */
typedef struct elman_optimizer elman_optimizer;

/**
 * Stochastic gradient descent: g' = g + weight_decay p; v = momentum v + g'; p -= r v, or with Nesterov's look-ahead
 * p -= r (g' + momentum v).
 *
 *   learning_rate   at least 0
 *   momentum        at least 0 and below 1; 0 for none
 *   nesterov        0 or 1; 1 needs a momentum
 *   weight_decay    at least 0; 0 for none
 *   out             receives the optimizer
 *
 * Errors: NULL, OUT_OF_RANGE, UNKNOWN_CONSTANT.
 * Threads: any. Since 0.1.
 */
elman_status elman_sgd_create(double learning_rate,
                              double momentum,
                              uint32_t nesterov,
                              double weight_decay,
                              elman_optimizer **out);

/**
 * AdaGrad (Duchi et al. 2011): s += g^2; p -= r g / (sqrt(s) + epsilon).
 *
 *   learning_rate   at least 0; usually 0.01
 *   epsilon         above 0; usually 1e-10
 *   out             receives the optimizer
 *
 * Errors: NULL, OUT_OF_RANGE.
 * Threads: any. Since 0.1.
 */
elman_status elman_adagrad_create(double learning_rate, double epsilon, elman_optimizer **out);

/**
 * RMSprop (Tieleman & Hinton 2012): s = alpha s + (1 - alpha) g^2; v = momentum v + g / (sqrt(s) + epsilon); p -= r v.
 *
 *   learning_rate   at least 0; usually 0.01
 *   alpha           at least 0 and below 1; usually 0.99
 *   epsilon         above 0; usually 1e-8
 *   momentum        at least 0 and below 1; 0 for none
 *   out             receives the optimizer
 *
 * Errors: NULL, OUT_OF_RANGE.
 * Threads: any. Since 0.1.
 */
elman_status elman_rmsprop_create(double learning_rate,
                                  double alpha,
                                  double epsilon,
                                  double momentum,
                                  elman_optimizer **out);

/**
 * Adam (Kingma & Ba 2015): g' = g + weight_decay p; m = beta1 m + (1 - beta1) g'; s = beta2 s + (1 - beta2) g'^2; in
 * step k, p -= r / (1 - beta1^k) m / (sqrt(s) / sqrt(1 - beta2^k) + epsilon).
 *
 *   learning_rate   at least 0; usually 0.001
 *   beta1           at least 0 and below 1; usually 0.9
 *   beta2           at least 0 and below 1; usually 0.999
 *   epsilon         above 0; usually 1e-8
 *   weight_decay    at least 0; 0 for none
 *   out             receives the optimizer
 *
 * Errors: NULL, OUT_OF_RANGE.
 * Threads: any. Since 0.1.
 */
elman_status elman_adam_create(double learning_rate,
                               double beta1,
                               double beta2,
                               double epsilon,
                               double weight_decay,
                               elman_optimizer **out);

/**
 * AdamW (Loshchilov & Hutter 2019): p *= 1 - r weight_decay, then Adam without weight decay.
 *
 * Arguments, errors and threads as with elman_adam_create(); weight_decay is usually 0.01. Since 0.1.
 */
elman_status elman_adamw_create(double learning_rate,
                                double beta1,
                                double beta2,
                                double epsilon,
                                double weight_decay,
                                elman_optimizer **out);

/**
 * Rprop (Riedmiller & Braun 1993), for full batches: every parameter has its own step, multiplied by eta_plus where
 * the gradient has the sign of the last one and by eta_minus where it has the opposite sign, and kept in [min_step,
 * max_step]; then p -= sign(g) step. Where the sign turned, g counts as 0.
 *
 *   learning_rate   the first step, at least 0; usually 0.01
 *   eta_minus       above 0 and below 1; usually 0.5
 *   eta_plus        above 1; usually 1.2
 *   min_step        at least 0; usually 1e-6
 *   max_step        at least min_step; usually 50
 *   out             receives the optimizer
 *
 * Errors: NULL, OUT_OF_RANGE.
 * Threads: any. Since 0.1.
 */
elman_status elman_rprop_create(double learning_rate,
                                double eta_minus,
                                double eta_plus,
                                double min_step,
                                double max_step,
                                elman_optimizer **out);

/**
 * Rprop as a bare sign rule, for full batches: every parameter has its own step, multiplied by eta_plus where the
 * gradient has the sign of the last one (0 before the first) and by eta_minus otherwise; then p -= sign(g) step.
 * Nothing bounds the steps.
 *
 *   learning_rate   the first step, at least 0; usually 0.001
 *   eta_minus       above 0 and below 1; usually 0.5
 *   eta_plus        above 1; usually 1.2
 *   out             receives the optimizer
 *
 * Errors: NULL, OUT_OF_RANGE.
 * Threads: any. Since 0.1.
 */
elman_status elman_rprop_unbounded_create(double learning_rate,
                                          double eta_minus,
                                          double eta_plus,
                                          elman_optimizer **out);

/**
 * Frees an optimizer; of NULL, does nothing.
 *
 * Threads: needs the optimizer to itself. Since 0.1.
 */
void elman_optimizer_destroy(elman_optimizer *optimizer);

/**
 * The learning rate; NAN for NULL.
 *
 * Threads: any number on one optimizer. Since 0.1.
 */
double elman_optimizer_get_learning_rate(const elman_optimizer *optimizer);

/**
 * Changes the learning rate from the next update on. Of the two forms of Rprop it is the first step, so a change has
 * no effect between the first update and elman_optimizer_reset().
 *
 *   learning_rate   at least 0
 *
 * Errors: NULL, OUT_OF_RANGE.
 * Threads: needs the optimizer to itself. Since 0.1.
 */
elman_status elman_optimizer_set_learning_rate(elman_optimizer *optimizer, double learning_rate);

/**
 * Forgets the parameters: the next update is a first one again, of any network.
 *
 * Errors: NULL.
 * Threads: needs the optimizer to itself. Since 0.1.
 */
elman_status elman_optimizer_reset(elman_optimizer *optimizer);

/**
 * Writes an optimizer to a file: its rule and settings, its learning rate and what it remembers of the parameters. With
 * the network's file, training goes on from there with the bits that it would have had without the stop.
 *
 *   path        of the file, ends with 0; UTF-8 on Windows
 *
 * The file is a safetensors file with a tensor [parameter count] for each kind of what is remembered: velocity of SGD;
 * squares of AdaGrad; squares and velocity of RMSprop; mean and squares of Adam and AdamW; last_sign and step of the forms
 * of Rprop. One that is already there is replaced as elman_save() says. The same optimizer gives the same bytes.
 *
 * Errors: NULL, IO; FORMAT where the path is something else than a file.
 * Threads: any number on one optimizer. Since 0.1.
 */
elman_status elman_optimizer_save(const elman_optimizer *optimizer,
                                  const char *path);

/**
 * Reads an optimizer from a file that elman_optimizer_save() has written. It belongs to the caller, who gives it back with
 * elman_optimizer_destroy(). It fits networks of as many parameters as the one that it has updated.
 *
 *   path        of the file, ends with 0; UTF-8 on Windows
 *   out         receives the optimizer
 *
 * Everything in the file is checked before anything of the state's size is allocated; a damaged or hostile file is an
 * error and nothing else.
 *
 * Errors: NULL, IO, OUT_OF_MEMORY; FORMAT where the file is damaged or no optimizer of this library.
 * Threads: any. Since 0.1.
 */
elman_status elman_optimizer_load(const char *path,
                                  elman_optimizer **out);


/*
 * 12. Data sets
 * -------------
 *
 * Sequences of feature vectors, each of its own length, and what a network should answer. A data set is filled once
 * and never changes; it owns copies of all that it was given. It belongs to the caller, who gives it back with
 * elman_dataset_destroy().
 *
 * These functions are the part "datasets" of the library.
 */

/** Targets: nothing. The sequences are only run. */
#define ELMAN_TARGETS_NONE 0
/** Targets: one class per sequence. */
#define ELMAN_TARGETS_CLASSES 1
/** Targets: one class per step. */
#define ELMAN_TARGETS_STEP_CLASSES 2
/** Targets: one vector of numbers per sequence. */
#define ELMAN_TARGETS_VALUES 3
/** Targets: one vector of numbers per step. */
#define ELMAN_TARGETS_STEP_VALUES 4
/** What takes the place of missing values: nothing, they are an error. */
#define ELMAN_MISSING_ERROR 0
/** What takes the place of missing values: the last value before them. */
#define ELMAN_MISSING_CARRY 1

/**
 * What takes the place of missing values: numbers on the line between the values around them, over time where there
 * are time stamps, otherwise over the steps.
 */
#define ELMAN_MISSING_LINEAR 2

/** Sequences and their targets. */
typedef struct elman_dataset elman_dataset;

/**
 * How elman_dataset_read_ts_with() reads. elman_ts_options_init() gives every field its default. Later versions may
 * add fields at the end, and go on to accept the size of this one.
 */
typedef struct {
  /** Size of the struct in bytes, which is its version. */
  size_t size;
  /**
   * An ELMAN_MISSING_ constant; by default ELMAN_MISSING_ERROR. Each series, which is one dimension of one case, is
   * filled by itself: where it starts with missing values, these take the first one that is there, and where it
   * ends with some, the last one.
   */
  uint32_t missing;
  /**
   * 1: steps at the end of a case at which the values of all dimensions are missing are padding, and the sequence
   * ends before them; 0, the default: they are steps as all others are.
   */
  uint32_t trim_padding;
  /**
   * 1: time stamps become one more feature, the last one: the time since the first step of the sequence, in seconds
   * where the stamps are dates, otherwise in their own unit; 0, the default: they only order the values.
   */
  uint32_t time_feature;
  /** 0; so that the struct ends where its last field does. */
  uint32_t reserved;
} elman_ts_options;

/**
 * Makes a data set without targets.
 *
 *   input_size  features of a step, at least 1
 *   x           [total_steps][input_size], finite: the steps of all sequences one after the other, without padding,
 *               where total_steps is the sum of `lengths`
 *   lengths     [sequences], the steps of each sequence, at least 1
 *   sequences   at least 1
 *   out         receives the data set
 *
 * Errors: NULL, ZERO_SIZE, SIZE_OVERFLOW, OUT_OF_RANGE for a length, NOT_FINITE, OUT_OF_MEMORY.
 * Threads: any. Since 0.1.
 */
elman_status elman_dataset_create(size_t input_size,
                                  const float *x,
                                  const size_t *lengths,
                                  size_t sequences,
                                  elman_dataset **out);

/**
 * Makes a data set with classes as targets. They have their numbers for names: a label is the number of the network's
 * output that stands for the class, whatever names the network's classes have.
 *
 *   labels      [sequences] or, per step, [total_steps]: the labels of the first sequence's steps, then of the
 *               second's and so on; each less than `classes`, or ELMAN_NO_LABEL where the sequence or the step has no
 *               class: it counts neither in losses nor in metrics
 *   classes     number of classes, 1 to 2^24
 *   per_step    0: one class per sequence; 1: one class per step
 *
 * The other arguments are those of elman_dataset_create().
 *
 * Errors: those of elman_dataset_create(), UNKNOWN_CONSTANT, and OUT_OF_RANGE for a label; of `classes`, ZERO_SIZE,
 * SIZE_OVERFLOW or OUT_OF_MEMORY, the latter for more than 2^24. Labels are looked at before memory is asked for.
 * Threads: any. Since 0.1.
 */
elman_status elman_dataset_create_classes(size_t input_size,
                                          const float *x,
                                          const size_t *lengths,
                                          size_t sequences,
                                          const size_t *labels,
                                          size_t classes,
                                          uint32_t per_step,
                                          elman_dataset **out);

/**
 * Makes a data set with vectors of numbers as targets.
 *
 *   values      [sequences][size] or, per step, [total_steps][size]: each finite, or NAN where there is no target; that
 *               element counts in no loss
 *   size        numbers in one vector, at least 1
 *   per_step    0: one vector per sequence; 1: one vector per step
 *
 * The other arguments are those of elman_dataset_create().
 *
 * Errors: those of elman_dataset_create(), and UNKNOWN_CONSTANT.
 * Threads: any. Since 0.1.
 */
elman_status elman_dataset_create_values(size_t input_size,
                                         const float *x,
                                         const size_t *lengths,
                                         size_t sequences,
                                         const float *values,
                                         size_t size,
                                         uint32_t per_step,
                                         elman_dataset **out);

/**
 * Gives every field of the options its default.
 *
 *   options     receives the defaults
 *   size        sizeof(elman_ts_options)
 *
 * Errors: NULL; MISMATCH where `size` is that of no version that the library knows.
 * Threads: any. Since 0.1.
 */
elman_status elman_ts_options_init(elman_ts_options *options, size_t size);

/**
 * Reads a file in the .ts format of the UCR and UEA time-series archive as elman_dataset_read_ts_with() does, with the
 * default options: missing values are an error, time stamps order the values.
 *
 *   path        of the file, ends with 0; UTF-8 on Windows
 *   out         receives the data set
 *
 * Errors: those of elman_dataset_read_ts_with().
 * Threads: any. Since 0.1.
 */
elman_status elman_dataset_read_ts(const char *path, elman_dataset **out);

/**
 * Reads a file in the .ts format of the UCR and UEA time-series archive, as aeon and sktime read and write it: one
 * sequence per case, one feature per dimension.
 *
 *   path        of the file, ends with 0; UTF-8 on Windows
 *   options     NULL for the defaults
 *   out         receives the data set
 *
 * Lines that start with '#' or '%' are comments. The header's lines are tags and their values, in any case of letters,
 * up to @data; every line after it is a case, its dimensions joined by ':' and each of them values joined by ','. In
 * the header tags of other formats and lines that are no tags are skipped. Tags and cases are UTF-8; comments need not
 * be.
 *
 * Targets: with "@classLabel true" the last field of a case is its class, with "@targetLabel true" a number (also if
 * both are true); where they are false there are no targets, and a ':' at the end of a case opens no dimension. Where
 * the header has neither, the last field is a class.
 *
 * Classes have the names and the order of @classLabel. A case may write its class in other letters ("up" for "Up") or
 * numbers ("1.0" for "1"). Classes that only the cases name come behind those of the header, sorted by their
 * characters. Where one of these has blanks, which the header cannot show, or the header names no class, the classes
 * are those of the cases alone, sorted.
 *
 * A case whose label is empty, '?' or NaN, unless the header names a class so, has none: its label is ELMAN_NO_LABEL, its
 * target NaN. If no case has a class and the header names none, there are no targets.
 *
 * With "@timeStamps true" each value is "(stamp,value)", and the steps of a case are in the order of the stamps; equal
 * stamps stay in the order of the file. A stamp is a number or a date such as 2004-12-06 23:59:00 (the time may be
 * missing, its seconds may, too, or have parts; '/' and 'T' as separators; 'Z' or an offset such as +01:00 behind it).
 * All dimensions of a case have the same stamps.
 *
 * Missing values are '?' or NaN, and may be filled in or, at the end of a case, trimmed: see the options.
 *
 * Where cases and header contradict each other in what @univariate, @dimensions, @equalLength, @seriesLength and
 * @missing say, the cases are right, and elman_dataset_get_note() says so. The first case decides the number of
 * dimensions.
 *
 * Errors: NULL (path, out), MISMATCH for a size of the options that the library does not know, UNKNOWN_CONSTANT, IO,
 * OUT_OF_MEMORY; PARSE, with the line, where the file breaks the format or has what a data set cannot hold: missing
 * values without an option that fills them, a series of nothing else, dimensions of different lengths or stamps in one
 * case, infinities, numbers beyond float; and where time stamps are to become a feature and there are none.
 * Threads: any. Since 0.1.
 */
elman_status elman_dataset_read_ts_with(const char *path,
                                        const elman_ts_options *options,
                                        elman_dataset **out);

/**
 * Frees a data set; of NULL, does nothing. Pointers into it end.
 *
 * Threads: needs the data set to itself. Since 0.1.
 */
void elman_dataset_destroy(elman_dataset *dataset);

/**
 * Number of sequences, at least 1; 0 for NULL.
 *
 * Threads: any number on one data set. Since 0.1.
 */
size_t elman_dataset_sequence_count(const elman_dataset *dataset);

/**
 * Features of a step; 0 for NULL.
 *
 * Threads: any number on one data set. Since 0.1.
 */
size_t elman_dataset_input_size(const elman_dataset *dataset);

/**
 * Steps of all sequences together; 0 for NULL.
 *
 * Threads: any number on one data set. Since 0.1.
 */
size_t elman_dataset_total_steps(const elman_dataset *dataset);

/**
 * Steps of the longest sequence; 0 for NULL.
 *
 * Threads: any number on one data set. Since 0.1.
 */
size_t elman_dataset_max_length(const elman_dataset *dataset);

/**
 * What the targets are, an ELMAN_TARGETS_ constant; ELMAN_TARGETS_NONE for NULL.
 *
 * Threads: any number on one data set. Since 0.1.
 */
uint32_t elman_dataset_targets(const elman_dataset *dataset);

/**
 * Number of classes; 0 where the targets are no classes, and for NULL.
 *
 * Threads: any number on one data set. Since 0.1.
 */
size_t elman_dataset_class_count(const elman_dataset *dataset);

/**
 * Gives the name of a class.
 *
 *   index       less than elman_dataset_class_count()
 *   name        receives the name; it stays until the data set is destroyed
 *
 * Errors: NULL, OUT_OF_RANGE.
 * Threads: any number on one data set. Since 0.1.
 */
elman_status elman_dataset_class_name(const elman_dataset *dataset, size_t index, const char **name);

/**
 * Number of notes on the file that the data set was read from; 0 without a file, and for NULL.
 *
 * Threads: any number on one data set. Since 0.1.
 */
size_t elman_dataset_get_note_count(const elman_dataset *dataset);

/**
 * Gives a note on the file: what it says of itself that is not so, and how it has been read, with the line, as "line 5:
 * @seriesLength is 127, the cases have 128 steps". The words may change from version to version.
 *
 *   index       less than elman_dataset_get_note_count()
 *   note        receives the note; it stays until the data set is destroyed
 *
 * Errors: NULL, OUT_OF_RANGE.
 * Threads: any number on one data set. Since 0.1.
 */
elman_status elman_dataset_get_note(const elman_dataset *dataset, size_t index, const char **note);

/**
 * Gives a sequence itself.
 *
 *   index       less than elman_dataset_sequence_count()
 *   x           receives the address of the sequence, [length][input_size]; it stays until the data set is destroyed;
 *               may be NULL
 *   length      receives its number of steps; may be NULL
 *
 * Errors: NULL (dataset), OVERLAP, OUT_OF_RANGE.
 * Threads: any number on one data set. Since 0.1.
 */
elman_status elman_dataset_sequence(const elman_dataset *dataset, size_t index, const float **x, size_t *length);

/**
 * Gives the classes that are the targets, themselves: [sequences], or [total_steps] where there is one per step;
 * ELMAN_NO_LABEL where there is none.
 *
 *   labels      receives their address; it stays until the data set is destroyed
 *   count       receives their number; may be NULL
 *
 * Errors: NULL (dataset, labels), OVERLAP, MISMATCH where the targets are no classes.
 * Threads: any number on one data set. Since 0.1.
 */
elman_status elman_dataset_labels(const elman_dataset *dataset, const size_t **labels, size_t *count);

/**
 * Gives the numbers that are the targets, themselves: [sequences][size], or [total_steps][size] where there is one
 * vector per step.
 *
 *   values      receives their address; it stays until the data set is destroyed
 *   count       receives how many numbers that are; may be NULL
 *
 * Errors: NULL (dataset, values), OVERLAP, MISMATCH where the targets are no numbers.
 * Threads: any number on one data set. Since 0.1.
 */
elman_status elman_dataset_values(const elman_dataset *dataset, const float **values, size_t *count);

/**
 * Makes the network standardise its inputs by the mean and the deviation of every feature of a data set, over all
 * steps of all its sequences, as elman_set_standardization() does. A feature that is constant gets deviation 1.
 *
 * Errors: NULL, LENGTH where the data set has another number of features, OUT_OF_MEMORY.
 * Threads: needs the network to itself; any number on one data set. Since 0.1.
 */
elman_status elman_standardize(elman_network *network, const elman_dataset *dataset);


/*
 * 13. Training and measuring on a data set
 * ----------------------------------------
 *
 * elman_fit() does what one would write with elman_forward(), a loss, elman_backward() and elman_update(): epochs of
 * shuffled mini-batches, with a limit on the gradients, a validation set, early stopping, a mean of the parameters over
 * epochs, and callbacks that watch, change the learning rate or the gradients, or stop.
 *
 * Training may be cut into several calls. The network counts its epochs and its forward passes since elman_set_seed(), the
 * order of the sequences follows from the options' seed and the number of the epoch, and dropout from the network's seed
 * and the number of the pass: ten calls of one epoch give the bits of one call of ten. The counts and the seed are saved
 * with the network, and elman_optimizer_save() saves the rest, so that training goes on in another process with the bits
 * that it would have had without the stop.
 *
 * These functions, but for cancellations, are the part "datasets" of the library.
 */

/** Loss: elman_softmax_cross_entropy(), for classes. */
#define ELMAN_LOSS_SOFTMAX_CROSS_ENTROPY 0
/** Loss: elman_mean_squared_error(), for numbers. */
#define ELMAN_LOSS_MEAN_SQUARED_ERROR 1
/** Loss: elman_binary_cross_entropy_with_logits(), for probabilities of independent events. */
#define ELMAN_LOSS_BINARY_CROSS_ENTROPY 2
/** Gradients are used as they come. */
#define ELMAN_CLIP_NONE 0
/** Gradients are limited as by elman_clip_gradients_by_norm(). */
#define ELMAN_CLIP_NORM 1
/** Gradients are limited as by elman_clip_gradients_by_value(). */
#define ELMAN_CLIP_VALUE 2
/** What a callback returns to go on. */
#define ELMAN_CONTINUE 0
/** What a callback returns to end the training. elman_fit() then returns ELMAN_OK. */
#define ELMAN_STOP 1
/** Early stopping watches the loss, which is to fall. */
#define ELMAN_WATCH_LOSS 0
/** Early stopping watches the accuracy, which is to rise; for ELMAN_LOSS_SOFTMAX_CROSS_ENTROPY. */
#define ELMAN_WATCH_ACCURACY 1

/** What another thread ends the training by; see elman_cancellation_set(). */
typedef struct elman_cancellation elman_cancellation;

/** How far elman_fit() has come. Later versions may add fields at the end. */
typedef struct {
  /** The epoch of this call that has ended, from 1. The network counts those of all calls. */
  size_t epoch;
  /** The epochs that there will be. */
  size_t epochs;
  /** The loss over the epoch: of each mini-batch before its update, and with dropout. */
  double loss;
  /** The part of the rows whose largest output was that of their class; NAN where targets are no classes. */
  double accuracy;
  /** The loss on the validation set after the epoch; NAN without one. */
  double validation_loss;
  /** The accuracy on the validation set after the epoch; NAN without one, or where targets are no classes. */
  double validation_accuracy;
  /** The learning rate. The callback may change it for the epochs that follow. */
  double learning_rate;
  /** The best epoch of this call so far; 0 without early stopping. */
  size_t best_epoch;
  /** The loss of the mean of the parameters on the validation set after the epoch; NAN without one, or without `average`. */
  double average_loss;
  /** The accuracy of that mean; NAN also where targets are no classes. */
  double average_accuracy;
  /**
   * The epoch of this call after which the mean was the best one so far or, without a validation set, this one: the network
   * gets that mean when the call ends. 0 without `average`.
   */
  size_t average_epoch;
} elman_progress;

/**
 * Is called after each epoch, on the thread that called elman_fit(), with the `user` pointer of the options, the
 * progress, and the network, which it may save, run or measure through this pointer only. Returns ELMAN_CONTINUE, or
 * anything else to stop. It must return: no longjmp, no C++ exception.
 */
typedef uint32_t (*elman_progress_callback)(void *user, elman_progress *progress, const elman_network *network);

/** How far elman_fit() has come within an epoch. Later versions may add fields at the end. */
typedef struct {
  /** The epoch of this call, from 1. */
  size_t epoch;
  /** The epochs that there will be. */
  size_t epochs;
  /** The mini-batch, from 1. */
  size_t batch;
  /** The mini-batches of the epoch. */
  size_t batches;
  /** The sequences of which the gradients are. */
  size_t sequences;
  /** The first step of these of which the gradients are: 0 but with truncation, which runs one part after the other. */
  size_t first_step;
  /** The number of steps of which the gradients are. */
  size_t steps;
  /** The mean loss before the update; 0 where nothing counts. */
  double loss;
  /**
   * What the loss and the gradients are a mean over: the number of rows or elements that count, weighted where classes
   * have weights; 0 where nothing counts. There is an update where it is above 0 after the callback.
   */
  double weight;
  /** The learning rate of this update and of those that follow. The callback may change it. */
  double learning_rate;
  /**
   * The gradients [gradient_count], in the order of the parameters; 0 where nothing counts. The callback may change
   * them: they are limited after it.
   */
  float *gradients;
  /** Number of gradients. */
  size_t gradient_count;
} elman_batch_progress;

/**
 * Is called before each update, on the thread that called elman_fit(), with the `user` pointer of the options and the
 * progress: for schedules of the learning rate, noise on gradients, or processes that train together, each on its part of
 * the data. Returns ELMAN_CONTINUE, or anything else to stop without this update. It must return: no longjmp, no C++
 * exception. The network must not be used in it.
 *
 * It is called for every mini-batch (with truncation, for every part of one), also where nothing in it counts, so that
 * each process makes as many calls as the others where each has as many mini-batches (and as long ones). To reduce over
 * processes, sum the gradients times their weights and the weights over all of them, divide, and set gradients and weight
 * to that. Processes that start with the same network and optimizer then have the same parameters after each update.
 */
typedef uint32_t (*elman_batch_callback)(void *user, elman_batch_progress *progress);

/**
 * How elman_fit() trains and elman_evaluate() measures. elman_fit_options_init() gives every field its default. Later
 * versions may add fields at the end, and go on to accept the size of this one.
 */
typedef struct {
  /** Size of the struct in bytes, which is its version. */
  size_t size;
  /** An ELMAN_LOSS_ constant; by default ELMAN_LOSS_SOFTMAX_CROSS_ENTROPY. */
  uint32_t loss;
  /** 1, the default: sequences are seen in random order, another one in each epoch; 0: in the order of the data set. */
  uint32_t shuffle;
  /** Seed of the random order; by default 0. */
  uint64_t seed;
  /**
   * The class whose rows do not count, by the number of its output; by default ELMAN_NO_LABEL: all rows that have a
   * class count.
   */
  size_t ignored_label;
  /** How often every sequence is seen, at least 1; by default 30. */
  size_t epochs;
  /** Sequences that are run at a time, for one update, at least 1; by default 16. */
  size_t batch_size;
  /**
   * For truncated backpropagation through time: mini-batches are run this many steps at a time, each time with a
   * backward pass and an update; states are carried on, gradients are not. Needs ELMAN_OUTPUT_ALL, and a network that does
   * not look ahead. 0, the default: whole sequences.
   */
  size_t truncate;
  /** The limit on the gradients of an update, above 0; not read with ELMAN_CLIP_NONE. By default 1. */
  double clip_limit;
  /** An ELMAN_CLIP_ constant; by default ELMAN_CLIP_NONE. */
  uint32_t clip;
  /** What to measure the network on after each epoch; by default NULL: nothing. */
  const elman_dataset *validation;
  /** Is called after each epoch; by default NULL. */
  elman_progress_callback callback;
  /** Is handed to the callbacks; by default NULL. */
  void *user;
  /**
   * [output size of the network], in the order of the outputs: what the rows of each class count for in the loss, as the
   * weights of elman_softmax_cross_entropy_weighted; NULL, the default: 1. For ELMAN_LOSS_SOFTMAX_CROSS_ENTROPY alone.
   */
  const float *class_weights;
  /** Is called before each update; by default NULL. */
  elman_batch_callback batch_callback;
  /**
   * Early stopping: training ends after so many epochs in a row that are no better than the best one before them. The
   * network then has the parameters from after the best epoch of the call, unless it gets a mean; also where the epochs run
   * out or a callback stops, but not after an error. The optimizer keeps the state of the last update. 0, the default: no
   * early stopping.
   */
  size_t patience;
  /** An epoch is better where it is by more than this, which is at least 0; by default 0. Not read without patience. */
  double min_delta;
  /**
   * What is to get better, an ELMAN_WATCH_ constant: on the validation set or, without one, over the epoch's training. By
   * default ELMAN_WATCH_LOSS. Not read without patience.
   */
  uint32_t watch;
  /** Ends the training when another thread sets it; by default NULL. */
  const elman_cancellation *cancel;
  /**
   * 1: the network gets a mean of its parameters over the epochs of the call, in which later ones count for more: epoch t
   * for t (t + 1) ... (t + 7), so that about the last ninth of them makes it. It is the mean after the epoch at which its
   * loss on the validation set was least or, without such a set, after the last epoch that has ended. The network has it
   * also where a callback or early stopping ends the call, but not after an error; early stopping itself looks at the
   * network as it is trained. A later call trains from there, and begins a new mean. It takes another pass over the
   * validation set after each epoch, and 12 bytes for each parameter. 0, the default: no mean.
   */
  uint32_t average;
  /** 0; so that the struct ends where its last field does. */
  uint32_t reserved;
} elman_fit_options;

/**
 * Gives every field of the options its default.
 *
 *   options     receives the defaults
 *   size        sizeof(elman_fit_options)
 *
 * Errors: NULL; MISMATCH where `size` is that of no version that the library knows.
 * Threads: any. Since 0.1.
 */
elman_status elman_fit_options_init(elman_fit_options *options, size_t size);

/**
 * Trains a network on a data set. Gradients that the network has gathered before are dropped, and so is what
 * elman_forward() has kept. A mini-batch in which nothing counts updates nothing. After the first epoch nothing is
 * allocated. Besides what training takes, the call holds a second copy of the parameters, with patience a third, and with
 * average 12 bytes for each of them.
 *
 * Where the classes of the data set have names, as those of files have, the first call gives them to a network whose
 * classes have none: see elman_set_class_names(). From then on data sets, and at once the validation set, may have the names
 * in any order and need not have all of them. Data sets whose classes are numbers go by the numbers of the outputs.
 *
 *   optimizer   of this network, or new
 *   options     NULL for the defaults
 *
 * An epoch that was not ended, because it was cancelled, stopped or failed, does not count: the next call begins it anew.
 *
 * Errors, before anything changes: NULL (network, dataset, optimizer), UNKNOWN_CONSTANT, ZERO_SIZE; MISMATCH where
 * data set, validation set, network, loss and options do not fit each other, and for a class of a name that the network
 * does not know; OUT_OF_RANGE for the limit on the gradients, for min_delta, for class weights that are none, and for a
 * target that the loss can't take. While it trains: NOT_FINITE where training explodes; the network then has the last
 * parameters that were all finite. Either gradients have become infinite or not a number: they are left to look at. Or an
 * update would have made a parameter so: the optimizer has taken that step in and should be reset. CANCELLED, with the
 * parameters of the last update; OUT_OF_RANGE for a learning rate from a callback that is none; MISMATCH for an optimizer of
 * another network; OUT_OF_MEMORY.
 * Threads: needs the network and the optimizer to itself; any number on one data set. Since 0.1.
 */
elman_status elman_fit(elman_network *network,
                       const elman_dataset *dataset,
                       elman_optimizer *optimizer,
                       const elman_fit_options *options);

/**
 * Creates what one thread ends the training of another by: its address goes into the `cancel` field of the options of any
 * number of calls. It belongs to the caller, who gives it back with elman_cancellation_destroy().
 *
 *   out         receives the cancellation, which is not set
 *
 * Errors: NULL.
 * Threads: any. Since 0.1.
 */
elman_status elman_cancellation_create(elman_cancellation **out);

/**
 * Ends the training, or no longer. elman_fit() looks before each mini-batch, before each part of one with truncation, and
 * while it measures the validation set; it then returns CANCELLED, and the network has the parameters of the last update.
 * One that is set before the call ends it at once. This allocates nothing and takes no lock.
 *
 *   cancelled   1 to end, 0 to let further calls train
 *
 * Errors: NULL, UNKNOWN_CONSTANT.
 * Threads: any number on one cancellation, also while elman_fit() has it. Since 0.1.
 */
elman_status elman_cancellation_set(const elman_cancellation *cancellation,
                                    uint32_t cancelled);

/**
 * Frees a cancellation; of NULL, does nothing. No call may have it.
 *
 * Threads: needs the cancellation to itself. Since 0.1.
 */
void elman_cancellation_destroy(elman_cancellation *cancellation);

/**
 * Measures a network on a data set, without dropout.
 *
 * Where both have names for their classes, these are compared by name: the data set may have them in another order and need
 * not have all of them. Otherwise the labels are the numbers of the outputs.
 *
 *   options     its loss, ignored_label, class_weights and batch_size; NULL for the defaults
 *   loss        receives the loss: the mean over all rows or elements that count; may be NULL
 *   accuracy    receives the part of the rows that count whose largest output is that of their class, whatever its weight;
 *               NAN where no row has a class; may be NULL
 *   confusion   receives how often a row of the class that the first index names was taken for the class that the
 *               second one names, [n][n] where n is elman_output_size(), in the order of the outputs; not written where
 *               the targets are no classes; may be NULL
 *
 * Errors: NULL (network, dataset), OVERLAP, SIZE_OVERFLOW, UNKNOWN_CONSTANT, ZERO_SIZE, OUT_OF_MEMORY;
 * MISMATCH where data set, network and loss do not fit each other, and for a class of a name that the network does not know;
 * OUT_OF_RANGE for class weights that are none, and for a target that the loss can't take.
 * Threads: any number on one network and one data set. Since 0.1.
 */
elman_status elman_evaluate(const elman_network *network,
                            const elman_dataset *dataset,
                            const elman_fit_options *options,
                            double *loss,
                            double *accuracy,
                            size_t *confusion);

/**
 * Runs a network over a data set, without dropout.
 *
 *   batch_size  sequences that are run at a time, at least 1
 *   y           receives the outputs, [sequences][output_size] or, with ELMAN_OUTPUT_ALL, [total_steps][output_size]:
 *               the steps of one sequence after those of the other, without padding; in the order of the network's outputs,
 *               whatever the order of the data set's classes
 *
 * Errors: NULL, ZERO_SIZE, SIZE_OVERFLOW, OUT_OF_MEMORY; MISMATCH where the data set has another number of
 * features than the network.
 * Threads: any number on one network and one data set. Since 0.1.
 */
elman_status elman_predict_dataset(const elman_network *network,
                                   const elman_dataset *dataset,
                                   size_t batch_size,
                                   float *y);


/*
 * 14. Your own training loop: forward, backward, update
 * -----------------------------------------------------
 *
 * One step of training is elman_forward(), a loss, elman_backward(), elman_update(). elman_backward() adds to the
 * gradients, so a large batch can be cut into several. It takes the gradient of the final states and gives that of the
 * first ones, so a long sequence can be cut into pieces; or hand the states from piece to piece and drop their
 * gradients: that is truncated backpropagation through time.
 */

/**
 * Runs a batch as elman_predict() does, but with dropout, recurrent dropout and zoneout, and keeps what elman_backward()
 * needs.
 *
 * It keeps input_size numbers and the units of all layers for every step of every sequence; of gated layers what the section
 * on recurrent layers says. elman_backward() needs room for gradients besides, as a rule no more than 0.3 times as much. The
 * room of the largest batch is the network's until elman_destroy().
 *
 * Arguments and errors as with elman_predict(). What an earlier call has kept is dropped.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_forward(elman_network *network,
                           const float *x,
                           size_t batch,
                           size_t steps,
                           const size_t *lengths,
                           const float *state_in,
                           float *y,
                           float *state_out);

/**
 * Goes back through the last elman_forward() and adds the gradients of the parameters to those that are there: sums
 * over the batch, not means (a mean is the business of the loss). Layers that elman_set_trainable() has frozen get none.
 *
 *   dy          gradient of the outputs, in the shape of `y`; what lies behind the end of a sequence is not read; NULL
 *               for zeros
 *   dstate_out  gradient of the final states, [batch][state_size]; NULL for zeros
 *   dx          receives the gradient of the inputs, in the shape of `x`, 0 behind the end of a sequence; may be NULL,
 *               which saves its computation
 *   dstate_in   receives the gradient of the states that the sequences started from, [batch][state_size]; may be NULL
 *
 * `dx` and `dstate_in` must not overlap each other or an input. Gradients have the same bits whatever the number of
 * threads. A second call goes through the same forward pass again.
 *
 * Errors: NULL (network), OVERLAP, OUT_OF_MEMORY; CALL_ORDER where there was no forward pass or the network
 * has changed since.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_backward(elman_network *network,
                            const float *dy,
                            const float *dstate_out,
                            float *dx,
                            float *dstate_in);

/**
 * Lets the optimizer apply the gradients to the parameters, except those of frozen layers, then sets them to 0.
 *
 * Errors: NULL, OUT_OF_MEMORY; MISMATCH where the optimizer has served a network with another number of parameters.
 * Threads: needs the network and the optimizer to itself. Since 0.1.
 */
elman_status elman_update(elman_network *network, elman_optimizer *optimizer);


/*
 * 15. Losses
 * ----------
 *
 * How far outputs are from what they should be, and the gradient of that, for elman_backward(). Every loss is a mean
 * over the rows or elements that count, and so is its gradient. Sums are taken in double, in an order that depends on
 * the sizes alone. The functions whose names end in _padded are for ELMAN_OUTPUT_ALL: of each sequence only the first
 * `lengths` steps count; the others are not read, and their gradient is 0. Nor does a row count whose label is
 * ELMAN_NO_LABEL, or an element whose target is NAN. That is also the way for outputs that are time-major
 * (elman_set_time_major()), which the _padded functions don't take: labels and targets then lie as the outputs do, and
 * those behind the end of a sequence are none. A network gives 0 for a sequence of length 0: with ELMAN_OUTPUT_LAST that is
 * a row like any other, which counts unless its label or target says that it does not.
 */

/** The label of a row that has none, and does not count. */
#define ELMAN_NO_LABEL SIZE_MAX

/**
 * The probabilities of the classes: exp(z_k) / sum_j exp(z_j) for each row z of the logits, of any size.
 *
 *   logits          [rows][classes]
 *   rows            may be 0
 *   classes         at least 1
 *   probabilities   receives them, [rows][classes]; must not overlap `logits`
 *
 * Errors: NULL, OVERLAP, ZERO_SIZE, SIZE_OVERFLOW.
 * Threads: any. Since 0.1.
 */
elman_status elman_softmax(const float *logits, size_t rows, size_t classes, float *probabilities);

/**
 * The mean of -ln p_label, where p is the softmax of the logits.
 *
 *   logits      [rows][classes], of any size
 *   labels      [rows], each less than `classes`, or ELMAN_NO_LABEL where the row does not count
 *   rows        may be 0
 *   classes     at least 1
 *   loss        receives the loss, 0 where nothing counts; may be NULL
 *   dlogits     receives its gradient, [rows][classes]; must not overlap another argument; may be NULL
 *
 * Errors: NULL (logits, labels), OVERLAP, ZERO_SIZE, SIZE_OVERFLOW, OUT_OF_RANGE for a label.
 * Threads: any. Since 0.1.
 */
elman_status elman_softmax_cross_entropy(const float *logits,
                                         const size_t *labels,
                                         size_t rows,
                                         size_t classes,
                                         double *loss,
                                         float *dlogits);

/**
 * As elman_softmax_cross_entropy(), for sequences of different lengths.
 *
 *   logits      [batch][steps][classes]
 *   labels      [batch][steps], each less than `classes`, or ELMAN_NO_LABEL
 *   batch       at least 1
 *   steps       at least 1
 *   lengths     [batch], each 0 to `steps`
 *   classes     at least 1
 *   loss        receives the loss; may be NULL
 *   dlogits     receives its gradient, [batch][steps][classes]; must not overlap another argument; may be NULL
 *
 * Errors: as there, and NULL (lengths), OUT_OF_RANGE for a length.
 * Threads: any. Since 0.1.
 */
elman_status elman_softmax_cross_entropy_padded(const float *logits,
                                                const size_t *labels,
                                                size_t batch,
                                                size_t steps,
                                                const size_t *lengths,
                                                size_t classes,
                                                double *loss,
                                                float *dlogits);

/**
 * As elman_softmax_cross_entropy(), with a weight for each class, as PyTorch's CrossEntropyLoss(weight) has them: the sum of
 * w_label * -ln p_label, divided by the sum of w_label, over the rows that count; and the gradient of that.
 *
 *   logits      [rows][classes], of any size
 *   labels      [rows], each less than `classes`, or ELMAN_NO_LABEL where the row does not count
 *   rows        may be 0
 *   classes     at least 1
 *   weights     [classes], each finite and at least 0: rows of a class of weight 0 do not count; NULL: all are 1
 *   loss        receives the loss, 0 where nothing counts; may be NULL
 *   dlogits     receives its gradient, [rows][classes]; must not overlap another argument; may be NULL
 *
 * Errors: NULL (logits, labels), OVERLAP, ZERO_SIZE, SIZE_OVERFLOW, OUT_OF_RANGE for a label and for a weight.
 * Threads: any. Since 0.1.
 */
elman_status elman_softmax_cross_entropy_weighted(const float *logits,
                                                  const size_t *labels,
                                                  size_t rows,
                                                  size_t classes,
                                                  const float *weights,
                                                  double *loss,
                                                  float *dlogits);

/**
 * As elman_softmax_cross_entropy_weighted(), for sequences of different lengths.
 *
 *   logits      [batch][steps][classes]
 *   labels      [batch][steps], each less than `classes`, or ELMAN_NO_LABEL
 *   batch       at least 1
 *   steps       at least 1
 *   lengths     [batch], each 0 to `steps`
 *   classes     at least 1
 *   weights     [classes], each finite and at least 0; NULL: all are 1
 *   loss        receives the loss; may be NULL
 *   dlogits     receives its gradient, [batch][steps][classes]; must not overlap another argument; may be NULL
 *
 * Errors: as there, and NULL (lengths), OUT_OF_RANGE for a length.
 * Threads: any. Since 0.1.
 */
elman_status elman_softmax_cross_entropy_weighted_padded(const float *logits,
                                                         const size_t *labels,
                                                         size_t batch,
                                                         size_t steps,
                                                         const size_t *lengths,
                                                         size_t classes,
                                                         const float *weights,
                                                         double *loss,
                                                         float *dlogits);

/**
 * The mean of (y - target)^2.
 *
 *   y           [count]
 *   targets     [count], NAN where there is none: that element does not count
 *   count       number of elements, of any number of rows; may be 0
 *   loss        receives the loss, 0 where there are no elements; may be NULL
 *   dy          receives its gradient, [count]; must not overlap another argument; may be NULL
 *
 * Errors: NULL (y, targets), OVERLAP, SIZE_OVERFLOW.
 * Threads: any. Since 0.1.
 */
elman_status elman_mean_squared_error(const float *y, const float *targets, size_t count, double *loss, float *dy);

/**
 * As elman_mean_squared_error(), for sequences of different lengths.
 *
 *   y           [batch][steps][size]
 *   targets     [batch][steps][size], NAN where there is none
 *   batch       at least 1
 *   steps       at least 1
 *   lengths     [batch], each 0 to `steps`
 *   size        elements of a step
 *   loss        receives the loss; may be NULL
 *   dy          receives its gradient, [batch][steps][size]; must not overlap another argument; may be NULL
 *
 * Errors: as there, and NULL (lengths), ZERO_SIZE, OUT_OF_RANGE for a length.
 * Threads: any. Since 0.1.
 */
elman_status elman_mean_squared_error_padded(const float *y,
                                             const float *targets,
                                             size_t batch,
                                             size_t steps,
                                             const size_t *lengths,
                                             size_t size,
                                             double *loss,
                                             float *dy);

/**
 * The mean of -t ln s(z) - (1 - t) ln(1 - s(z)), where z are the logits, t the targets and s is the logistic function:
 * for probabilities of independent events.
 *
 *   logits      [count], of any size
 *   targets     [count], each from 0 to 1, or NAN where there is none: that element does not count
 *   count       number of elements, of any number of rows; may be 0
 *   loss        receives the loss, 0 where there are no elements; may be NULL
 *   dlogits     receives its gradient, [count]; must not overlap another argument; may be NULL
 *
 * Errors: NULL (logits, targets), OVERLAP, SIZE_OVERFLOW, OUT_OF_RANGE for a target.
 * Threads: any. Since 0.1.
 */
elman_status elman_binary_cross_entropy_with_logits(const float *logits,
                                                    const float *targets,
                                                    size_t count,
                                                    double *loss,
                                                    float *dlogits);

/**
 * As elman_binary_cross_entropy_with_logits(), for sequences of different lengths.
 *
 *   logits      [batch][steps][size]
 *   targets     [batch][steps][size], each from 0 to 1, or NAN where there is none
 *   batch       at least 1
 *   steps       at least 1
 *   lengths     [batch], each 0 to `steps`
 *   size        elements of a step
 *   loss        receives the loss; may be NULL
 *   dlogits     receives its gradient, [batch][steps][size]; must not overlap another argument; may be NULL
 *
 * Errors: as there, and NULL (lengths), ZERO_SIZE, OUT_OF_RANGE for a length.
 * Threads: any. Since 0.1.
 */
elman_status elman_binary_cross_entropy_with_logits_padded(const float *logits,
                                                           const float *targets,
                                                           size_t batch,
                                                           size_t steps,
                                                           const size_t *lengths,
                                                           size_t size,
                                                           double *loss,
                                                           float *dlogits);


/*
 * 16. CTC: labels without places in time
 * --------------------------------------
 *
 * The loss of connectionist temporal classification (Graves et al. 2006), for networks with ELMAN_OUTPUT_ALL and sequences
 * whose labels are known, in their order, but not at which steps they are. Each step is one class, or the blank, which
 * stands for none. The steps of a sequence spell what is left once equal classes that follow each other have become one, and
 * then the blanks are left out: with the blank -, both -aa-a and a--aa spell aa. The loss is -ln of the probability that the
 * steps spell the labels, over all ways in which they can. So a sequence needs a step for each label, and one more between
 * two that are equal.
 *
 * A training step, with a workspace that keeps room from call to call, and what the network then reads:
 *
 *     elman_forward(network, x, batch, steps, lengths, NULL, y, NULL);
 *     elman_ctc(y, labels, label_lengths, batch, steps, lengths, classes, NULL, workspace, &loss, dy);
 *     elman_backward(network, dy, NULL, NULL, NULL);
 *     elman_update(network, optimizer);
 *
 *     elman_predict(network, x, batch, steps, lengths, NULL, y, NULL);
 *     elman_ctc_greedy_decode(y, batch, steps, lengths, classes, 0, read, read_lengths);
 */

/** The loss of each sequence is divided by the number of its labels, or 1 if it has none; the mean of that over the batch. */
#define ELMAN_CTC_MEAN 0
/** The sum of the losses of the sequences. */
#define ELMAN_CTC_SUM 1

/** Room in which elman_ctc() works. */
typedef struct elman_ctc_workspace elman_ctc_workspace;

/**
 * How elman_ctc() works. elman_ctc_options_init() gives every field its default, which are PyTorch's. Later versions may add
 * fields at the end, and go on to accept the size of this one.
 */
typedef struct {
  /** Size of the struct in bytes, which is its version. */
  size_t size;
  /** The class that is the blank, less than the number of classes; by default 0. */
  size_t blank;
  /** ELMAN_CTC_MEAN, the default, or ELMAN_CTC_SUM. */
  uint32_t reduction;
  /**
   * 1: a sequence whose loss is infinite counts as one of loss 0, with a gradient of 0; 0, the default: a sequence that
   * is too short for its labels is an error.
   */
  uint32_t zero_infinity;
} elman_ctc_options;

/**
 * Gives every field of the options its default.
 *
 *   options     receives the defaults
 *   size        sizeof(elman_ctc_options)
 *
 * Errors: NULL; MISMATCH where `size` is that of no version that the library knows.
 * Threads: any. Since 0.1.
 */
elman_status elman_ctc_options_init(elman_ctc_options *options, size_t size);

/**
 * A workspace without any room yet. It belongs to the caller, who gives it back with elman_ctc_workspace_destroy().
 *
 *   out         receives the workspace
 *
 * Errors: NULL.
 * Threads: any. Since 0.1.
 */
elman_status elman_ctc_workspace_create(elman_ctc_workspace **out);

/**
 * Frees a workspace; of NULL, does nothing.
 *
 * Threads: needs the workspace to itself. Since 0.1.
 */
void elman_ctc_workspace_destroy(elman_ctc_workspace *workspace);

/**
 * The CTC loss of a batch.
 *
 *   logits         [batch][steps][classes], of any size
 *   labels         the labels of all sequences, one sequence after the other; each less than `classes`, and not the blank
 *   label_lengths  [batch], the number of labels of each sequence, which may be 0; their sum is the number of labels
 *   batch          at least 1
 *   steps          at least 1
 *   lengths        [batch], each 0 to `steps`: of each sequence only so many steps count, the others are not read; NULL: all
 *   classes        at least 1, the blank among them
 *   options        NULL for the defaults: the blank is class 0, the loss a mean
 *   workspace      any, which is used for this call alone; the first call makes the room that it needs, and one of the same
 *                  or a smaller shape allocates nothing; NULL: every call allocates
 *   loss           receives the loss; may be NULL
 *   dlogits        receives its gradient, [batch][steps][classes], 0 at steps that do not count; must not overlap another
 *                  argument; may be NULL
 *
 * The sums over all alignments are taken in double, of each sequence by itself. A NAN at a step that counts makes the loss and
 * the gradient of that sequence NAN. Where logits of minus infinity make the labels impossible, the loss is infinite and the
 * gradient of that sequence NAN, unless `zero_infinity` is set.
 *
 * Errors: NULL (logits, labels, label_lengths), OVERLAP, ZERO_SIZE, SIZE_OVERFLOW, OUT_OF_MEMORY; OUT_OF_RANGE for a length, a
 * label, the blank, and for a sequence that is too short for its labels, unless `zero_infinity` is set; UNKNOWN_CONSTANT for
 * `reduction` and `zero_infinity`; MISMATCH for the size of the options.
 * Threads: needs the workspace to itself. Since 0.1.
 */
elman_status elman_ctc(const float *logits,
                       const size_t *labels,
                       const size_t *label_lengths,
                       size_t batch,
                       size_t steps,
                       const size_t *lengths,
                       size_t classes,
                       const elman_ctc_options *options,
                       elman_ctc_workspace *workspace,
                       double *loss,
                       float *dlogits);

/**
 * What the likeliest class of each step spells, for each sequence: the best path (Graves et al. 2006), which is not always the
 * likeliest labelling. Of classes that are equally likely it takes the first.
 *
 *   logits         [batch][steps][classes], or their softmax
 *   batch          at least 1
 *   steps          at least 1
 *   lengths        [batch], each 0 to `steps`: of each sequence only so many steps count; NULL: all
 *   classes        at least 1, the blank among them
 *   blank          the class that is the blank, less than `classes`
 *   labels         receives the labels of all sequences, one sequence after the other, as elman_ctc() takes them,
 *                  [batch * steps]; what lies behind them stays as it was; must not overlap another argument
 *   label_lengths  receives the number of labels of each sequence, [batch]; must not overlap another argument
 *
 * Errors: NULL (logits, labels, label_lengths), OVERLAP, ZERO_SIZE, SIZE_OVERFLOW; OUT_OF_RANGE for a length and the blank.
 * Threads: any. Since 0.1.
 */
elman_status elman_ctc_greedy_decode(const float *logits,
                                     size_t batch,
                                     size_t steps,
                                     const size_t *lengths,
                                     size_t classes,
                                     size_t blank,
                                     size_t *labels,
                                     size_t *label_lengths);


/*
 * 17. Parameters and gradients
 * ----------------------------
 *
 * Both are flat, in layer order: W_x [input][units], W_h [units][units], b [units] of a recurrent layer; W
 * [input][units], b [units] of a dense one; row-major, in the layout of the equations. The section on recurrent layers has
 * those of GRU, LSTM and two directions; elman_get_tensor_info() tells where each tensor lies.
 */

/**
 * Number of parameters, and of gradients; 0 for NULL.
 *
 * Threads: any number on one network. Since 0.1.
 */
size_t elman_parameter_count(const elman_network *network);

/**
 * Copies all parameters.
 *
 *   parameters  receives them, [count]
 *   count       elman_parameter_count()
 *
 * Errors: NULL, LENGTH, SIZE_OVERFLOW.
 * Threads: any number on one network. Since 0.1.
 */
elman_status elman_get_parameters(const elman_network *network, float *parameters, size_t count);

/**
 * Replaces all parameters.
 *
 *   parameters  [count]
 *   count       elman_parameter_count()
 *
 * Sessions go on with the parameters that they have.
 *
 * Errors: NULL, LENGTH, SIZE_OVERFLOW, OUT_OF_MEMORY.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_set_parameters(elman_network *network, const float *parameters, size_t count);

/**
 * Gives the gradients themselves, to look at, scale, or reduce over processes in place (MPI_Allreduce, NCCL, Gloo):
 * they are one block.
 *
 *   values      receives the address of the block, [count], aligned to 64 bytes
 *   count       receives elman_parameter_count(); may be NULL
 *
 * The block stays where it is until a layer is added or the network is destroyed. Do not touch it while another call
 * works on the network, and do not pass it as an argument.
 *
 * Errors: NULL (network, values), OVERLAP.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_gradients(elman_network *network, float **values, size_t *count);

/**
 * Sets all gradients to 0.
 *
 * Errors: NULL.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_clear_gradients(elman_network *network);

/**
 * Scales all gradients so that their Euclidean norm is at most `max_norm` (Pascanu et al. 2013).
 *
 *   max_norm    above 0; with INFINITY the call only measures
 *   norm        receives the norm that they had before; may be NULL
 *
 * Errors: NULL (network), OUT_OF_RANGE; NOT_FINITE where the norm is infinite or not a number, which is how
 * an exploded backward pass shows.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_clip_gradients_by_norm(elman_network *network, double max_norm, double *norm);

/**
 * Moves every gradient to the nearest value in [-limit, limit].
 *
 *   limit       above 0
 *
 * Errors: NULL, OUT_OF_RANGE.
 * Threads: needs the network to itself. Since 0.1.
 */
elman_status elman_clip_gradients_by_value(elman_network *network, double limit);


/*
 * 18. Checking gradients
 * ----------------------
 *
 * This is the part "f64" of the library.
 */

/**
 * Compares the gradients of elman_backward() with central difference quotients: those of every parameter that is not frozen, every input
 * and every start state. The function whose gradients they are is sum(dy * y) + sum(dstate_out * state_out).
 *
 *   x, batch, steps, lengths, state_in      as with elman_predict()
 *   dy              gradient of the outputs, in the shape of `y`; NULL for zeros
 *   dstate_out      gradient of the final states, [batch][state_size]; NULL for zeros
 *   relative_error  receives the largest relative error; below some 1e-6 the backward pass is right
 *
 * It runs on a copy in double, so the network stays as it is, and takes two forward passes for each gradient: use a
 * small batch.
 *
 * Errors: those of elman_predict(), and NULL (relative_error); ZERO_SIZE also where there is no such parameter, input or
 * state.
 * Threads: any number on one network. Since 0.1.
 */
elman_status elman_gradient_check(const elman_network *network,
                                  const float *x,
                                  size_t batch,
                                  size_t steps,
                                  const size_t *lengths,
                                  const float *state_in,
                                  const float *dy,
                                  const float *dstate_out,
                                  double *relative_error);


/*
 * 19. Calls that bring their message along
 * ----------------------------------------
 *
 * elman_last_error() answers the thread that made the call. Some hosts do not stay on one: a goroutine, an asynchronous
 * call of Node's, a task of a thread pool may go on on another thread before it asks, and then gets no message, or that
 * of another call. There, elman_call() makes the call and copies its message on the same thread. Where a call and the
 * question for its message are made on one thread (C and C++, Python, a goroutine after runtime.LockOSThread()), or
 * where the status is enough, call the functions themselves.
 */

/**
 * Calls the function of that name and, where that fails, gives the message of that very call.
 *
 *   function      the name of a function of this header that returns an elman_status, or of a _destroy function; ends
 *                 with 0
 *   arguments     [count], the function's arguments in their order: pointers, size_t, uint32_t and uint64_t by their value,
 *                 double by its bits, float by its bits in the low 32 of which the others are 0
 *   count         the number of the function's arguments
 *   message       receives the message, which ends with 0 and is cut between characters where it does not fit, or an
 *                 empty one where the call succeeds, [message_size]; may be NULL
 *   message_size  a message is no longer than 1024 bytes, its 0 among them; of 0 bytes nothing is written
 *
 * The call is the same as without this function, and asks the same of its arguments; none of them may point into
 * `arguments` or `message`. The status is that of the function, or of a fault of this one, which then calls nothing.
 *
 *     uint64_t arguments[] = {(uintptr_t)network, 8, ELMAN_TANH};
 *     char message[1024];
 *     if (elman_call("elman_add_rnn", arguments, 3, message, sizeof message) != ELMAN_OK)
 *         puts(message);
 *
 * Errors: those of the function; NULL (function, arguments); UNKNOWN_CONSTANT where no such function has the name; LENGTH
 * where it has not `count` arguments; OUT_OF_RANGE where one of them does not fit its type; OVERLAP.
 * Threads: as with the function; any number may call at the same time. Since 0.1.
 */
elman_status elman_call(const char *function,
                        const uint64_t *arguments,
                        size_t count,
                        char *message,
                        size_t message_size);

#ifdef __cplusplus
}
#endif

#endif
