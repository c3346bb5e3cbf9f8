using System;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Elman;

/// <summary>The tests of Elman.cs: any that fails throws.</summary>
public static class ElmanTest {
    private static void Check(bool condition, string what) {
        if (!condition) throw new Exception(what);
    }

    private static void Fails<E>(string part, Action call) where E : Exception {
        try {
            call();
        } catch (E error) {
            Check(error.Message.Contains(part), error.Message);
            return;
        }
        throw new Exception($"no {typeof(E).Name} with {part}");
    }

    private static void Fails(Status status, string part, Action call) => Fails<ElmanException>(part, () => {
        try {
            call();
        } catch (ElmanException error) {
            Check(error.Status == status, error.Status + ": " + error.Message);
            throw;
        }
    });

    private static Network Small() {
        var network = new Network(2);
        network.SetSeed(7);
        network.AddLstm(3);
        network.AddDense(2);
        return network;
    }

    private static Dataset Data() => Dataset.Classes(2, Enumerable.Range(0, 2000).Select(i => i % 7 / 7f).ToArray(),
        Enumerable.Repeat(20, 50).ToArray(), Enumerable.Range(0, 50).Select(i => i % 2).ToArray(), 2);

    private static void TheLibraryNamesWhatIsWrong() {
        using (var network = Small()) {
            Fails(Status.ZeroSize, "units", () => network.AddGru(0));
            Fails(Status.UnknownConstant, "99", () => network.AddRnn(3, (Activation)99));
            Fails(Status.OutOfRange, "1.5", () => network.AddDropout(1.5f));
            Fails(Status.Length, "5", () => network.Parameters = new float[5]);
            Fails(Status.OutOfRange, "-1", () => Optimizer.Sgd(-1));
        }
    }

    private static void MessagesBelongToTheirThreads() =>
        Parallel.For(0, 2000, i => Fails(Status.Io, $"missing-{i}:", () => Network.Load($"missing-{i}")));

    private static void LengthsAreCheckedBeforeTheCall() {
        using (var network = Small())
        using (var session = new Session(network)) {
            Fails<ArgumentException>("x has 11", () => network.Predict(new Batch(new float[11], 2, 3)));
            Fails<ArgumentException>("lengths", () => network.Forward(new Batch(new float[12], 2, 3, new[] { 3 })));
            Fails(Status.OutOfRange, "", () => network.Forward(new Batch(new float[12], 2, 3, new[] { 3, -1 })));
            network.Forward(new Batch(new float[12], 2, 3));
            Fails<ArgumentException>("expected 4", () => network.Backward(new float[3]));
            Fails<ArgumentException>("units", () => network.AddGru(-1));
            Fails<ArgumentException>("y has 1", () => session.Step(new float[2], new float[1]));
            Fails<ArgumentException>("x has 5", () => session.Run(new float[5]));
            Fails<ArgumentException>("logits", () => Library.SoftmaxCrossEntropy(new float[3], new int[2], 2, new float[3]));
            Fails<ArgumentException>("gradient", () => Library.MeanSquaredError(new float[3], new float[3], new float[2]));
            Fails<ArgumentException>("expected 4", () => Dataset.Classes(1, new float[3], new[] { 2, 2 }, new int[2], 2));
            Fails<ArgumentException>("zero character", () => Network.Load("a\0b"));
        }
    }

    private static void CallsAfterDisposeThrow() {
        var network = Small();
        var session = new Session(network);
        network.Dispose();
        network.Dispose();
        Fails<ObjectDisposedException>("", () => network.SetSeed(1));
        session.Step(new float[2], new float[2]);
        session.Dispose();
        Fails<ObjectDisposedException>("", () => session.Step(new float[2], new float[2]));
    }

    private static void TheCollectorFreesWhatNobodyDisposes() {
        for (var i = 0; i < 200; i++) new Session(Small());
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Check(Small().Predict(new Batch(new float[2], 1, 1)).Length == 2, "a prediction after a collection");
    }

    private static void ShorterSequencesOfABatch() {
        using (var network = Small()) {
            network.SetOutputAll(true);
            var x = new float[] { 1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 9, 9 };
            var y = network.Predict(new Batch(x, 2, 3, new[] { 3, 2 }));
            Check(y.Skip(6).Take(4).SequenceEqual(y.Take(4)) && y[10] == 0 && y[11] == 0, string.Join(" ", y));
        }
    }

    private static void ATokenEndsTheTraining() {
        using (var network = Small())
        using (var dataset = Data())
        using (var sgd = Optimizer.Sgd(0.01, 0.9))
        using (var source = new CancellationTokenSource(50)) {
            Fails<OperationCanceledException>("", () =>
                network.Fit(dataset, sgd, new FitOptions { Epochs = int.MaxValue }, source.Token));
            network.Fit(dataset, sgd, new FitOptions { Epochs = 1, ClipNorm = 1 });
            network.Evaluate(dataset, Loss.SoftmaxCrossEntropy, out var loss, out var accuracy);
            Check(loss > 0 && accuracy >= 0.3, $"{loss} {accuracy}");
        }
    }

    private static void TheMeanOfTheParametersIsTaken() {
        Func<int, bool, float[]> train = (epochs, average) => {
            using (var network = Small())
            using (var dataset = Data())
            using (var sgd = Optimizer.Sgd(0.1)) {
                network.Fit(dataset, sgd, new FitOptions { Epochs = epochs, Average = average });
                return network.Parameters;
            }
        };
        float[] one = train(1, false), two = train(2, false), mean = train(2, true);
        Check(!mean.SequenceEqual(two), "no mean");
        for (int i = 0; i < mean.Length; i++) {
            Check(Math.Abs(mean[i] - 0.1 * one[i] - 0.9 * two[i]) < 1e-6, $"{mean[i]} {one[i]} {two[i]}");
        }
    }

    private static void ALoopOfOnesOwnLearns() {
        using (var network = new Network(1))
        using (var adam = Optimizer.Adam(0.02)) {
            network.AddRnn(8);
            network.AddDense(1);
            network.Initialize(Initializer.GlorotUniform, 1, 3);
            var losses = Enumerable.Range(0, 100).Select(_ => {
                var y = network.Forward(new Batch(new[] { 0.1f, 0.5f, 0.9f, 0.8f, 0.4f, 0.2f }, 2, 3));
                var dy = new float[2];
                var loss = Library.MeanSquaredError(y, new float[] { 1, -1 }, dy);
                network.Backward(dy);
                network.Update(adam);
                return loss;
            }).ToArray();
            Check(losses.Last() < losses.First() / 100, $"{losses.First()} {losses.Last()}");
        }
    }

    private static void FilesKeepEveryParameter() {
        var path = Path.Combine(Path.GetTempPath(), $"gewürz-{Guid.NewGuid()}.safetensors");
        using (var network = Small()) {
            network.Save(path);
            foreach (var read in new Func<string, Network>[] { Network.Load, Network.Import }) {
                using (var other = read(path)) Check(other.Parameters.SequenceEqual(network.Parameters), "parameters");
            }
        }
        File.Delete(path);
    }

    public static void Main() {
        TheLibraryNamesWhatIsWrong();
        MessagesBelongToTheirThreads();
        LengthsAreCheckedBeforeTheCall();
        CallsAfterDisposeThrow();
        TheCollectorFreesWhatNobodyDisposes();
        ShorterSequencesOfABatch();
        ATokenEndsTheTraining();
        TheMeanOfTheParametersIsTaken();
        ALoopOfOnesOwnLearns();
        FilesKeepEveryParameter();
    }
}
