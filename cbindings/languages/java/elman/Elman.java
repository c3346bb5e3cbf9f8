package elman;

import com.sun.jna.Library;
import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Pointer;
import com.sun.jna.Structure;
import com.sun.jna.Structure.FieldOrder;
import com.sun.jna.ptr.DoubleByReference;
import com.sun.jna.ptr.PointerByReference;
import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.util.Arrays;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.ToIntFunction;

/**
 * Recurrent networks on the CPU, through the C library elman and JNA, on 64-bit platforms. What each call does is in elman.h,
 * by a similar name.
 *
 * <p>Different objects may be used by different threads at the same time. predict, evaluate, save, parameters and new Session
 * may be called by any number of threads on one network; every other method needs its object to itself.
 */
public final class Elman {
    /** An activation: the hyperbolic tangent. Others are numbers of elman.h. */
    public static final int TANH = 0;
    /** An activation: max(x, 0). */
    public static final int RELU = 1;
    /** An activation: the logistic function. */
    public static final int SIGMOID = 2;
    /** An activation: x itself. */
    public static final int LINEAR = 3;

    /** An error: a pointer is NULL, that of a closed object for one. Others are the ELMAN_ERROR_ numbers of elman.h. */
    public static final int ERROR_NULL = 1;
    /** An error: a size is 0. */
    public static final int ERROR_ZERO_SIZE = 4;
    /** An error: a wrong number of elements. */
    public static final int ERROR_LENGTH = 6;
    /** An error: a number out of its range. */
    public static final int ERROR_OUT_OF_RANGE = 7;
    /** An error: a file could not be opened, read or written. */
    public static final int ERROR_IO = 15;
    /** The label of what has no class. */
    public static final int NO_LABEL = -1;

    private static final Cleaner CLEANER = Cleaner.create();

    private Elman() {}

    /** The functions of elman.h, in its types: size_t is long, and the pointers to objects are Pointer. */
    private static final class C {
        static {
            Native.register(C.class, NativeLibrary.getInstance("elman", Map.of(Library.OPTION_STRING_ENCODING, "UTF-8")));
            if (!elman_version().startsWith("0.1.")) {
                throw new UnsatisfiedLinkError("libelman has version " + elman_version() + ", these classes are for 0.1");
            }
        }

        static native String elman_version();
        static native String elman_last_error();
        static native int elman_create(long inputSize, PointerByReference out);
        static native int elman_load(String path, PointerByReference out);
        static native int elman_import(String path, Pointer options, PointerByReference out);
        static native int elman_save(Pointer network, String path);
        static native void elman_destroy(Pointer network);
        static native int elman_set_seed(Pointer network, long seed);
        static native int elman_set_threads(Pointer network, long threads);
        static native int elman_set_output(Pointer network, int mode);
        static native int elman_output(Pointer network);
        static native int elman_initialize(Pointer network, int scheme, float scale, long seed);
        static native int elman_add_rnn(Pointer network, long units, int activation);
        static native int elman_add_gru(Pointer network, long units, Pointer options);
        static native int elman_add_lstm(Pointer network, long units, Pointer options);
        static native int elman_add_dense(Pointer network, long units, int activation);
        static native int elman_add_dropout(Pointer network, float rate);
        static native long elman_input_size(Pointer network);
        static native long elman_output_size(Pointer network);
        static native long elman_parameter_count(Pointer network);
        static native int elman_get_parameters(Pointer network, float[] parameters, long count);
        static native int elman_set_parameters(Pointer network, float[] parameters, long count);
        static native int elman_predict(
                Pointer network, float[] x, long batch, long steps, long[] lengths, float[] stateIn, float[] y,
                float[] stateOut);
        static native int elman_forward(
                Pointer network, float[] x, long batch, long steps, long[] lengths, float[] stateIn, float[] y,
                float[] stateOut);
        static native int elman_backward(Pointer network, float[] dy, float[] dstateOut, float[] dx, float[] dstateIn);
        static native int elman_update(Pointer network, Pointer optimizer);
        static native int elman_fit_options_init(FitOptions options, long size);
        static native int elman_fit(Pointer network, Pointer dataset, Pointer optimizer, FitOptions options);
        static native int elman_evaluate(
                Pointer network, Pointer dataset, FitOptions options, DoubleByReference loss, DoubleByReference accuracy,
                Pointer confusion);
        static native int elman_dataset_create_classes(
                long inputSize, float[] x, long[] lengths, long sequences, long[] labels, long classes, int perStep,
                PointerByReference out);
        static native int elman_dataset_create_values(
                long inputSize, float[] x, long[] lengths, long sequences, float[] values, long size, int perStep,
                PointerByReference out);
        static native void elman_dataset_destroy(Pointer dataset);
        static native int elman_sgd_create(
                double learningRate, double momentum, int nesterov, double weightDecay, PointerByReference out);
        static native int elman_adam_create(
                double learningRate, double beta1, double beta2, double epsilon, double weightDecay, PointerByReference out);
        static native void elman_optimizer_destroy(Pointer optimizer);
        static native int elman_softmax_cross_entropy(
                float[] logits, long[] labels, long rows, long classes, DoubleByReference loss, float[] dlogits);
        static native int elman_mean_squared_error(
                float[] y, float[] targets, long count, DoubleByReference loss, float[] dy);
        static native int elman_session_create(Pointer network, PointerByReference out);
        static native int elman_session_step(Pointer session, float[] x, float[] y);
        static native int elman_session_run(Pointer session, float[] x, long steps, float[] y);
        static native int elman_session_reset(Pointer session);
        static native void elman_session_destroy(Pointer session);
    }

    /** What a call of the library says that has failed. */
    public static final class ElmanException extends RuntimeException {
        private static final long serialVersionUID = 1;
        private final int status;

        ElmanException(int status, String message) {
            super(message);
            this.status = status;
        }

        /** The number of an ELMAN_ERROR_ constant. */
        public int status() {
            return status;
        }
    }

    /** The message is that of the thread. Nothing between the call and this blocks, so no virtual thread moves. */
    private static void check(int status) {
        if (status != 0) {
            throw new ElmanException(status, C.elman_last_error());
        }
    }

    private static void checkLength(String name, int length, long expected) {
        if (length != expected) {
            throw new ElmanException(ERROR_LENGTH, name + " has " + length + " elements, expected " + expected);
        }
    }

    private static String checkPath(String path) {
        if (path.indexOf(0) >= 0) {
            throw new IllegalArgumentException("the path contains a zero character");
        }
        return path;
    }

    private static long[] sizes(int[] values) {
        return Arrays.stream(values).asLongStream().toArray();
    }

    private static Pointer create(ToIntFunction<PointerByReference> function) {
        PointerByReference out = new PointerByReference();
        check(function.applyAsInt(out));
        return out.getValue();
    }

    /** The version of the C library. */
    public static String version() {
        return C.elman_version();
    }

    /** An object of the library's: close() frees it at once, the garbage collector at some time. Calls after close() fail. */
    public abstract static class Handle implements AutoCloseable {
        private final Owned owned;
        private final Cleaner.Cleanable cleanable;

        private Handle(Pointer pointer, Consumer<Pointer> destroy) {
            owned = new Owned(pointer, destroy);
            cleanable = CLEANER.register(this, owned);
        }

        private static final class Owned implements Runnable {
            private Pointer pointer;
            private final Consumer<Pointer> destroy;

            Owned(Pointer pointer, Consumer<Pointer> destroy) {
                this.pointer = pointer;
                this.destroy = destroy;
            }

            @Override
            public void run() {
                destroy.accept(pointer);
                pointer = null;
            }
        }

        Pointer pointer() {
            return owned.pointer;
        }

        /** Makes a call, during which the collector leaves the object alone. */
        void call(ToIntFunction<Pointer> function) {
            try {
                check(function.applyAsInt(owned.pointer));
            } finally {
                Reference.reachabilityFence(this);
            }
        }

        @Override
        public void close() {
            cleanable.clean();
        }
    }

    /** A recurrent network. */
    public static final class Network extends Handle {
        private int outputs;

        private Network(Pointer pointer) {
            super(pointer, C::elman_destroy);
        }

        /** A network for sequences of inputSize features a step, without layers. */
        public Network(int inputSize) {
            this(create(out -> C.elman_create(inputSize, out)));
        }

        /** Reads a network that save() has written. */
        public static Network load(String path) {
            return new Network(create(out -> C.elman_load(checkPath(path), out)));
        }

        /** Reads a network of another system: PyTorch, ONNX and others. */
        public static Network importFrom(String path) {
            return new Network(create(out -> C.elman_import(checkPath(path), null, out)));
        }

        /** Writes the network to a file. */
        public void save(String path) {
            call(network -> C.elman_save(network, checkPath(path)));
        }

        /** Sets where random numbers start. */
        public void setSeed(long seed) {
            call(network -> C.elman_set_seed(network, seed));
        }

        /** Sets the number of threads of a call; 0 is one per core. */
        public void setThreads(int threads) {
            call(network -> C.elman_set_threads(network, threads));
        }

        /** Makes the network give the outputs of all steps, or of the last step alone, as it does by itself. */
        public void setOutputAll(boolean all) {
            call(network -> C.elman_set_output(network, all ? 1 : 0));
        }

        /** Draws all parameters anew; scheme is an ELMAN_INIT_ number of elman.h. */
        public void initialize(int scheme, float scale, long seed) {
            call(network -> C.elman_initialize(network, scheme, scale, seed));
        }

        /** Adds a plain recurrent layer. */
        public void addRnn(int units, int activation) {
            call(network -> C.elman_add_rnn(network, units, activation));
        }

        /** Adds a gated recurrent unit as PyTorch has it. */
        public void addGru(int units) {
            call(network -> C.elman_add_gru(network, units, null));
        }

        /** Adds long short-term memory as PyTorch has it. */
        public void addLstm(int units) {
            call(network -> C.elman_add_lstm(network, units, null));
        }

        /** Adds a dense layer. */
        public void addDense(int units, int activation) {
            call(network -> C.elman_add_dense(network, units, activation));
        }

        /** Adds dropout. */
        public void addDropout(float rate) {
            call(network -> C.elman_add_dropout(network, rate));
        }

        private long size(java.util.function.ToLongFunction<Pointer> function) {
            try {
                return function.applyAsLong(pointer());
            } finally {
                Reference.reachabilityFence(this);
            }
        }

        /** Features of a step of the input. */
        public int inputSize() {
            return (int) size(C::elman_input_size);
        }

        /** Features of a step of the output. */
        public int outputSize() {
            return (int) size(C::elman_output_size);
        }

        /** A copy of all parameters. */
        public float[] parameters() {
            float[] parameters = new float[(int) size(C::elman_parameter_count)];
            call(network -> C.elman_get_parameters(network, parameters, parameters.length));
            return parameters;
        }

        /** Replaces all parameters. */
        public void setParameters(float[] parameters) {
            call(network -> C.elman_set_parameters(network, parameters, parameters.length));
        }

        private float[] room(Batch batch) {
            long rows = Math.multiplyExact((long) batch.sequences, batch.steps);
            checkLength("x", batch.x.length, Math.multiplyExact(rows, inputSize()));
            if (batch.lengths != null) {
                checkLength("lengths", batch.lengths.length, batch.sequences);
            }
            long outputRows = size(C::elman_output) == 1 ? rows : batch.sequences;
            return new float[Math.toIntExact(Math.multiplyExact(outputRows, outputSize()))];
        }

        /**
         * Runs a batch: the outputs of the last step of each sequence, [sequences][outputSize], or after setOutputAll those of
         * all steps, [sequences][steps][outputSize].
         */
        public float[] predict(Batch batch) {
            float[] y = room(batch);
            call(network ->
                    C.elman_predict(network, batch.x, batch.sequences, batch.steps, batch.lengths, null, y, null));
            return y;
        }

        /** Runs a batch as predict() does, but for training: it keeps what backward() needs. */
        public float[] forward(Batch batch) {
            float[] y = room(batch);
            call(network ->
                    C.elman_forward(network, batch.x, batch.sequences, batch.steps, batch.lengths, null, y, null));
            outputs = y.length;
            return y;
        }

        /** Adds the gradients of the parameters, given those of what the last forward() gave. */
        public void backward(float[] dy) {
            checkLength("dy", dy.length, outputs);
            call(network -> C.elman_backward(network, dy, null, null, null));
        }

        /** Lets the optimizer apply the gradients, and sets them to 0. */
        public void update(Optimizer optimizer) {
            optimizer.call(rule -> C.elman_update(pointer(), rule));
            Reference.reachabilityFence(this);
        }

        /** Trains the network on a data set; options may be null. */
        public void fit(Dataset dataset, Optimizer optimizer, FitOptions options) {
            if (options != null && (options.epochs < 0 || options.batch_size < 0)) {
                throw new ElmanException(ERROR_OUT_OF_RANGE, options.epochs + " epochs of batches of " + options.batch_size);
            }
            call(network -> C.elman_fit(network, dataset.pointer(), optimizer.pointer(), options));
            Reference.reachabilityFence(dataset);
            Reference.reachabilityFence(optimizer);
        }

        /** Measures the network on a data set; options may be null. */
        public Evaluation evaluate(Dataset dataset, FitOptions options) {
            DoubleByReference loss = new DoubleByReference();
            DoubleByReference accuracy = new DoubleByReference();
            call(network -> C.elman_evaluate(network, dataset.pointer(), options, loss, accuracy, null));
            Reference.reachabilityFence(dataset);
            return new Evaluation(loss.getValue(), accuracy.getValue());
        }
    }

    /** Sequences one after the other, x [sequences][steps][inputSize], of which all steps or so many as lengths says count. */
    public static final class Batch {
        private final float[] x;
        private final int sequences;
        private final int steps;
        private final long[] lengths;

        /** Sequences of which all steps count. */
        public Batch(float[] x, int sequences, int steps) {
            this(x, sequences, steps, null);
        }

        /** Sequences of which so many steps count as lengths says. */
        public Batch(float[] x, int sequences, int steps, int[] lengths) {
            this.x = x;
            this.sequences = sequences;
            this.steps = steps;
            this.lengths = lengths == null ? null : sizes(lengths);
        }
    }

    /** How fit() trains and evaluate() measures: elman_fit_options of elman.h, with its defaults. */
    @FieldOrder({
        "size", "loss", "shuffle", "seed", "ignored_label", "epochs", "batch_size", "truncate", "clip_limit", "clip",
        "validation", "callback", "user", "class_weights", "batch_callback", "patience", "min_delta", "watch", "cancel",
        "average", "reserved"
    })
    public static final class FitOptions extends Structure {
        public long size;
        public int loss;
        public int shuffle;
        public long seed;
        public long ignored_label;
        public long epochs;
        public long batch_size;
        public long truncate;
        public double clip_limit;
        public int clip;
        public Pointer validation;
        public Pointer callback;
        public Pointer user;
        public Pointer class_weights;
        public Pointer batch_callback;
        public long patience;
        public double min_delta;
        public int watch;
        public Pointer cancel;
        public int average;
        public int reserved;

        /** The defaults. */
        public FitOptions() {
            check(C.elman_fit_options_init(this, size()));
        }
    }

    /** What evaluate() measures, and what a loss gives. */
    public record Evaluation(double loss, double accuracy) {}

    /** A loss, and its gradient for backward(). */
    public record Loss(double loss, float[] gradient) {}

    /** Sequences and what a network should answer: x has their steps one after the other, lengths the number of each. */
    public static final class Dataset extends Handle {
        private Dataset(Pointer pointer) {
            super(pointer, C::elman_dataset_destroy);
        }

        private static void checkSequences(int inputSize, float[] x, int[] lengths) {
            checkLength("x", x.length, inputSize * Arrays.stream(lengths).asLongStream().sum());
        }

        /** A class for each sequence, or NO_LABEL. */
        public static Dataset classes(int inputSize, float[] x, int[] lengths, int[] labels, int classes) {
            checkSequences(inputSize, x, lengths);
            checkLength("labels", labels.length, lengths.length);
            return new Dataset(create(out -> C.elman_dataset_create_classes(
                    inputSize, x, sizes(lengths), lengths.length, sizes(labels), classes, 0, out)));
        }

        /** A vector of numbers for each sequence, values [lengths.length][size]. */
        public static Dataset values(int inputSize, float[] x, int[] lengths, float[] values, int size) {
            checkSequences(inputSize, x, lengths);
            checkLength("values", values.length, (long) lengths.length * size);
            return new Dataset(create(out -> C.elman_dataset_create_values(
                    inputSize, x, sizes(lengths), lengths.length, values, size, 0, out)));
        }
    }

    /** An update rule and what it remembers. */
    public static final class Optimizer extends Handle {
        private Optimizer(Pointer pointer) {
            super(pointer, C::elman_optimizer_destroy);
        }

        /** Stochastic gradient descent, with momentum where that is not 0. */
        public static Optimizer sgd(double learningRate, double momentum) {
            return new Optimizer(create(out -> C.elman_sgd_create(learningRate, momentum, 0, 0, out)));
        }

        /** Adam with the usual settings. */
        public static Optimizer adam(double learningRate) {
            return new Optimizer(create(out -> C.elman_adam_create(learningRate, 0.9, 0.999, 1e-8, 0, out)));
        }
    }

    /** One sequence in steps or blocks of steps, with the bits of the whole sequence. */
    public static final class Session extends Handle {
        private final int inputSize;
        private final int outputSize;

        /** Starts a stream through the parameters that the network has now. */
        public Session(Network network) {
            super(create(out -> C.elman_session_create(network.pointer(), out)), C::elman_session_destroy);
            inputSize = network.inputSize();
            outputSize = network.outputSize();
        }

        /** Runs one step, x [inputSize] to y [outputSize]. */
        public void step(float[] x, float[] y) {
            checkLength("x", x.length, inputSize);
            checkLength("y", y.length, outputSize);
            call(session -> C.elman_session_step(session, x, y));
        }

        /** Runs some steps, x [steps][inputSize]; gives [steps][outputSize]. */
        public float[] run(float[] x) {
            int steps = x.length / inputSize;
            checkLength("x", x.length, (long) steps * inputSize);
            float[] y = new float[Math.multiplyExact(steps, outputSize)];
            call(session -> C.elman_session_run(session, x, steps, y));
            return y;
        }

        /** Lets the stream start again. */
        public void reset() {
            call(C::elman_session_reset);
        }
    }

    /** The loss of logits [labels.length][classes]. A label of NO_LABEL does not count. */
    public static Loss softmaxCrossEntropy(float[] logits, int[] labels, int classes) {
        checkLength("logits", logits.length, (long) labels.length * classes);
        DoubleByReference loss = new DoubleByReference();
        float[] gradient = new float[logits.length];
        check(C.elman_softmax_cross_entropy(logits, sizes(labels), labels.length, classes, loss, gradient));
        return new Loss(loss.getValue(), gradient);
    }

    /** The mean of the squares of y - targets. */
    public static Loss meanSquaredError(float[] y, float[] targets) {
        checkLength("targets", targets.length, y.length);
        DoubleByReference loss = new DoubleByReference();
        float[] gradient = new float[y.length];
        check(C.elman_mean_squared_error(y, targets, y.length, loss, gradient));
        return new Loss(loss.getValue(), gradient);
    }
}
