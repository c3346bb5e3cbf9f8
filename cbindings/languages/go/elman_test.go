package elman

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, err error, status Status, part string) {
	t.Helper()
	if !errors.Is(err, status) || !strings.Contains(err.Error(), part) {
		t.Fatalf("%q (%v), expected %q of the kind %q", err, errors.Unwrap(err), part, status)
	}
}

func small(t *testing.T) *Network {
	t.Helper()
	n, err := NewNetwork(2)
	must(t, err)
	must(t, n.SetSeed(7))
	must(t, n.AddLSTM(3))
	must(t, n.AddDense(2, Linear))
	return n
}

// Messages belong to threads, and goroutines move: each must get its own.
func TestErrorsOfManyGoroutines(t *testing.T) {
	var all sync.WaitGroup
	for i := 0; i < 50; i++ {
		all.Add(1)
		go func(i int) {
			defer all.Done()
			for turn := 0; turn < 100; turn++ {
				name := fmt.Sprintf("missing-%d-%d", i, turn)
				_, err := Load(name)
				if !errors.Is(err, ErrIO) || !strings.Contains(err.Error(), name+":") {
					t.Errorf("%s got %q", name, err)
				}
				runtime.Gosched()
			}
		}(i)
	}
	all.Wait()
}

func TestTheLibraryNamesWhatIsWrong(t *testing.T) {
	n := small(t)
	expect(t, n.AddGRU(0), ErrZeroSize, "units")
	expect(t, n.AddRNN(3, 99), ErrUnknownConstant, "99")
	expect(t, n.AddDropout(1.5), ErrOutOfRange, "1.5")
	expect(t, n.SetParameters(make([]float32, 5)), ErrLength, "5")
	expect(t, n.SetParameters(nil), ErrNull, "parameters")
	expect(t, n.AddGRU(-1), ErrSizeOverflow, "")
	_, err := NewSGD(-1, 0)
	expect(t, err, ErrOutOfRange, "-1")
	_, err = Load("a\x00b")
	expect(t, err, ErrIO, "zero byte")
}

func TestLengthsAreCheckedBeforeTheCall(t *testing.T) {
	n := small(t)
	_, err := n.Predict(Batch{X: make([]float32, 11), Sequences: 2, Steps: 3})
	expect(t, err, ErrLength, "11")
	_, err = n.Forward(Batch{X: make([]float32, 12), Sequences: 2, Steps: 3, Lengths: []int{3}})
	expect(t, err, ErrLength, "Lengths")
	_, err = n.Predict(Batch{X: make([]float32, 12), Sequences: 2, Steps: 3, Lengths: []int{3, -1}})
	expect(t, err, ErrOutOfRange, "length")
	_, err = n.Predict(Batch{Sequences: 1 << 32, Steps: 1 << 32})
	expect(t, err, ErrLength, "0 elements")
	_, err = n.Predict(Batch{})
	expect(t, err, ErrZeroSize, "0 sequences")
	_, err = n.Forward(Batch{X: make([]float32, 12), Sequences: 2, Steps: 3})
	must(t, err)
	expect(t, n.Backward(make([]float32, 3)), ErrLength, "expected 4")
	session, err := NewSession(n)
	must(t, err)
	expect(t, session.Step(make([]float32, 2), make([]float32, 1)), ErrLength, "y has 1")
	expect(t, session.Run(make([]float32, 5), make([]float32, 6)), ErrLength, "x has 5")
	_, _, err = SoftmaxCrossEntropy(make([]float32, 3), []int{0, 1}, 2)
	expect(t, err, ErrLength, "expected 4")
	_, err = NewClasses(1, make([]float32, 3), []int{2, 2}, []int{0, 1}, 2)
	expect(t, err, ErrOutOfRange, "lengths[1]")
	_, err = NewClasses(1, make([]float32, 4), []int{2, 2}, []int{0}, 2)
	expect(t, err, ErrLength, "labels")
}

func TestCallsAfterCloseFail(t *testing.T) {
	n := small(t)
	session, err := NewSession(n)
	must(t, err)
	n.Close()
	n.Close()
	expect(t, n.SetSeed(1), ErrNull, "network")
	_, err = n.Predict(Batch{X: make([]float32, 2), Sequences: 1, Steps: 1})
	if err == nil {
		t.Fatal("a closed network predicts")
	}
	// Sessions live on.
	must(t, session.Step(make([]float32, 2), make([]float32, 2)))
	session.Close()
	expect(t, session.Step(make([]float32, 2), make([]float32, 2)), ErrNull, "session")
}

func TestTheCollectorFreesWhatNobodyCloses(t *testing.T) {
	for i := 0; i < 200; i++ {
		n := small(t)
		_, err := NewSession(n)
		must(t, err)
	}
	runtime.GC()
	runtime.GC()
	_, err := small(t).Predict(Batch{X: make([]float32, 2), Sequences: 1, Steps: 1})
	must(t, err)
}

func TestShorterSequencesOfABatch(t *testing.T) {
	n := small(t)
	must(t, n.SetOutputAll(true))
	x := []float32{1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 9, 9}
	y, err := n.Predict(Batch{X: x, Sequences: 2, Steps: 3, Lengths: []int{3, 2}})
	must(t, err)
	if !reflect.DeepEqual(y[6:10], y[:4]) || y[10] != 0 || y[11] != 0 {
		t.Fatal(y)
	}
}

func TestFitEndsWithItsContext(t *testing.T) {
	n, x := small(t), make([]float32, 2*50*20)
	for i := range x {
		x[i] = float32(i%7) / 7
	}
	lengths, labels := make([]int, 50), make([]int, 50)
	for i := range lengths {
		lengths[i], labels[i] = 20, i%2
	}
	data, err := NewClasses(2, x, lengths, labels, 2)
	must(t, err)
	sgd, err := NewSGD(0.01, 0.9)
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err = n.Fit(ctx, data, sgd, FitOptions{Epochs: 1 << 40})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	expect(t, n.Fit(context.Background(), data, sgd, FitOptions{Epochs: -1}), ErrOutOfRange, "-1 epochs")
	must(t, n.Fit(context.Background(), data, sgd, FitOptions{Epochs: 1, ClipNorm: 1}))
	loss, accuracy, err := n.Evaluate(data, CrossEntropy)
	if err != nil || loss <= 0 || accuracy < 0.3 {
		t.Fatal(loss, accuracy, err)
	}
}

func TestFitAverages(t *testing.T) {
	data, err := NewClasses(2, []float32{1, 2, 3, 4, 5, 6}, []int{2, 1}, []int{0, 1}, 2)
	must(t, err)
	train := func(epochs int, average bool) []float32 {
		n := small(t)
		sgd, err := NewSGD(0.1, 0)
		must(t, err)
		must(t, n.Fit(context.Background(), data, sgd, FitOptions{Epochs: epochs, Average: average}))
		parameters, err := n.Parameters()
		must(t, err)
		return parameters
	}
	one, two, mean := train(1, false), train(2, false), train(2, true)
	for i := range mean {
		if math.Abs(float64(mean[i]-0.1*one[i]-0.9*two[i])) > 1e-6 {
			t.Fatal(i, mean[i], one[i], two[i])
		}
	}
	if reflect.DeepEqual(mean, two) {
		t.Fatal("no mean")
	}
}

func TestALoopOfOnesOwnLearns(t *testing.T) {
	n, err := NewNetwork(1)
	must(t, err)
	must(t, n.AddRNN(8, Tanh))
	must(t, n.AddDense(1, Linear))
	must(t, n.Initialize(GlorotUniform, 1, 3))
	adam, err := NewAdam(0.02)
	must(t, err)
	batch := Batch{X: []float32{0.1, 0.5, 0.9, 0.8, 0.4, 0.2}, Sequences: 2, Steps: 3}
	var first, loss float64
	for i := 0; i < 100; i++ {
		y, err := n.Forward(batch)
		must(t, err)
		var dy []float32
		loss, dy, err = MeanSquaredError(y, []float32{1, -1})
		must(t, err)
		must(t, n.Backward(dy))
		must(t, n.Update(adam))
		if i == 0 {
			first = loss
		}
	}
	if loss > first/100 {
		t.Fatal(first, loss)
	}
}

func TestFilesKeepEveryParameter(t *testing.T) {
	n := small(t)
	path := filepath.Join(t.TempDir(), "network.safetensors")
	must(t, n.Save(path))
	for _, read := range []func(string) (*Network, error){Load, Import} {
		other, err := read(path)
		must(t, err)
		a, err := n.Parameters()
		must(t, err)
		b, err := other.Parameters()
		must(t, err)
		if len(a) == 0 || !reflect.DeepEqual(a, b) {
			t.Fatal(a, b)
		}
	}
}
