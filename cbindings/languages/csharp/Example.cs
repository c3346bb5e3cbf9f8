// A network learns to tell two kinds of noisy waves apart, streams through one, is saved and loaded again.
using System;
using System.Globalization;
using System.IO;
using System.Linq;
using Elman;

public static class Example {
    private const int Count = 100, Steps = 24, Classes = 2;
    private static uint state = 1;

    // A linear congruential generator, the same one in every language.
    private static uint Random() {
        state = unchecked(state * 1664525 + 1013904223);
        return state;
    }

    /// <summary>Square waves of period 4 (class 0) and 6 (class 1) in noise.</summary>
    private static float[] Waves() {
        var x = new float[Count * Steps];
        for (var i = 0; i < Count; i++) {
            var period = 4 + 2 * (i % Classes);
            var phase = (int)(Random() >> 16) % period;
            for (var step = 0; step < Steps; step++) {
                var wave = (step + phase) % period < period / 2 ? 0.5 : -0.5;
                x[i * Steps + step] = (float)(wave + (Random() >> 8) / 16777216.0 - 0.5);
            }
        }
        return x;
    }

    /// <summary>A number that changes with any bit of the values.</summary>
    private static uint Digest(float[] values) {
        var sum = 0u;
        foreach (var value in values) sum = unchecked(sum * 31 + BitConverter.ToUInt32(BitConverter.GetBytes(value), 0));
        return sum;
    }

    private static string Same(float[] a, float[] b) =>
        a.Length == b.Length && Digest(a) == Digest(b) ? "the same bits" : "OTHER BITS";

    public static void Main() {
        CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
        var x = Waves();
        var testX = Waves();
        var labels = Enumerable.Range(0, Count).Select(i => i % Classes).ToArray();
        var test = new Batch(testX, Count, Steps);

        using (var network = new Network(1))
        using (var adam = Optimizer.Adam(0.01)) {
            network.SetSeed(42);
            network.AddGru(12);
            network.AddDense(Classes, Activation.Linear);
            Console.WriteLine($"elman {Library.Version}, {network.Parameters.Length} parameters");

            // A step of training by hand.
            var gradient = new float[Count * Classes];
            var before = Library.SoftmaxCrossEntropy(network.Forward(new Batch(x, Count, Steps)), labels, Classes, gradient);
            network.Backward(gradient);
            network.Update(adam);
            Console.WriteLine($"before training: loss {before:F3}");

            // The others in one call.
            using (var dataset = Dataset.Classes(1, x, Enumerable.Repeat(Steps, Count).ToArray(), labels, Classes)) {
                network.Fit(dataset, adam, new FitOptions { Epochs = 40, BatchSize = 10 });
            }

            var y = network.Predict(test);
            var after = Library.SoftmaxCrossEntropy(y, labels, Classes, gradient);
            var right = Enumerable.Range(0, Count).Count(i => (y[2 * i + 1] > y[2 * i]) == (labels[i] == 1));
            Console.WriteLine($"after training: loss {after:F3}, {right} of {Count} right");

            // The first sequence as a stream.
            var first = y.Take(Classes).ToArray();
            var last = new float[Classes];
            using (var session = new Session(network)) {
                for (var step = 0; step < Steps; step++) session.Step(new[] { testX[step] }, last);
                Console.WriteLine($"step by step: {Same(last, first)}");
                session.Reset();
                var all = session.Run(testX.Take(Steps).ToArray());
                Console.WriteLine($"as a block: {Same(all.Skip(all.Length - Classes).ToArray(), first)}");
            }

            const string path = "waves.safetensors";
            network.Save(path);
            using (var loaded = Network.Load(path)) Console.WriteLine($"saved and loaded: {Same(loaded.Predict(test), y)}");
            File.Delete(path);

            try {
                Network.Load("missing.safetensors");
            } catch (ElmanException error) {
                Console.WriteLine($"error: {error.Message}");
            }
            Console.WriteLine("bits: {0:x16} {1:x16} {2:x8} {3:x8}", BitConverter.DoubleToInt64Bits(before),
                BitConverter.DoubleToInt64Bits(after), Digest(network.Parameters), Digest(y));
        }
    }
}
