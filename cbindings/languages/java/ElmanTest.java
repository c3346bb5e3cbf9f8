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
import java.util.stream.IntStream;

/** The tests of the classes of Elman: any that fails throws. */
public final class ElmanTest {
    private ElmanTest() {}

    private static void check(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    private static void fails(int status, String part, Runnable call) {
        try {
            call.run();
        } catch (ElmanException error) {
            check(error.status() == status && error.getMessage().contains(part), error.status() + ": " + error.getMessage());
            return;
        }
        throw new AssertionError("no error with " + part);
    }

    private static Network small() {
        Network network = new Network(2);
        network.setSeed(7);
        network.addLstm(3);
        network.addDense(2, Elman.LINEAR);
        return network;
    }

    private static void theLibraryNamesWhatIsWrong() {
        try (Network network = small()) {
            fails(Elman.ERROR_ZERO_SIZE, "units", () -> network.addGru(0));
            fails(8, "99", () -> network.addRnn(3, 99));
            fails(Elman.ERROR_OUT_OF_RANGE, "1.5", () -> network.addDropout(1.5f));
            fails(Elman.ERROR_LENGTH, "5", () -> network.setParameters(new float[5]));
            fails(Elman.ERROR_OUT_OF_RANGE, "-1", () -> Optimizer.sgd(-1, 0));
        }
    }

    private static void messagesBelongToTheirThreads() {
        IntStream.range(0, 2000).parallel().forEach(i ->
                fails(Elman.ERROR_IO, "missing-" + i + ":", () -> Network.load("missing-" + i)));
    }

    private static void lengthsAreCheckedBeforeTheCall() {
        try (Network network = small(); Session session = new Session(network)) {
            fails(Elman.ERROR_LENGTH, "x has 11", () -> network.predict(new Batch(new float[11], 2, 3)));
            fails(Elman.ERROR_LENGTH, "lengths", () -> network.forward(new Batch(new float[12], 2, 3, new int[] {3})));
            fails(Elman.ERROR_OUT_OF_RANGE, "", () -> network.forward(new Batch(new float[12], 2, 3, new int[] {3, -1})));
            network.forward(new Batch(new float[12], 2, 3));
            fails(Elman.ERROR_LENGTH, "expected 4", () -> network.backward(new float[3]));
            fails(Elman.ERROR_LENGTH, "y has 1", () -> session.step(new float[2], new float[1]));
            fails(Elman.ERROR_LENGTH, "x has 5", () -> session.run(new float[5]));
            fails(Elman.ERROR_LENGTH, "logits", () -> Elman.softmaxCrossEntropy(new float[3], new int[2], 2));
            fails(Elman.ERROR_LENGTH, "expected 4", () -> Dataset.classes(1, new float[3], new int[] {2, 2}, new int[2], 2));
        }
    }

    private static void callsAfterCloseFail() {
        Network network = small();
        Session session = new Session(network);
        network.close();
        network.close();
        fails(Elman.ERROR_NULL, "network", () -> network.setSeed(1));
        session.step(new float[2], new float[2]);
        session.close();
        fails(Elman.ERROR_NULL, "session", () -> session.step(new float[2], new float[2]));
    }

    private static void theCollectorFreesWhatNobodyCloses() {
        for (int i = 0; i < 200; i++) {
            new Session(small());
        }
        System.gc();
        check(small().predict(new Batch(new float[2], 1, 1)).length == 2, "a prediction after a collection");
    }

    private static void shorterSequencesOfABatch() {
        try (Network network = small()) {
            network.setOutputAll(true);
            float[] x = {1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 9, 9};
            float[] y = network.predict(new Batch(x, 2, 3, new int[] {3, 2}));
            check(Arrays.equals(Arrays.copyOfRange(y, 6, 10), Arrays.copyOf(y, 4)), Arrays.toString(y));
            check(y[10] == 0 && y[11] == 0, Arrays.toString(y));
        }
    }

    private static void fitAndEvaluate() {
        float[] x = new float[2 * 50 * 20];
        int[] lengths = new int[50];
        Arrays.setAll(lengths, i -> 20);
        for (int i = 0; i < x.length; i++) {
            x[i] = i % 7 / 7f;
        }
        float[] targets = new float[100];
        try (Network network = small();
                Dataset dataset = Dataset.values(2, x, lengths, targets, 2);
                Optimizer sgd = Optimizer.sgd(0.05, 0.9)) {
            FitOptions options = new FitOptions();
            options.loss = 1;
            options.epochs = 20;
            double before = network.evaluate(dataset, options).loss();
            network.fit(dataset, sgd, options);
            double after = network.evaluate(dataset, options).loss();
            check(after < before / 10, before + " " + after);
            options.epochs = -1;
            fails(Elman.ERROR_OUT_OF_RANGE, "-1 epochs", () -> network.fit(dataset, sgd, options));
            options.epochs = 1;
            options.loss = 99;
            fails(8, "99", () -> network.fit(dataset, sgd, options));
            options.loss = 1;
            options.average = 2;
            fails(8, "average is 2", () -> network.fit(dataset, sgd, options));
            options.average = 1;
            network.fit(dataset, sgd, options);
        }
    }

    private static void aLoopOfOnesOwnLearns() {
        try (Network network = new Network(1); Optimizer adam = Optimizer.adam(0.02)) {
            network.addRnn(8, Elman.TANH);
            network.addDense(1, Elman.LINEAR);
            network.initialize(2, 1, 3);
            Batch batch = new Batch(new float[] {0.1f, 0.5f, 0.9f, 0.8f, 0.4f, 0.2f}, 2, 3);
            double first = 0;
            double loss = 0;
            for (int i = 0; i < 100; i++) {
                Elman.Loss now = Elman.meanSquaredError(network.forward(batch), new float[] {1, -1});
                network.backward(now.gradient());
                network.update(adam);
                loss = now.loss();
                first = i == 0 ? loss : first;
            }
            check(loss < first / 100, first + " " + loss);
        }
    }

    private static void filesKeepEveryParameter() throws Exception {
        Path path = Files.createTempDirectory("elman").resolve("gewürz.safetensors");
        try (Network network = small()) {
            network.save(path.toString());
            try (Network loaded = Network.load(path.toString()); Network imported = Network.importFrom(path.toString())) {
                check(Arrays.equals(loaded.parameters(), network.parameters()), "loaded");
                check(Arrays.equals(imported.parameters(), network.parameters()), "imported");
            }
        }
        Files.delete(path);
        Files.delete(path.getParent());
    }

    public static void main(String[] arguments) throws Exception {
        theLibraryNamesWhatIsWrong();
        messagesBelongToTheirThreads();
        lengthsAreCheckedBeforeTheCall();
        callsAfterCloseFail();
        theCollectorFreesWhatNobodyCloses();
        shorterSequencesOfABatch();
        fitAndEvaluate();
        aLoopOfOnesOwnLearns();
        filesKeepEveryParameter();
    }
}
