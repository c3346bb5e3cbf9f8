// A network learns to tell two kinds of noisy waves apart, streams through one, is saved and loaded again.
package main

import (
	"context"
	"fmt"
	"log"
	"math"
	"os"

	"elman"
)

const (
	count   = 100
	steps   = 24
	classes = 2
)

// random is a linear congruential generator, the same one in every language.
type random uint32

func (r *random) next() uint32 {
	*r = *r*1664525 + 1013904223
	return uint32(*r)
}

// waves makes square waves of period 4 (class 0) and 6 (class 1) in noise.
func (r *random) waves() (x []float32, labels []int) {
	for i := 0; i < count; i++ {
		class := i % classes
		period := 4 + 2*class
		phase := int(r.next()>>16) % period
		for step := 0; step < steps; step++ {
			wave := -0.5
			if (step+phase)%period < period/2 {
				wave = 0.5
			}
			x = append(x, float32(wave+float64(r.next()>>8)/(1<<24)-0.5))
		}
		labels = append(labels, class)
	}
	return x, labels
}

// digest is a number that changes with any bit of the values.
func digest(values []float32) uint32 {
	sum := uint32(0)
	for _, value := range values {
		sum = sum*31 + math.Float32bits(value)
	}
	return sum
}

func same(a, b []float32) string {
	if len(a) == len(b) && digest(a) == digest(b) {
		return "the same bits"
	}
	return "OTHER BITS"
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	generator := random(1)
	x, labels := generator.waves()
	testX, testLabels := generator.waves()
	batch := elman.Batch{X: x, Sequences: count, Steps: steps}
	test := elman.Batch{X: testX, Sequences: count, Steps: steps}

	network, err := elman.NewNetwork(1)
	check(err)
	defer network.Close()
	check(network.SetSeed(42))
	check(network.AddGRU(12))
	check(network.AddDense(classes, elman.Linear))
	parameters, err := network.Parameters()
	check(err)
	fmt.Printf("elman %s, %d parameters\n", elman.Version(), len(parameters))

	// A step of training by hand.
	adam, err := elman.NewAdam(0.01)
	check(err)
	defer adam.Close()
	y, err := network.Forward(batch)
	check(err)
	before, dy, err := elman.SoftmaxCrossEntropy(y, labels, classes)
	check(err)
	check(network.Backward(dy))
	check(network.Update(adam))
	fmt.Printf("before training: loss %.3f\n", before)

	// The others in one call.
	lengths := make([]int, count)
	for i := range lengths {
		lengths[i] = steps
	}
	dataset, err := elman.NewClasses(1, x, lengths, labels, classes)
	check(err)
	defer dataset.Close()
	check(network.Fit(context.Background(), dataset, adam, elman.FitOptions{Epochs: 40, BatchSize: 10}))
	parameters, err = network.Parameters()
	check(err)

	y, err = network.Predict(test)
	check(err)
	after, _, err := elman.SoftmaxCrossEntropy(y, testLabels, classes)
	check(err)
	right := 0
	for i, label := range testLabels {
		if (y[2*i+1] > y[2*i]) == (label == 1) {
			right++
		}
	}
	fmt.Printf("after training: loss %.3f, %d of %d right\n", after, right, count)

	// The first sequence as a stream.
	session, err := elman.NewSession(network)
	check(err)
	defer session.Close()
	last := make([]float32, classes)
	for step := 0; step < steps; step++ {
		check(session.Step(testX[step:step+1], last))
	}
	fmt.Println("step by step:", same(last, y[:classes]))
	check(session.Reset())
	all := make([]float32, steps*classes)
	check(session.Run(testX[:steps], all))
	fmt.Println("as a block:", same(all[(steps-1)*classes:], y[:classes]))

	const path = "waves.safetensors"
	check(network.Save(path))
	defer os.Remove(path)
	loaded, err := elman.Load(path)
	check(err)
	defer loaded.Close()
	again, err := loaded.Predict(test)
	check(err)
	fmt.Println("saved and loaded:", same(again, y))

	_, err = elman.Load("missing.safetensors")
	fmt.Println("error:", err)
	fmt.Printf("bits: %016x %016x %08x %08x\n", math.Float64bits(before), math.Float64bits(after), digest(parameters), digest(y))
}
