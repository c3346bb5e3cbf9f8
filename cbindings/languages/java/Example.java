import elman.Elman;
import elman.Elman.Batch;
import elman.Elman.Dataset;
import elman.Elman.ElmanException;
import elman.Elman.FitOptions;
import elman.Elman.Network;
import elman.Elman.Optimizer;
import elman.Elman.Session;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;

/** A network learns to tell two kinds of noisy waves apart, streams through one, is saved and loaded again. */
public final class Example {
    private static final int COUNT = 100;
    private static final int STEPS = 24;
    private static final int CLASSES = 2;
    private static int state = 1;

    private Example() {}

    /** A linear congruential generator, the same one in every language. */
    private static int random() {
        state = state * 1664525 + 1013904223;
        return state;
    }

    /** Square waves of period 4 (class 0) and 6 (class 1) in noise. */
    private static float[] waves() {
        float[] x = new float[COUNT * STEPS];
        for (int i = 0; i < COUNT; i++) {
            int period = 4 + 2 * (i % CLASSES);
            int phase = (random() >>> 16) % period;
            for (int step = 0; step < STEPS; step++) {
                double wave = (step + phase) % period < period / 2 ? 0.5 : -0.5;
                x[i * STEPS + step] = (float) (wave + (random() >>> 8) / 0x1p24 - 0.5);
            }
        }
        return x;
    }

    /** A number that changes with any bit of the values. */
    private static int digest(float[] values) {
        int sum = 0;
        for (float value : values) {
            sum = sum * 31 + Float.floatToRawIntBits(value);
        }
        return sum;
    }

    private static String same(float[] a, float[] b) {
        return a.length == b.length && digest(a) == digest(b) ? "the same bits" : "OTHER BITS";
    }

    private static void print(String format, Object... values) {
        System.out.printf(Locale.ROOT, format + "%n", values);
    }

    public static void main(String[] arguments) throws Exception {
        float[] x = waves();
        float[] testX = waves();
        int[] labels = new int[COUNT];
        Arrays.setAll(labels, i -> i % CLASSES);
        Batch test = new Batch(testX, COUNT, STEPS);

        try (Network network = new Network(1); Optimizer adam = Optimizer.adam(0.01)) {
            network.setSeed(42);
            network.addGru(12);
            network.addDense(CLASSES, Elman.LINEAR);
            print("elman %s, %d parameters", Elman.version(), network.parameters().length);

            // A step of training by hand.
            Elman.Loss before = Elman.softmaxCrossEntropy(network.forward(new Batch(x, COUNT, STEPS)), labels, CLASSES);
            network.backward(before.gradient());
            network.update(adam);
            print("before training: loss %.3f", before.loss());

            // The others in one call.
            int[] lengths = new int[COUNT];
            Arrays.fill(lengths, STEPS);
            FitOptions options = new FitOptions();
            options.epochs = 40;
            options.batch_size = 10;
            try (Dataset dataset = Dataset.classes(1, x, lengths, labels, CLASSES)) {
                network.fit(dataset, adam, options);
            }

            float[] y = network.predict(test);
            Elman.Loss after = Elman.softmaxCrossEntropy(y, labels, CLASSES);
            int right = 0;
            for (int i = 0; i < COUNT; i++) {
                right += (y[2 * i + 1] > y[2 * i]) == (labels[i] == 1) ? 1 : 0;
            }
            print("after training: loss %.3f, %d of %d right", after.loss(), right, COUNT);

            // The first sequence as a stream.
            float[] first = Arrays.copyOf(y, CLASSES);
            float[] last = new float[CLASSES];
            try (Session session = new Session(network)) {
                for (int step = 0; step < STEPS; step++) {
                    session.step(Arrays.copyOfRange(testX, step, step + 1), last);
                }
                print("step by step: %s", same(last, first));
                session.reset();
                float[] all = session.run(Arrays.copyOf(testX, STEPS));
                print("as a block: %s", same(Arrays.copyOfRange(all, all.length - CLASSES, all.length), first));
            }

            String path = "waves.safetensors";
            network.save(path);
            try (Network loaded = Network.load(path)) {
                print("saved and loaded: %s", same(loaded.predict(test), y));
            }
            Files.delete(Path.of(path));

            try {
                Network.load("missing.safetensors");
            } catch (ElmanException error) {
                print("error: %s", error.getMessage());
            }
            print("bits: %016x %016x %08x %08x", Double.doubleToRawLongBits(before.loss()),
                    Double.doubleToRawLongBits(after.loss()), digest(network.parameters()), digest(y));
        }
    }
}
