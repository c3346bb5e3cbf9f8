using System;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;

/// <summary>
/// Recurrent networks on the CPU, through the C library elman. What each call does is in elman.h, by a similar name.
/// </summary>
/// <remarks>
/// Different objects may be used by different threads at the same time. Predict, Evaluate, Save, reading Parameters and new
/// Session may be called by any number of threads on one network; every other method needs its object to itself. Objects are
/// freed by Dispose() or by the garbage collector; a call on one that is disposed throws ObjectDisposedException.
/// </remarks>
namespace Elman {

/// <summary>Activations of layers.</summary>
public enum Activation : uint {
    Tanh, Relu, Sigmoid, Linear, HardSigmoid, HardTanh, LeakyRelu, Elu, Softsign, Softplus, Affine, ScaledTanh, ThresholdedRelu
}

/// <summary>How parameters are drawn.</summary>
public enum Initializer : uint {
    PyTorch, GlorotNormal, GlorotUniform, HeNormal, HeUniform, Orthogonal, Identity, Gaussian, Constant, Keras
}

/// <summary>What Fit makes small.</summary>
public enum Loss : uint { SoftmaxCrossEntropy, MeanSquaredError, BinaryCrossEntropy }

/// <summary>The kinds of errors: the ELMAN_ERROR_ constants of elman.h.</summary>
public enum Status {
    Ok, Null, Alignment, Overlap, ZeroSize, SizeOverflow, Length, OutOfRange, UnknownConstant, CallOrder, Mismatch, NotFinite,
    OutOfMemory, Threads, Tier, Io, Parse, Format, Internal, Cancelled
}

/// <summary>What a call of the library says that has failed.</summary>
public sealed class ElmanException : Exception {
    public ElmanException(Status status, string message) : base(message) { Status = status; }

    /// <summary>The kind of the error.</summary>
    public Status Status { get; }
}

/// <summary>The functions of elman.h. Objects are SafeHandles: they live as long as a call has them.</summary>
internal static class C {
    private const string Library = "elman";

    internal abstract class Handle : SafeHandle {
        protected Handle() : base(IntPtr.Zero, true) { }
        public override bool IsInvalid => handle == IntPtr.Zero;
    }
    internal sealed class Network : Handle {
        protected override bool ReleaseHandle() { elman_destroy(handle); return true; }
    }
    internal sealed class Session : Handle {
        protected override bool ReleaseHandle() { elman_session_destroy(handle); return true; }
    }
    internal sealed class Optimizer : Handle {
        protected override bool ReleaseHandle() { elman_optimizer_destroy(handle); return true; }
    }
    internal sealed class Dataset : Handle {
        protected override bool ReleaseHandle() { elman_dataset_destroy(handle); return true; }
    }
    internal sealed class Cancellation : Handle {
        protected override bool ReleaseHandle() { elman_cancellation_destroy(handle); return true; }
    }

    [StructLayout(LayoutKind.Sequential)]
    internal struct FitOptions {
        internal UIntPtr Size;
        internal uint Loss, Shuffle;
        internal ulong Seed;
        internal UIntPtr IgnoredLabel, Epochs, BatchSize, Truncate;
        internal double ClipLimit;
        internal uint Clip;
        internal IntPtr Validation, Callback, User, ClassWeights, BatchCallback;
        internal UIntPtr Patience;
        internal double MinDelta;
        internal uint Watch;
        internal IntPtr Cancel;
        internal uint Average, Reserved;
    }

    [DllImport(Library)] internal static extern IntPtr elman_version();
    [DllImport(Library)] internal static extern IntPtr elman_last_error();
    [DllImport(Library)] internal static extern int elman_create(UIntPtr inputSize, out Network network);
    [DllImport(Library)] internal static extern int elman_load(byte[] path, out Network network);
    [DllImport(Library)] internal static extern int elman_import(byte[] path, IntPtr options, out Network network);
    [DllImport(Library)] internal static extern int elman_save(Network network, byte[] path);
    [DllImport(Library)] private static extern void elman_destroy(IntPtr network);
    [DllImport(Library)] internal static extern int elman_set_seed(Network network, ulong seed);
    [DllImport(Library)] internal static extern int elman_set_threads(Network network, UIntPtr threads);
    [DllImport(Library)] internal static extern int elman_set_output(Network network, uint mode);
    [DllImport(Library)] internal static extern uint elman_output(Network network);
    [DllImport(Library)] internal static extern int elman_initialize(Network network, uint scheme, float scale, ulong seed);
    [DllImport(Library)] internal static extern int elman_add_rnn(Network network, UIntPtr units, uint activation);
    [DllImport(Library)] internal static extern int elman_add_gru(Network network, UIntPtr units, IntPtr options);
    [DllImport(Library)] internal static extern int elman_add_lstm(Network network, UIntPtr units, IntPtr options);
    [DllImport(Library)] internal static extern int elman_add_dense(Network network, UIntPtr units, uint activation);
    [DllImport(Library)] internal static extern int elman_add_dropout(Network network, float rate);
    [DllImport(Library)] internal static extern UIntPtr elman_input_size(Network network);
    [DllImport(Library)] internal static extern UIntPtr elman_output_size(Network network);
    [DllImport(Library)] internal static extern UIntPtr elman_parameter_count(Network network);
    [DllImport(Library)] internal static extern int elman_get_parameters(
        Network network, [Out] float[] parameters, UIntPtr count);
    [DllImport(Library)] internal static extern int elman_set_parameters(Network network, float[] parameters, UIntPtr count);
    [DllImport(Library)] internal static extern int elman_predict(
        Network network, float[] x, UIntPtr batch, UIntPtr steps, UIntPtr[] lengths, float[] stateIn, [Out] float[] y,
        float[] stateOut);
    [DllImport(Library)] internal static extern int elman_forward(
        Network network, float[] x, UIntPtr batch, UIntPtr steps, UIntPtr[] lengths, float[] stateIn, [Out] float[] y,
        float[] stateOut);
    [DllImport(Library)] internal static extern int elman_backward(
        Network network, float[] dy, float[] dstateOut, float[] dx, float[] dstateIn);
    [DllImport(Library)] internal static extern int elman_update(Network network, Optimizer optimizer);
    [DllImport(Library)] internal static extern int elman_fit_options_init(out FitOptions options, UIntPtr size);
    [DllImport(Library)] internal static extern int elman_fit(
        Network network, Dataset dataset, Optimizer optimizer, ref FitOptions options);
    [DllImport(Library)] internal static extern int elman_evaluate(
        Network network, Dataset dataset, ref FitOptions options, out double loss, out double accuracy, IntPtr confusion);
    [DllImport(Library)] internal static extern int elman_cancellation_create(out Cancellation cancellation);
    [DllImport(Library)] internal static extern int elman_cancellation_set(Cancellation cancellation, uint cancelled);
    [DllImport(Library)] private static extern void elman_cancellation_destroy(IntPtr cancellation);
    [DllImport(Library)] internal static extern int elman_dataset_create_classes(
        UIntPtr inputSize, float[] x, UIntPtr[] lengths, UIntPtr sequences, UIntPtr[] labels, UIntPtr classes, uint perStep,
        out Dataset dataset);
    [DllImport(Library)] internal static extern int elman_dataset_create_values(
        UIntPtr inputSize, float[] x, UIntPtr[] lengths, UIntPtr sequences, float[] values, UIntPtr size, uint perStep,
        out Dataset dataset);
    [DllImport(Library)] private static extern void elman_dataset_destroy(IntPtr dataset);
    [DllImport(Library)] internal static extern int elman_sgd_create(
        double learningRate, double momentum, uint nesterov, double weightDecay, out Optimizer optimizer);
    [DllImport(Library)] internal static extern int elman_adam_create(
        double learningRate, double beta1, double beta2, double epsilon, double weightDecay, out Optimizer optimizer);
    [DllImport(Library)] private static extern void elman_optimizer_destroy(IntPtr optimizer);
    [DllImport(Library)] internal static extern int elman_softmax_cross_entropy(
        float[] logits, UIntPtr[] labels, UIntPtr rows, UIntPtr classes, out double loss, [Out] float[] dlogits);
    [DllImport(Library)] internal static extern int elman_mean_squared_error(
        float[] y, float[] targets, UIntPtr count, out double loss, [Out] float[] dy);
    [DllImport(Library)] internal static extern int elman_session_create(Network network, out Session session);
    [DllImport(Library)] internal static extern int elman_session_step(Session session, float[] x, [Out] float[] y);
    [DllImport(Library)] internal static extern int elman_session_run(
        Session session, float[] x, UIntPtr steps, [Out] float[] y);
    [DllImport(Library)] internal static extern int elman_session_reset(Session session);
    [DllImport(Library)] private static extern void elman_session_destroy(IntPtr session);

    static C() {
        if (!Text(elman_version()).StartsWith("0.1.", StringComparison.Ordinal)) {
            throw new DllNotFoundException($"libelman has version {Text(elman_version())}, this assembly is for 0.1");
        }
    }

    internal static string Text(IntPtr text) {
        var length = 0;
        while (Marshal.ReadByte(text, length) != 0) length++;
        var bytes = new byte[length];
        Marshal.Copy(text, bytes, 0, length);
        return Encoding.UTF8.GetString(bytes);
    }

    internal static byte[] Path(string path) {
        if (path.IndexOf('\0') >= 0) throw new ArgumentException("the path contains a zero character", nameof(path));
        return Encoding.UTF8.GetBytes(path + '\0');
    }

    internal static UIntPtr Size(string name, int value) {
        if (value < 0) throw new ArgumentOutOfRangeException(name, value, "expected at least 0");
        return (UIntPtr)(uint)value;
    }

    /// <summary>Numbers as size_t; -1 is ELMAN_NO_LABEL.</summary>
    internal static UIntPtr[] Sizes(int[] values) => values.Select(value => unchecked((UIntPtr)(ulong)value)).ToArray();

    /// <summary>Throws what the status of a call on this thread says: the message is that of the thread.</summary>
    internal static void Check(int status) {
        if (status != 0) throw new ElmanException((Status)status, Text(elman_last_error()));
    }

    internal static void CheckLength(string name, int length, long expected) {
        if (length == expected) return;
        throw new ArgumentException($"{name} has {length} elements, expected {expected}", name);
    }
}

/// <summary>Sequences one after the other, X [Sequences][Steps][features]; Lengths: the steps that count, null: all.</summary>
public sealed class Batch {
    public Batch(float[] x, int sequences, int steps, int[] lengths = null) {
        X = x; Sequences = sequences; Steps = steps; Lengths = lengths;
    }
    public float[] X { get; }
    public int Sequences { get; }
    public int Steps { get; }
    public int[] Lengths { get; }
}

/// <summary>How Fit trains.</summary>
public sealed class FitOptions {
    public Loss Loss { get; set; }
    public int Epochs { get; set; } = 30;
    public int BatchSize { get; set; } = 16;
    public ulong Seed { get; set; }
    /// <summary>The largest norm of the gradients; 0: no limit.</summary>
    public double ClipNorm { get; set; }
    /// <summary>Whether the network gets a mean of its parameters over the epochs; later ones count for more.</summary>
    public bool Average { get; set; }

    internal C.FitOptions Native() {
        C.FitOptions native;
        C.Check(C.elman_fit_options_init(out native, (UIntPtr)(uint)Marshal.SizeOf(typeof(C.FitOptions))));
        native.Loss = (uint)Loss;
        native.Epochs = C.Size(nameof(Epochs), Epochs);
        native.BatchSize = C.Size(nameof(BatchSize), BatchSize);
        native.Seed = Seed;
        native.Average = Average ? 1u : 0u;
        if (ClipNorm != 0) {
            native.Clip = 1;
            native.ClipLimit = ClipNorm;
        }
        return native;
    }
}

/// <summary>A recurrent network.</summary>
public sealed class Network : IDisposable {
    internal readonly C.Network Handle;
    private int outputs;

    private Network(C.Network handle) { Handle = handle; }

    /// <summary>A network for sequences of inputSize features a step, without layers.</summary>
    public Network(int inputSize) { C.Check(C.elman_create(C.Size(nameof(inputSize), inputSize), out Handle)); }

    /// <summary>Reads a network that Save has written.</summary>
    public static Network Load(string path) {
        C.Check(C.elman_load(C.Path(path), out var handle));
        return new Network(handle);
    }

    /// <summary>Reads a network of another system: PyTorch, ONNX and others.</summary>
    public static Network Import(string path) {
        C.Check(C.elman_import(C.Path(path), IntPtr.Zero, out var handle));
        return new Network(handle);
    }

    public void Dispose() => Handle.Dispose();

    /// <summary>Writes the network to a file.</summary>
    public void Save(string path) => C.Check(C.elman_save(Handle, C.Path(path)));

    /// <summary>Sets where random numbers start.</summary>
    public void SetSeed(ulong seed) => C.Check(C.elman_set_seed(Handle, seed));

    /// <summary>Sets the number of threads of a call; 0 is one per core.</summary>
    public void SetThreads(int threads) => C.Check(C.elman_set_threads(Handle, C.Size(nameof(threads), threads)));

    /// <summary>Makes the network give the outputs of all steps, or of the last step alone, as it does by itself.</summary>
    public void SetOutputAll(bool all) => C.Check(C.elman_set_output(Handle, all ? 1u : 0u));

    /// <summary>Draws all parameters anew.</summary>
    public void Initialize(Initializer scheme, float scale = 1, ulong seed = 0) =>
        C.Check(C.elman_initialize(Handle, (uint)scheme, scale, seed));

    public void AddRnn(int units, Activation activation = Activation.Tanh) =>
        C.Check(C.elman_add_rnn(Handle, C.Size(nameof(units), units), (uint)activation));
    public void AddGru(int units) => C.Check(C.elman_add_gru(Handle, C.Size(nameof(units), units), IntPtr.Zero));
    public void AddLstm(int units) => C.Check(C.elman_add_lstm(Handle, C.Size(nameof(units), units), IntPtr.Zero));
    public void AddDense(int units, Activation activation = Activation.Linear) =>
        C.Check(C.elman_add_dense(Handle, C.Size(nameof(units), units), (uint)activation));
    public void AddDropout(float rate) => C.Check(C.elman_add_dropout(Handle, rate));

    /// <summary>Features of a step of the input.</summary>
    public int InputSize => (int)C.elman_input_size(Handle);

    /// <summary>Features of a step of the output.</summary>
    public int OutputSize => (int)C.elman_output_size(Handle);

    /// <summary>A copy of all parameters; assigning replaces them.</summary>
    public float[] Parameters {
        get {
            var parameters = new float[(int)C.elman_parameter_count(Handle)];
            C.Check(C.elman_get_parameters(Handle, parameters, (UIntPtr)(uint)parameters.Length));
            return parameters;
        }
        set { C.Check(C.elman_set_parameters(Handle, value, (UIntPtr)(uint)value.Length)); }
    }

    private float[] Room(Batch batch) {
        C.CheckLength("x", batch.X.Length, checked((long)batch.Sequences * batch.Steps * InputSize));
        if (batch.Lengths != null) C.CheckLength("lengths", batch.Lengths.Length, batch.Sequences);
        var rows = C.elman_output(Handle) == 1 ? checked(batch.Sequences * batch.Steps) : batch.Sequences;
        return new float[checked(rows * OutputSize)];
    }

    /// <summary>
    /// Runs a batch: the outputs of the last step of each sequence, [sequences][OutputSize], or after SetOutputAll those of all
    /// steps, [sequences][steps][OutputSize].
    /// </summary>
    public float[] Predict(Batch batch) {
        var y = Room(batch);
        C.Check(C.elman_predict(Handle, batch.X, C.Size("sequences", batch.Sequences), C.Size("steps", batch.Steps),
            batch.Lengths == null ? null : C.Sizes(batch.Lengths), null, y, null));
        return y;
    }

    /// <summary>Runs a batch as Predict does, but for training: it keeps what Backward needs.</summary>
    public float[] Forward(Batch batch) {
        var y = Room(batch);
        C.Check(C.elman_forward(Handle, batch.X, C.Size("sequences", batch.Sequences), C.Size("steps", batch.Steps),
            batch.Lengths == null ? null : C.Sizes(batch.Lengths), null, y, null));
        outputs = y.Length;
        return y;
    }

    /// <summary>Adds the gradients of the parameters, given those of what the last Forward gave.</summary>
    public void Backward(float[] dy) {
        C.CheckLength(nameof(dy), dy.Length, outputs);
        C.Check(C.elman_backward(Handle, dy, null, null, null));
    }

    /// <summary>Lets the optimizer apply the gradients, and sets them to 0.</summary>
    public void Update(Optimizer optimizer) => C.Check(C.elman_update(Handle, optimizer.Handle));

    /// <summary>
    /// Trains the network on a data set. A cancelled token ends it with OperationCanceledException; the network then has the
    /// parameters of the last update.
    /// </summary>
    public void Fit(
        Dataset dataset, Optimizer optimizer, FitOptions options = null,
        CancellationToken token = default(CancellationToken)) {
        var native = (options ?? new FitOptions()).Native();
        C.Check(C.elman_cancellation_create(out var cancellation));
        using (cancellation)
        using (token.Register(() => C.elman_cancellation_set(cancellation, 1))) {
            native.Cancel = cancellation.DangerousGetHandle();
            var status = C.elman_fit(Handle, dataset.Handle, optimizer.Handle, ref native);
            if (status == (int)Status.Cancelled) throw new OperationCanceledException(token);
            C.Check(status);
        }
    }

    /// <summary>The loss and the accuracy of the network on a data set.</summary>
    public void Evaluate(Dataset dataset, Loss loss, out double mean, out double accuracy) {
        var native = new FitOptions { Loss = loss }.Native();
        C.Check(C.elman_evaluate(Handle, dataset.Handle, ref native, out mean, out accuracy, IntPtr.Zero));
    }
}

/// <summary>Sequences and what a network should answer: x has all steps one after the other, lengths their numbers.</summary>
public sealed class Dataset : IDisposable {
    internal readonly C.Dataset Handle;

    private Dataset(C.Dataset handle) { Handle = handle; }

    /// <summary>A class for each sequence, or -1 where it has none.</summary>
    public static Dataset Classes(int inputSize, float[] x, int[] lengths, int[] labels, int classes) {
        C.CheckLength(nameof(x), x.Length, inputSize * lengths.Sum(length => (long)length));
        C.CheckLength(nameof(labels), labels.Length, lengths.Length);
        C.Check(C.elman_dataset_create_classes(C.Size(nameof(inputSize), inputSize), x, C.Sizes(lengths),
            (UIntPtr)(uint)lengths.Length, C.Sizes(labels), C.Size(nameof(classes), classes), 0, out var handle));
        return new Dataset(handle);
    }

    /// <summary>A vector of numbers for each sequence, values [lengths.Length][size].</summary>
    public static Dataset Values(int inputSize, float[] x, int[] lengths, float[] values, int size) {
        C.CheckLength(nameof(x), x.Length, inputSize * lengths.Sum(length => (long)length));
        C.CheckLength(nameof(values), values.Length, (long)lengths.Length * size);
        C.Check(C.elman_dataset_create_values(C.Size(nameof(inputSize), inputSize), x, C.Sizes(lengths),
            (UIntPtr)(uint)lengths.Length, values, C.Size(nameof(size), size), 0, out var handle));
        return new Dataset(handle);
    }

    public void Dispose() => Handle.Dispose();
}

/// <summary>An update rule and what it remembers.</summary>
public sealed class Optimizer : IDisposable {
    internal readonly C.Optimizer Handle;

    private Optimizer(C.Optimizer handle) { Handle = handle; }

    /// <summary>Stochastic gradient descent.</summary>
    public static Optimizer Sgd(double learningRate, double momentum = 0, bool nesterov = false, double weightDecay = 0) {
        C.Check(C.elman_sgd_create(learningRate, momentum, nesterov ? 1u : 0u, weightDecay, out var handle));
        return new Optimizer(handle);
    }

    /// <summary>Adam.</summary>
    public static Optimizer Adam(
        double learningRate = 0.001, double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-8, double weightDecay = 0) {
        C.Check(C.elman_adam_create(learningRate, beta1, beta2, epsilon, weightDecay, out var handle));
        return new Optimizer(handle);
    }

    public void Dispose() => Handle.Dispose();
}

/// <summary>One sequence in steps or blocks of steps, with the bits of the whole sequence.</summary>
public sealed class Session : IDisposable {
    private readonly C.Session handle;
    private readonly int inputSize, outputSize;

    /// <summary>Starts a stream through the parameters that the network has now.</summary>
    public Session(Network network) {
        C.Check(C.elman_session_create(network.Handle, out handle));
        inputSize = network.InputSize;
        outputSize = network.OutputSize;
    }

    /// <summary>Runs one step, x [input size] to y [output size]. It allocates nothing.</summary>
    public void Step(float[] x, float[] y) {
        C.CheckLength(nameof(x), x.Length, inputSize);
        C.CheckLength(nameof(y), y.Length, outputSize);
        C.Check(C.elman_session_step(handle, x, y));
    }

    /// <summary>Runs some steps, x [steps][input size]; gives [steps][output size].</summary>
    public float[] Run(float[] x) {
        var steps = x.Length / inputSize;
        C.CheckLength(nameof(x), x.Length, (long)steps * inputSize);
        var y = new float[checked(steps * outputSize)];
        C.Check(C.elman_session_run(handle, x, (UIntPtr)(uint)steps, y));
        return y;
    }

    /// <summary>Lets the stream start again.</summary>
    public void Reset() => C.Check(C.elman_session_reset(handle));

    public void Dispose() => handle.Dispose();
}

/// <summary>Losses with their gradients, and the version of the C library.</summary>
public static class Library {
    public static string Version => C.Text(C.elman_version());

    /// <summary>The loss of logits [labels.Length][classes]. A label of -1 does not count.</summary>
    public static double SoftmaxCrossEntropy(float[] logits, int[] labels, int classes, float[] gradient) {
        C.CheckLength(nameof(logits), logits.Length, (long)labels.Length * classes);
        C.CheckLength(nameof(gradient), gradient.Length, logits.Length);
        C.Check(C.elman_softmax_cross_entropy(logits, C.Sizes(labels), (UIntPtr)(uint)labels.Length,
            C.Size(nameof(classes), classes), out var loss, gradient));
        return loss;
    }

    /// <summary>The mean of the squares of y - targets.</summary>
    public static double MeanSquaredError(float[] y, float[] targets, float[] gradient) {
        C.CheckLength(nameof(targets), targets.Length, y.Length);
        C.CheckLength(nameof(gradient), gradient.Length, y.Length);
        C.Check(C.elman_mean_squared_error(y, targets, (UIntPtr)(uint)y.Length, out var loss, gradient));
        return loss;
    }
}

}
