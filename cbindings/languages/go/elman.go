// Package elman trains and runs recurrent networks on the CPU, through the C library of the same name, which pkg-config must
// find. What each call does is in elman.h, by a similar name.
//
// Different objects may be used by different goroutines at the same time. Predict, Evaluate, Save, Parameters and NewSession
// may be called by any number of goroutines on one network; every other method needs its object to itself.
package elman

/*
#cgo pkg-config: elman
#include <elman.h>
#include <stdlib.h>
*/
import "C"

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"unsafe"
)

// Status is the kind of an error, an ELMAN_ERROR_ constant of elman.h: errors.Is(err, elman.ErrLength).
type Status int

// The kinds of errors.
const (
	ErrNull            Status = C.ELMAN_ERROR_NULL
	ErrAlignment       Status = C.ELMAN_ERROR_ALIGNMENT
	ErrOverlap         Status = C.ELMAN_ERROR_OVERLAP
	ErrZeroSize        Status = C.ELMAN_ERROR_ZERO_SIZE
	ErrSizeOverflow    Status = C.ELMAN_ERROR_SIZE_OVERFLOW
	ErrLength          Status = C.ELMAN_ERROR_LENGTH
	ErrOutOfRange      Status = C.ELMAN_ERROR_OUT_OF_RANGE
	ErrUnknownConstant Status = C.ELMAN_ERROR_UNKNOWN_CONSTANT
	ErrCallOrder       Status = C.ELMAN_ERROR_CALL_ORDER
	ErrMismatch        Status = C.ELMAN_ERROR_MISMATCH
	ErrNotFinite       Status = C.ELMAN_ERROR_NOT_FINITE
	ErrOutOfMemory     Status = C.ELMAN_ERROR_OUT_OF_MEMORY
	ErrThreads         Status = C.ELMAN_ERROR_THREADS
	ErrTier            Status = C.ELMAN_ERROR_TIER
	ErrIO              Status = C.ELMAN_ERROR_IO
	ErrParse           Status = C.ELMAN_ERROR_PARSE
	ErrFormat          Status = C.ELMAN_ERROR_FORMAT
	ErrInternal        Status = C.ELMAN_ERROR_INTERNAL
	ErrCancelled       Status = C.ELMAN_ERROR_CANCELLED
)

// Error says what the status means, in a few words.
func (s Status) Error() string { return C.GoString(C.elman_status_string(C.elman_status(s))) }

// Error is a call that has failed: its kind, and what was wrong.
type Error struct {
	Status  Status
	Message string
}

func (e *Error) Error() string { return e.Message }

// Unwrap gives the status, for errors.Is.
func (e *Error) Unwrap() error { return e.Status }

// call makes a call and, where it fails, asks for its message. The message is that of the thread, so the goroutine stays on one
// for both. The owner's finalizer does not run before the call is over.
func call(owner any, function func() C.elman_status) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer runtime.KeepAlive(owner)
	if status := function(); status != C.ELMAN_OK {
		return &Error{Status(status), C.GoString(C.elman_last_error())}
	}
	return nil
}

func checkLength(name string, length, expected int) error {
	if length != expected {
		return &Error{ErrLength, fmt.Sprintf("%s has %d elements, expected %d", name, length, expected)}
	}
	return nil
}

func floats(values []float32) *C.float {
	if len(values) == 0 {
		return nil
	}
	return (*C.float)(unsafe.Pointer(&values[0]))
}

// sizes hands numbers on as they lie: int is as wide as size_t, and a negative one is far too large there.
func sizes(values []int) *C.size_t {
	if len(values) == 0 {
		return nil
	}
	return (*C.size_t)(unsafe.Pointer(&values[0]))
}

func withPath(path string, function func(path *C.char) error) error {
	if strings.IndexByte(path, 0) >= 0 {
		return &Error{ErrIO, fmt.Sprintf("the path %q contains a zero byte", path)}
	}
	text := C.CString(path)
	defer C.free(unsafe.Pointer(text))
	return function(text)
}

// Version is that of the C library.
func Version() string { return C.GoString(C.elman_version()) }

// Activation is a function of a layer's sums, an activation constant of elman.h.
type Activation uint32

// The most common activations.
const (
	Tanh    Activation = C.ELMAN_TANH
	ReLU    Activation = C.ELMAN_RELU
	Sigmoid Activation = C.ELMAN_SIGMOID
	Linear  Activation = C.ELMAN_LINEAR
)

// Initializer is how parameters are drawn, an ELMAN_INIT_ constant of elman.h.
type Initializer uint32

// The initializers.
const (
	PyTorch       Initializer = C.ELMAN_INIT_PYTORCH
	GlorotNormal  Initializer = C.ELMAN_INIT_GLOROT_NORMAL
	GlorotUniform Initializer = C.ELMAN_INIT_GLOROT_UNIFORM
	HeNormal      Initializer = C.ELMAN_INIT_HE_NORMAL
	HeUniform     Initializer = C.ELMAN_INIT_HE_UNIFORM
	Orthogonal    Initializer = C.ELMAN_INIT_ORTHOGONAL
	Identity      Initializer = C.ELMAN_INIT_IDENTITY
	Gaussian      Initializer = C.ELMAN_INIT_GAUSSIAN
	Constant      Initializer = C.ELMAN_INIT_CONSTANT
	Keras         Initializer = C.ELMAN_INIT_KERAS
)

// Network is a recurrent network. Close gives its memory back at once, the garbage collector at some time.
type Network struct {
	c *C.elman_network
	// The number of outputs of the last Forward.
	forward int
}

func network(create func(out **C.elman_network) error) (*Network, error) {
	n := &Network{}
	if err := create(&n.c); err != nil {
		return nil, err
	}
	runtime.SetFinalizer(n, (*Network).Close)
	return n, nil
}

// NewNetwork makes a network for sequences of inputSize features a step, without layers.
func NewNetwork(inputSize int) (*Network, error) {
	return network(func(out **C.elman_network) error {
		return call(nil, func() C.elman_status { return C.elman_create(C.size_t(inputSize), out) })
	})
}

// Load reads a network that Save has written.
func Load(path string) (*Network, error) {
	return network(func(out **C.elman_network) error {
		return withPath(path, func(path *C.char) error {
			return call(nil, func() C.elman_status { return C.elman_load(path, out) })
		})
	})
}

// Import reads a network that another system has written, PyTorch or ONNX among them.
func Import(path string) (*Network, error) {
	return network(func(out **C.elman_network) error {
		return withPath(path, func(path *C.char) error {
			return call(nil, func() C.elman_status { return C.elman_import(path, nil, out) })
		})
	})
}

// Close frees the network. Every call after it fails; a second Close does nothing.
func (n *Network) Close() {
	C.elman_destroy(n.c)
	n.c = nil
	runtime.SetFinalizer(n, nil)
}

// Save writes the network to a file.
func (n *Network) Save(path string) error {
	return withPath(path, func(path *C.char) error {
		return call(n, func() C.elman_status { return C.elman_save(n.c, path) })
	})
}

// SetSeed sets where random numbers start.
func (n *Network) SetSeed(seed uint64) error {
	return call(n, func() C.elman_status { return C.elman_set_seed(n.c, C.uint64_t(seed)) })
}

// SetThreads sets the number of threads of a call; 0 is one per core.
func (n *Network) SetThreads(threads int) error {
	return call(n, func() C.elman_status { return C.elman_set_threads(n.c, C.size_t(threads)) })
}

// SetOutputAll makes the network give the outputs of all steps, or those of the last step alone, as it does by itself.
func (n *Network) SetOutputAll(all bool) error {
	mode := C.uint32_t(C.ELMAN_OUTPUT_LAST)
	if all {
		mode = C.ELMAN_OUTPUT_ALL
	}
	return call(n, func() C.elman_status { return C.elman_set_output(n.c, mode) })
}

// AddRNN adds a plain recurrent layer.
func (n *Network) AddRNN(units int, activation Activation) error {
	return call(n, func() C.elman_status { return C.elman_add_rnn(n.c, C.size_t(units), C.uint32_t(activation)) })
}

// AddGRU adds a gated recurrent unit as PyTorch has it.
func (n *Network) AddGRU(units int) error {
	return call(n, func() C.elman_status { return C.elman_add_gru(n.c, C.size_t(units), nil) })
}

// AddLSTM adds long short-term memory as PyTorch has it.
func (n *Network) AddLSTM(units int) error {
	return call(n, func() C.elman_status { return C.elman_add_lstm(n.c, C.size_t(units), nil) })
}

// AddDense adds a dense layer.
func (n *Network) AddDense(units int, activation Activation) error {
	return call(n, func() C.elman_status { return C.elman_add_dense(n.c, C.size_t(units), C.uint32_t(activation)) })
}

// AddDropout adds dropout.
func (n *Network) AddDropout(rate float32) error {
	return call(n, func() C.elman_status { return C.elman_add_dropout(n.c, C.float(rate)) })
}

// Initialize draws all parameters anew.
func (n *Network) Initialize(scheme Initializer, scale float32, seed uint64) error {
	return call(n, func() C.elman_status {
		return C.elman_initialize(n.c, C.uint32_t(scheme), C.float(scale), C.uint64_t(seed))
	})
}

// InputSize is the number of features of a step of the input.
func (n *Network) InputSize() int {
	defer runtime.KeepAlive(n)
	return int(C.elman_input_size(n.c))
}

// OutputSize is the number of features of a step of the output.
func (n *Network) OutputSize() int {
	defer runtime.KeepAlive(n)
	return int(C.elman_output_size(n.c))
}

// Parameters gives a copy of all parameters.
func (n *Network) Parameters() ([]float32, error) {
	parameters := make([]float32, int(C.elman_parameter_count(n.c)))
	if len(parameters) == 0 {
		return parameters, nil
	}
	err := call(n, func() C.elman_status {
		return C.elman_get_parameters(n.c, floats(parameters), C.size_t(len(parameters)))
	})
	return parameters, err
}

// SetParameters replaces all parameters.
func (n *Network) SetParameters(parameters []float32) error {
	return call(n, func() C.elman_status {
		return C.elman_set_parameters(n.c, floats(parameters), C.size_t(len(parameters)))
	})
}

// Batch is sequences one after the other, X [Sequences][Steps][input size].
type Batch struct {
	X                []float32
	Sequences, Steps int
	// The steps of each sequence that count; nil: all.
	Lengths []int
}

// outputs checks the lengths of a batch, and makes room for what comes out.
func (n *Network) outputs(batch Batch) ([]float32, error) {
	if batch.Sequences < 1 || batch.Steps < 1 {
		return nil, &Error{ErrZeroSize, fmt.Sprintf("a batch of %d sequences of %d steps", batch.Sequences, batch.Steps)}
	}
	// Divided, not multiplied: nothing can overflow.
	if size := n.InputSize(); len(batch.X)%batch.Sequences != 0 || len(batch.X)/batch.Sequences%batch.Steps != 0 ||
		len(batch.X)/batch.Sequences/batch.Steps != size {
		return nil, &Error{ErrLength, fmt.Sprintf("X has %d elements, expected %d sequences of %d steps of %d features",
			len(batch.X), batch.Sequences, batch.Steps, size)}
	}
	if batch.Lengths != nil {
		if err := checkLength("Lengths", len(batch.Lengths), batch.Sequences); err != nil {
			return nil, err
		}
	}
	rows := batch.Sequences
	if C.elman_output(n.c) == C.ELMAN_OUTPUT_ALL {
		rows *= batch.Steps
	}
	return make([]float32, rows*n.OutputSize()), nil
}

// Predict runs a batch. It gives the outputs of the last step of each sequence, [Sequences][output size], or after SetOutputAll
// those of all steps, [Sequences][Steps][output size].
func (n *Network) Predict(batch Batch) ([]float32, error) {
	y, err := n.outputs(batch)
	if err != nil {
		return nil, err
	}
	err = call(n, func() C.elman_status {
		return C.elman_predict(n.c, floats(batch.X), C.size_t(batch.Sequences), C.size_t(batch.Steps), sizes(batch.Lengths),
			nil, floats(y), nil)
	})
	if err != nil {
		return nil, err
	}
	return y, nil
}

// Forward runs a batch as Predict does, but for training: it keeps what Backward needs.
func (n *Network) Forward(batch Batch) ([]float32, error) {
	y, err := n.outputs(batch)
	if err != nil {
		return nil, err
	}
	err = call(n, func() C.elman_status {
		return C.elman_forward(n.c, floats(batch.X), C.size_t(batch.Sequences), C.size_t(batch.Steps), sizes(batch.Lengths),
			nil, floats(y), nil)
	})
	if err != nil {
		return nil, err
	}
	n.forward = len(y)
	return y, nil
}

// Backward adds the gradients of the parameters, given those of what the last Forward gave.
func (n *Network) Backward(dy []float32) error {
	if err := checkLength("dy", len(dy), n.forward); err != nil {
		return err
	}
	return call(n, func() C.elman_status { return C.elman_backward(n.c, floats(dy), nil, nil, nil) })
}

// Update lets the optimizer apply the gradients, and sets them to 0.
func (n *Network) Update(optimizer *Optimizer) error {
	defer runtime.KeepAlive(optimizer)
	return call(n, func() C.elman_status { return C.elman_update(n.c, optimizer.c) })
}

// Loss is what Fit makes small, an ELMAN_LOSS_ constant of elman.h.
type Loss uint32

// The losses of Fit.
const (
	CrossEntropy       Loss = C.ELMAN_LOSS_SOFTMAX_CROSS_ENTROPY
	SquaredError       Loss = C.ELMAN_LOSS_MEAN_SQUARED_ERROR
	BinaryCrossEntropy Loss = C.ELMAN_LOSS_BINARY_CROSS_ENTROPY
)

// FitOptions is how Fit trains.
type FitOptions struct {
	Loss      Loss
	Epochs    int // 0: 30
	BatchSize int // 0: 16
	Seed      uint64
	ClipNorm  float64 // the largest norm of the gradients; 0: no limit
	Average   bool    // the network gets a mean of its parameters over the epochs, in which later ones count for more
}

// Fit trains the network on a data set. It ends with ctx.Err() once the context is done; the network then has the parameters of
// the last update.
func (n *Network) Fit(ctx context.Context, dataset *Dataset, optimizer *Optimizer, options FitOptions) error {
	defer runtime.KeepAlive(dataset)
	defer runtime.KeepAlive(optimizer)
	var c C.elman_fit_options
	if err := call(nil, func() C.elman_status {
		return C.elman_fit_options_init(&c, C.sizeof_elman_fit_options)
	}); err != nil {
		return err
	}
	if options.Epochs < 0 || options.BatchSize < 0 {
		return &Error{ErrOutOfRange, fmt.Sprintf("%d epochs of batches of %d", options.Epochs, options.BatchSize)}
	}
	c.loss, c.seed = C.uint32_t(options.Loss), C.uint64_t(options.Seed)
	if options.Epochs != 0 {
		c.epochs = C.size_t(options.Epochs)
	}
	if options.BatchSize != 0 {
		c.batch_size = C.size_t(options.BatchSize)
	}
	if options.ClipNorm != 0 {
		c.clip, c.clip_limit = C.ELMAN_CLIP_NORM, C.double(options.ClipNorm)
	}
	if options.Average {
		c.average = 1
	}
	var cancellation *C.elman_cancellation
	if err := call(nil, func() C.elman_status { return C.elman_cancellation_create(&cancellation) }); err != nil {
		return err
	}
	defer C.elman_cancellation_destroy(cancellation)
	c.cancel = cancellation

	ended, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-ctx.Done():
			C.elman_cancellation_set(cancellation, 1)
		case <-ended:
		}
	}()
	err := call(n, func() C.elman_status { return C.elman_fit(n.c, dataset.c, optimizer.c, &c) })
	close(ended)
	<-watched
	if e, failed := err.(*Error); failed && e.Status == ErrCancelled {
		return ctx.Err()
	}
	return err
}

// Evaluate gives the loss and the accuracy of the network on a data set, with the loss of the options.
func (n *Network) Evaluate(dataset *Dataset, loss Loss) (mean, accuracy float64, err error) {
	defer runtime.KeepAlive(dataset)
	var c C.elman_fit_options
	err = call(n, func() C.elman_status {
		if status := C.elman_fit_options_init(&c, C.sizeof_elman_fit_options); status != C.ELMAN_OK {
			return status
		}
		c.loss = C.uint32_t(loss)
		return C.elman_evaluate(n.c, dataset.c, &c, (*C.double)(&mean), (*C.double)(&accuracy), nil)
	})
	return mean, accuracy, err
}

// Dataset is sequences and what a network should answer. Close gives its memory back at once.
type Dataset struct{ c *C.elman_dataset }

// NewClasses makes a data set of sequences of one class each: x has their steps one after the other, lengths the steps of each,
// labels the class of each, or -1 where it has none.
func NewClasses(inputSize int, x []float32, lengths []int, labels []int, classes int) (*Dataset, error) {
	if err := checkSequences(inputSize, x, lengths); err != nil {
		return nil, err
	}
	if err := checkLength("labels", len(labels), len(lengths)); err != nil {
		return nil, err
	}
	return dataset(func(out **C.elman_dataset) C.elman_status {
		return C.elman_dataset_create_classes(C.size_t(inputSize), floats(x), sizes(lengths), C.size_t(len(lengths)),
			sizes(labels), C.size_t(classes), 0, out)
	})
}

// NewValues makes a data set of sequences with a vector of numbers each, values [len(lengths)][size].
func NewValues(inputSize int, x []float32, lengths []int, values []float32, size int) (*Dataset, error) {
	if err := checkSequences(inputSize, x, lengths); err != nil {
		return nil, err
	}
	if err := checkLength("values", len(values), len(lengths)*size); err != nil {
		return nil, err
	}
	return dataset(func(out **C.elman_dataset) C.elman_status {
		return C.elman_dataset_create_values(C.size_t(inputSize), floats(x), sizes(lengths), C.size_t(len(lengths)),
			floats(values), C.size_t(size), 0, out)
	})
}

func checkSequences(inputSize int, x []float32, lengths []int) error {
	steps := 0
	for sequence, length := range lengths {
		if length < 1 || length > len(x)-steps {
			return &Error{ErrOutOfRange, fmt.Sprintf("lengths[%d] is %d, of a data set of %d numbers", sequence, length, len(x))}
		}
		steps += length
	}
	return checkLength("x", len(x), steps*inputSize)
}

func dataset(create func(out **C.elman_dataset) C.elman_status) (*Dataset, error) {
	d := &Dataset{}
	if err := call(nil, func() C.elman_status { return create(&d.c) }); err != nil {
		return nil, err
	}
	runtime.SetFinalizer(d, (*Dataset).Close)
	return d, nil
}

// Close frees the data set. Every call after it fails; a second Close does nothing.
func (d *Dataset) Close() {
	C.elman_dataset_destroy(d.c)
	d.c = nil
	runtime.SetFinalizer(d, nil)
}

// Optimizer is an update rule and what it remembers. Close gives its memory back at once.
type Optimizer struct{ c *C.elman_optimizer }

func optimizer(create func(out **C.elman_optimizer) C.elman_status) (*Optimizer, error) {
	o := &Optimizer{}
	if err := call(nil, func() C.elman_status { return create(&o.c) }); err != nil {
		return nil, err
	}
	runtime.SetFinalizer(o, (*Optimizer).Close)
	return o, nil
}

// NewSGD makes stochastic gradient descent, with momentum where that is not 0.
func NewSGD(learningRate, momentum float64) (*Optimizer, error) {
	return optimizer(func(out **C.elman_optimizer) C.elman_status {
		return C.elman_sgd_create(C.double(learningRate), C.double(momentum), 0, 0, out)
	})
}

// NewAdam makes Adam with the usual settings: beta 0.9 and 0.999, epsilon 1e-8, no weight decay.
func NewAdam(learningRate float64) (*Optimizer, error) {
	return optimizer(func(out **C.elman_optimizer) C.elman_status {
		return C.elman_adam_create(C.double(learningRate), 0.9, 0.999, 1e-8, 0, out)
	})
}

// Close frees the optimizer. Every call after it fails; a second Close does nothing.
func (o *Optimizer) Close() {
	C.elman_optimizer_destroy(o.c)
	o.c = nil
	runtime.SetFinalizer(o, nil)
}

// SoftmaxCrossEntropy gives the loss of logits [len(labels)][classes] and its gradient. A label of -1 does not count.
func SoftmaxCrossEntropy(logits []float32, labels []int, classes int) (loss float64, dlogits []float32, err error) {
	if err := checkLength("logits", len(logits), len(labels)*classes); err != nil {
		return 0, nil, err
	}
	dlogits = make([]float32, len(logits))
	err = call(nil, func() C.elman_status {
		return C.elman_softmax_cross_entropy(floats(logits), sizes(labels), C.size_t(len(labels)), C.size_t(classes),
			(*C.double)(&loss), floats(dlogits))
	})
	return loss, dlogits, err
}

// MeanSquaredError gives the loss of outputs and its gradient.
func MeanSquaredError(y, targets []float32) (loss float64, dy []float32, err error) {
	if err := checkLength("targets", len(targets), len(y)); err != nil {
		return 0, nil, err
	}
	dy = make([]float32, len(y))
	err = call(nil, func() C.elman_status {
		return C.elman_mean_squared_error(floats(y), floats(targets), C.size_t(len(y)), (*C.double)(&loss), floats(dy))
	})
	return loss, dy, err
}

// Session runs one sequence in steps or blocks of steps, with the bits of the whole sequence. Close gives its memory back at
// once.
type Session struct {
	c                     *C.elman_session
	inputSize, outputSize int
}

// NewSession starts a stream through the parameters that the network has now.
func NewSession(network *Network) (*Session, error) {
	s := &Session{inputSize: network.InputSize(), outputSize: network.OutputSize()}
	if err := call(network, func() C.elman_status { return C.elman_session_create(network.c, &s.c) }); err != nil {
		return nil, err
	}
	runtime.SetFinalizer(s, (*Session).Close)
	return s, nil
}

// Step runs one step: x [input size] to y [output size]. It allocates nothing.
func (s *Session) Step(x, y []float32) error {
	if err := checkLength("x", len(x), s.inputSize); err != nil {
		return err
	}
	if err := checkLength("y", len(y), s.outputSize); err != nil {
		return err
	}
	return call(s, func() C.elman_status { return C.elman_session_step(s.c, floats(x), floats(y)) })
}

// Run runs some steps: x [steps][input size] to y [steps][output size]. It allocates nothing.
func (s *Session) Run(x, y []float32) error {
	steps := len(x) / s.inputSize
	if err := checkLength("x", len(x), steps*s.inputSize); err != nil {
		return err
	}
	if err := checkLength("y", len(y), steps*s.outputSize); err != nil {
		return err
	}
	return call(s, func() C.elman_status { return C.elman_session_run(s.c, floats(x), C.size_t(steps), floats(y)) })
}

// Reset lets the stream start again.
func (s *Session) Reset() error {
	return call(s, func() C.elman_status { return C.elman_session_reset(s.c) })
}

// Close frees the session. Every call after it fails; a second Close does nothing.
func (s *Session) Close() {
	C.elman_session_destroy(s.c)
	s.c = nil
	runtime.SetFinalizer(s, nil)
}
