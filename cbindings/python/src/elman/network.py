"""Networks: layers, running them, and one's own training loop."""

from __future__ import annotations

import functools
import os
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast, overload

import numpy as np
from numpy.typing import ArrayLike

from elman import _names, training
from elman._arrays import Floats, Sizes, floats, pointer, result, sizes, view
from elman._guard import Guard
from elman._library import (
    ArgumentError,
    CallOrderError,
    check,
    create,
    ffi,
    lib,
    options,
    path_bytes,
    text,
    text_bytes,
    texts,
)
from elman._names import Activation, ActivationName, AnyActivation, LayerKind, Output, RecurrentOptions, Scheme

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from elman.dataset import Dataset
    from elman.optimizers import Optimizer
    from elman.session import Session
    from elman.training import BatchCallback, Cancellation, EpochCallback, Evaluation, FitOptions, History


@dataclass(frozen=True)
class Tensor:
    """Where a tensor of a layer lies in the flat parameters: a matrix [rows][columns], row-major."""

    name: str
    rows: int
    columns: int
    offset: int
    gates: int
    direction: Literal["forward", "reverse"]

    def of(self, parameters: Floats) -> Floats:
        """The tensor of flat parameters or gradients, a view of them: [rows, columns], or [columns] of a single row."""
        matrix = parameters[self.offset : self.offset + self.rows * self.columns].reshape(self.rows, self.columns)
        return matrix[0] if self.rows == 1 else matrix


@dataclass(frozen=True)
class Layer:
    """What a layer is; the header's elman_layer_info says what each field means."""

    kind: LayerKind
    activation: Activation
    rate: float
    input_size: int
    output_size: int
    parameter_offset: int
    parameter_count: int
    state_offset: int
    state_size: int
    trainable: bool
    epsilon: float
    classes: int
    units: int
    numbers: tuple[int, ...]
    options: RecurrentOptions | None
    tensors: tuple[Tensor, ...]


class Standardization(NamedTuple):
    """How a network standardises its inputs: x -> (x - mean) / deviation, feature by feature."""

    mean: Floats
    deviation: Floats


def _activation(value: AnyActivation, argument: str) -> tuple[int, float, float]:
    name, alpha, beta = value if isinstance(value, Activation) else Activation(*((value,) if isinstance(value, str) else value))
    nan = float("nan")
    return _names.number("activation", name, argument), nan if alpha is None else alpha, nan if beta is None else beta


@functools.cache
def _default_parameters(activation: int) -> tuple[float, float]:
    """Alpha and beta of an activation where nobody asks for others, as a layer has them that can't be asked."""
    network = create("elman_network", lib.elman_create, 1)
    check(lib.elman_add_dense(network, 1, activation))
    info = ffi.new("elman_layer_info *")
    check(lib.elman_get_layer_info(network, 0, info, ffi.sizeof("elman_layer_info")))
    return info.alpha, info.beta


def _recurrent_options(values: RecurrentOptions, activation: AnyActivation | None = None) -> Any:
    """The struct of these options; unknown ones are a TypeError as unknown arguments are."""
    fields = options("elman_recurrent_options", {})
    if activation is not None:
        _, fields.activation_alpha, fields.activation_beta = _activation(activation, "activation")
    known = RecurrentOptions.__annotations__
    for name, value in values.items():
        if name not in known:
            raise TypeError(f"a recurrent layer has no option {name!r}; it has {', '.join(known)}")
        if name in ("gates", "candidate", "output"):
            pair = value if isinstance(value, list) else [value, value]
            if len(pair) != 2:
                raise ArgumentError(f"{name} has {len(pair)} activations; expected one, or a list of two")
            both = 2 if values.get("direction") == "bidirectional" else 1
            for direction, one in enumerate(pair[:both]):
                number, alpha, beta = _activation(cast(AnyActivation, one), name)
                getattr(fields, name)[direction] = number
                getattr(fields, f"{name}_alpha")[direction] = alpha
                getattr(fields, f"{name}_beta")[direction] = beta
        elif name in _names.GROUPS and name != "output":
            setattr(fields, name, _names.number(name, cast(str, value)))
        elif name in ("bias", "peepholes", "coupled"):
            setattr(fields, name, int(bool(value)))
        else:
            setattr(fields, name, value)
    return fields


class Network:
    """A recurrent network: sequences of `input_size` features a step go through its layers.

    Layers are added from the input on; each draws its parameters from `seed`, so a network is ready to be trained. Methods that
    add return the network, so that calls may follow each other. Arrays are float32; see the guide for what others become.

    Any number of threads may use one network; calls that change it wait for the others, and the others for them. What the
    library refuses is an ElmanError, most often ArgumentError; an argument of a wrong type is a TypeError.
    """

    def __init__(self, input_size: int, *, output: Output = "last", seed: int = 0, threads: int = 1) -> None:
        self._take(create("elman_network", lib.elman_create, input_size))
        self.output = output
        self.seed = seed
        self.threads = threads

    def _take(self, handle: Any, guard: Guard | None = None) -> None:
        self._handle = handle
        self._guard = guard or Guard("this network")
        # The gradients that arrays are over, and the sizes [batch, steps] of the last forward pass.
        self._views: weakref.WeakSet[Any] = weakref.WeakSet()
        self._pass: tuple[int, int] | None = None

    @classmethod
    def _of(cls, handle: Any) -> Self:
        network = cls.__new__(cls)
        network._take(handle)
        return network

    def _raw(self, name: str) -> int:
        """What a getter gives. The guard must be held."""
        return int(getattr(lib, f"elman_{name}")(self._handle))

    def _get(self, name: str) -> int:
        with self._guard.shared:
            return self._raw(name)

    # What it is made of

    def _add(self, function: str, *arguments: Any) -> Self:
        with self._guard.exclusive:
            if self._views:
                raise BufferError("arrays over the gradients are still in use: delete them before a layer is added")
            check(getattr(lib, function)(self._handle, *arguments))
            self._pass = None
        return self

    def add_rnn(self, units: int, activation: AnyActivation = "tanh", **options: Unpack[RecurrentOptions]) -> Self:
        """Adds a plain recurrent layer, h_t = f(x_t W_x + h_{t-1} W_h + b)."""
        number, *_ = _activation(activation, "activation")
        return self._add("elman_add_recurrent", units, number, _recurrent_options(options, activation))

    def add_gru(self, units: int, **options: Unpack[RecurrentOptions]) -> Self:
        """Adds a gated recurrent unit, by default PyTorch's nn.GRU."""
        return self._add("elman_add_gru", units, _recurrent_options(options))

    def add_lstm(self, units: int, **options: Unpack[RecurrentOptions]) -> Self:
        """Adds long short-term memory, by default PyTorch's nn.LSTM."""
        return self._add("elman_add_lstm", units, _recurrent_options(options))

    def add_dense(self, units: int, activation: ActivationName = "linear") -> Self:
        """Adds a dense layer y = f(x W + b), which sees each step by itself."""
        return self._add("elman_add_dense", units, _names.number("activation", activation))

    def add_dropout(self, rate: float) -> Self:
        """Adds dropout, which training alone applies."""
        return self._add("elman_add_dropout", rate)

    def add_activation(self, activation: AnyActivation) -> Self:
        """Adds a layer that applies an activation to each element."""
        number, alpha, beta = _activation(activation, "activation")
        defaults = _default_parameters(number)
        alpha, beta = (default if np.isnan(value) else value for value, default in zip((alpha, beta), defaults, strict=True))
        return self._add("elman_add_activation", number, alpha, beta)

    def add_layer_norm(self, epsilon: float = 1e-5) -> Self:
        """Adds layer normalisation as PyTorch's LayerNorm."""
        return self._add("elman_add_layer_norm", epsilon)

    def add_embedding(self, columns: Iterable[int], classes: int, size: int) -> Self:
        """Adds an embedding: these columns of the input are indices, which rows of a table [classes, size] take the place of."""
        numbers = sizes(list(columns), "columns", ["columns"])
        return self._add("elman_add_embedding", pointer(numbers), len(numbers), classes, size)

    def add_concat(self, layers: Iterable[int]) -> Self:
        """Adds a layer that gives outputs of earlier layers side by side: 0 is the input, i the output of the i-th layer."""
        numbers = sizes(list(layers), "layers", ["layers"])
        return self._add("elman_add_concat", pointer(numbers), len(numbers))

    def add_residual(self, layer: int) -> Self:
        """Adds a layer that adds the output of an earlier layer to that of the layer before: 0 is the input."""
        return self._add("elman_add_residual", layer)

    @property
    def input_size(self) -> int:
        """Features of a step of the input."""
        return self._get("input_size")

    @property
    def output_size(self) -> int:
        """Features of a step of the output."""
        return self._get("output_size")

    @property
    def state_size(self) -> int:
        """Elements of a sequence's state."""
        return self._get("state_size")

    @property
    def output(self) -> Output:
        """What the network gives for a sequence: the output of its "last" step, or those of "all" steps."""
        return cast(Output, _names.name("output", self._get("output")))

    @output.setter
    def output(self, mode: Output) -> None:
        number = _names.number("output", mode)
        with self._guard.exclusive:
            check(lib.elman_set_output(self._handle, number))
            self._pass = None

    @property
    def time_major(self) -> bool:
        """Whether arrays of steps are [steps, batch, features] instead of [batch, steps, features]. Files have it not."""
        return bool(self._get("get_time_major"))

    @time_major.setter
    def time_major(self, value: bool) -> None:
        with self._guard.exclusive:
            check(lib.elman_set_time_major(self._handle, int(bool(value))))
            self._pass = None

    @property
    def threads(self) -> int:
        """Threads that a call may use, the calling one among them; setting 0 means one per core. Results never depend on it."""
        return self._get("threads")

    @threads.setter
    def threads(self, threads: int) -> None:
        with self._guard.exclusive:
            check(lib.elman_set_threads(self._handle, threads))

    def set_parallel_threshold(self, operations: int) -> None:
        """Sets the floating-point operations from which a call uses two threads."""
        with self._guard.exclusive:
            check(lib.elman_set_parallel_threshold(self._handle, operations))

    @property
    def seed(self) -> int:
        """Where random numbers start: those of dropout and of the layers that are added from then on."""
        return self._get("get_seed")

    @seed.setter
    def seed(self, seed: int) -> None:
        with self._guard.exclusive:
            check(lib.elman_set_seed(self._handle, seed))

    @property
    def epochs(self) -> int:
        """Epochs that fit() has ended since the seed was set."""
        return self._get("get_epochs")

    @property
    def passes(self) -> int:
        """Forward passes for training since the seed was set."""
        return self._get("get_passes")

    def initialize(self, scheme: Scheme = "pytorch", scale: float = 1.0, seed: int = 0) -> Self:
        """Draws all parameters anew."""
        with self._guard.exclusive:
            check(lib.elman_initialize(self._handle, _names.number("scheme", scheme), scale, seed))
        return self

    def set_trainable(self, layer: int, trainable: bool) -> None:
        """Freezes a layer, counted from 0, or lets it be trained again."""
        with self._guard.exclusive:
            check(lib.elman_set_trainable(self._handle, layer, int(bool(trainable))))

    @property
    def standardization(self) -> Standardization:
        """Mean and deviation by which inputs are standardised: zeros and ones where they are taken as they come."""
        with self._guard.shared:
            size = self._raw("input_size")
            mean, deviation = result(None, "mean", (size,)), result(None, "deviation", (size,))
            check(lib.elman_get_standardization(self._handle, pointer(mean), pointer(deviation), size))
        return Standardization(mean, deviation)

    def set_standardization(self, mean: ArrayLike | None, deviation: ArrayLike | None) -> None:
        """Makes the network standardise its inputs; None for both: it takes them as they come."""
        both = [
            None if value is None else floats(value, name, ["features"])
            for value, name in ((mean, "mean"), (deviation, "deviation"))
        ]
        counts = {len(value) for value in both if value is not None}
        if len(counts) > 1:
            raise ArgumentError("mean and deviation have different numbers of elements", lib.ELMAN_ERROR_LENGTH)
        with self._guard.exclusive:
            check(lib.elman_set_standardization(self._handle, *map(pointer, both), counts.pop() if counts else 0))

    def standardize(self, dataset: Dataset) -> None:
        """Makes the network standardise its inputs by mean and deviation of every feature of a data set."""
        with self._guard.exclusive:
            check(lib.elman_standardize(self._handle, dataset._handle))

    @property
    def class_names(self) -> list[str]:
        """The names of the classes that the outputs stand for; empty where they have none."""
        with self._guard.shared:
            return texts(lib.elman_get_class_name_count(self._handle), lib.elman_get_class_name, self._handle)

    @class_names.setter
    def class_names(self, names: Sequence[str] | None) -> None:
        strings = [ffi.new("char[]", text_bytes(name, "a class name")) for name in names or ()]
        array = ffi.new("char *[]", strings) if names else ffi.NULL
        with self._guard.exclusive:
            check(lib.elman_set_class_names(self._handle, array, len(strings)))

    @property
    def layers(self) -> list[Layer]:
        """What the network is made of, from the input on."""
        with self._guard.shared:
            return [self._layer(index) for index in range(lib.elman_layer_count(self._handle))]

    def _layer(self, index: int) -> Layer:
        info = ffi.new("elman_layer_info *")
        check(lib.elman_get_layer_info(self._handle, index, info, ffi.sizeof("elman_layer_info")))
        tensors = []
        for number in range(info.tensor_count):
            tensor = ffi.new("elman_tensor_info *")
            check(lib.elman_get_tensor_info(self._handle, index, number, tensor, ffi.sizeof("elman_tensor_info")))
            direction = _names.name("direction", tensor.direction)
            place = (tensor.rows, tensor.columns, tensor.parameter_offset, tensor.gates, direction)
            tensors.append(Tensor(text(tensor.name), *place))
        numbers = np.empty(info.number_count, np.uintp)
        if info.number_count:
            check(lib.elman_get_layer_numbers(self._handle, index, pointer(numbers), len(numbers)))
        kind = _names.name("kind", info.kind)
        return Layer(
            kind=kind,
            activation=Activation(_names.name("activation", info.activation), info.alpha, info.beta),
            rate=info.rate,
            input_size=info.input_size,
            output_size=info.output_size,
            parameter_offset=info.parameter_offset,
            parameter_count=info.parameter_count,
            state_offset=info.state_offset,
            state_size=info.state_size,
            trainable=bool(info.trainable),
            epsilon=info.epsilon,
            classes=info.classes,
            units=info.units,
            numbers=tuple(int(number) for number in numbers),
            options=self._options(index) if kind in ("rnn", "gru", "lstm") else None,
            tensors=tuple(tensors),
        )

    def _options(self, index: int) -> RecurrentOptions:
        """The options that are not the defaults."""
        fields = ffi.new("elman_recurrent_options *")
        size = ffi.sizeof("elman_recurrent_options")
        check(lib.elman_get_recurrent_options(self._handle, index, fields, size))
        defaults = options("elman_recurrent_options", {})
        values: dict[str, Any] = {}
        for name in RecurrentOptions.__annotations__:
            if name in ("gates", "candidate", "output"):
                pair = [
                    Activation(
                        _names.name("activation", getattr(fields, name)[direction]),
                        getattr(fields, f"{name}_alpha")[direction],
                        getattr(fields, f"{name}_beta")[direction],
                    )
                    for direction in (0, 1)
                ]
                if [_names.number("activation", one.name) for one in pair] != list(getattr(defaults, name)):
                    values[name] = pair
                continue
            value, default = getattr(fields, name), getattr(defaults, name)
            if value != default and not (np.isnan(value) and np.isnan(default)):
                if name in _names.GROUPS:
                    values[name] = _names.name(name, value)
                else:
                    values[name] = bool(value) if name in ("bias", "peepholes", "coupled") else value
        return cast(RecurrentOptions, values)

    # Running it

    def _order(self, batch: Any, steps: Any) -> tuple[Any, Any]:
        """Sizes, or their names, in the order in which arrays of steps have them."""
        return (steps, batch) if self._raw("get_time_major") else (batch, steps)

    def _y_shape(self, batch: int, steps: int) -> tuple[int, ...]:
        size = self._raw("output_size")
        return (batch, size) if self._raw("output") == lib.ELMAN_OUTPUT_LAST else (*self._order(batch, steps), size)

    def _states(self, state: ArrayLike | None, name: str, batch: int) -> Floats | None:
        """States, or their gradients, [batch, state_size]."""
        return None if state is None else floats(state, name, [batch, self._raw("state_size")])

    def _inputs(
        self, x: ArrayLike, lengths: ArrayLike | None, state: ArrayLike | None
    ) -> tuple[int, int, Floats, Sizes | None, Floats | None]:
        """Batch and steps of x, and what a pass reads: x, lengths and the first states."""
        inputs = floats(x, "x", [*self._order("batch", "steps"), self._raw("input_size")])
        batch, steps = self._order(*inputs.shape[:2])
        counts = None if lengths is None else sizes(lengths, "lengths", [batch])
        return batch, steps, inputs, counts, self._states(state, "state", batch)

    def _run(
        self,
        function: Any,
        x: ArrayLike,
        lengths: ArrayLike | None,
        state: ArrayLike | None,
        out: Floats | None,
        return_state: bool,
    ) -> tuple[Floats, Floats | None, tuple[int, int]]:
        batch, steps, inputs, counts, start = self._inputs(x, lengths, state)
        y = result(out, "out", self._y_shape(batch, steps))
        final = result(None, "state", (batch, self._raw("state_size"))) if return_state else None
        arguments = pointer(inputs), batch, steps, pointer(counts), pointer(start), pointer(y), pointer(final)
        check(function(self._handle, *arguments))
        return y, final, (batch, steps)

    @overload
    def predict(
        self,
        x: ArrayLike,
        lengths: ArrayLike | None = None,
        state: ArrayLike | None = None,
        *,
        out: Floats | None = None,
        return_state: Literal[False] = False,
    ) -> Floats: ...

    @overload
    def predict(
        self,
        x: ArrayLike,
        lengths: ArrayLike | None = None,
        state: ArrayLike | None = None,
        *,
        out: Floats | None = None,
        return_state: Literal[True],
    ) -> tuple[Floats, Floats]: ...

    def predict(
        self,
        x: ArrayLike,
        lengths: ArrayLike | None = None,
        state: ArrayLike | None = None,
        *,
        out: Floats | None = None,
        return_state: bool = False,
    ) -> Any:
        """Runs a batch of sequences and gives their outputs, and with `return_state` their final states, too.

        x is [batch, steps, input_size]; lengths [batch] says how many steps of each are real; state [batch, state_size] is what
        sequences start from, by default the network's own. The outputs are [batch, output_size] or, with output "all",
        [batch, steps, output_size], 0 behind the end of a sequence. They are written to `out`, if there is one.
        """
        with self._guard.shared:
            y, final, _ = self._run(lib.elman_predict, x, lengths, state, out, return_state)
        return (y, final) if return_state else y

    def predict_dataset(self, dataset: Dataset, batch_size: int = 64) -> Floats:
        """Runs the sequences of a data set: [sequences, output_size] or, with output "all", [total_steps, output_size]."""
        with self._guard.shared:
            rows = len(dataset) if self._raw("output") == lib.ELMAN_OUTPUT_LAST else dataset.total_steps
            y = result(None, "y", (rows, self._raw("output_size")))
            check(lib.elman_predict_dataset(self._handle, dataset._handle, batch_size, pointer(y)))
        return y

    def session(self, streams: int = 1) -> Session:
        """Starts streams that go through the network a step or a block of steps at a time."""
        from elman.session import Session

        return Session(self, streams)

    # Training it

    def fit(
        self,
        dataset: Dataset,
        optimizer: Optimizer,
        *,
        validation: Dataset | None = None,
        on_epoch: EpochCallback | None = None,
        on_batch: BatchCallback | None = None,
        cancel: Cancellation | None = None,
        class_weights: ArrayLike | None = None,
        progress: bool = False,
        **options: Unpack[FitOptions],
    ) -> History:
        """Trains on a data set, and gives the losses of the epochs.

        The loss is cross-entropy for classes and the mean squared error for numbers, unless `loss` names another. A callback
        that returns True ends the training; an exception of its own is raised by this call, and so is KeyboardInterrupt: the
        network then has the parameters of the last update, or those that `patience` or `average` give it. The header's
        elman_fit_options says what the other options do. `progress` shows a bar (needs tqdm).
        """
        return training.fit(self, dataset, optimizer, validation, on_epoch, on_batch, cancel, class_weights, progress, options)

    def evaluate(
        self, dataset: Dataset, *, class_weights: ArrayLike | None = None, **options: Unpack[training.EvaluateOptions]
    ) -> Evaluation:
        """Measures the network on a data set: loss, accuracy, confusion matrix."""
        return training.evaluate(self, dataset, class_weights, options)

    @overload
    def forward(
        self,
        x: ArrayLike,
        lengths: ArrayLike | None = None,
        state: ArrayLike | None = None,
        *,
        out: Floats | None = None,
        return_state: Literal[False] = False,
    ) -> Floats: ...

    @overload
    def forward(
        self,
        x: ArrayLike,
        lengths: ArrayLike | None = None,
        state: ArrayLike | None = None,
        *,
        out: Floats | None = None,
        return_state: Literal[True],
    ) -> tuple[Floats, Floats]: ...

    def forward(
        self,
        x: ArrayLike,
        lengths: ArrayLike | None = None,
        state: ArrayLike | None = None,
        *,
        out: Floats | None = None,
        return_state: bool = False,
    ) -> Any:
        """Runs a batch as predict() does, with dropout, and keeps what backward() needs."""
        with self._guard.exclusive:
            y, final, self._pass = self._run(lib.elman_forward, x, lengths, state, out, return_state)
        return (y, final) if return_state else y

    def backward(
        self,
        dy: ArrayLike | None,
        dstate: ArrayLike | None = None,
        *,
        inputs: bool = False,
        state: bool = False,
    ) -> tuple[Floats | None, Floats | None]:
        """Goes back through the last forward() and adds to the gradients.

        dy is the gradient of the outputs, in their shape, dstate that of the final states, [batch, state_size]; None stands for
        zeros. Gives the gradients of x, in its shape, and of the first states, [batch, state_size], where `inputs` and `state`
        ask for them, else None. Without a forward pass, or where the network was changed since, it is a CallOrderError.
        """
        with self._guard.exclusive:
            if self._pass is None:
                raise CallOrderError("backward needs a forward pass of the network as it is", lib.ELMAN_ERROR_CALL_ORDER)
            batch, steps = self._pass
            gradient = None if dy is None else floats(dy, "dy", self._y_shape(batch, steps))
            final = self._states(dstate, "dstate", batch)
            dx = result(None, "dx", (*self._order(batch, steps), self._raw("input_size"))) if inputs else None
            dstart = result(None, "dstate_in", (batch, self._raw("state_size"))) if state else None
            check(lib.elman_backward(self._handle, pointer(gradient), pointer(final), pointer(dx), pointer(dstart)))
        return dx, dstart

    def update(self, optimizer: Optimizer) -> None:
        """Lets the optimizer apply the gradients, then sets them to 0."""
        with self._guard.exclusive, optimizer._guard.exclusive:
            check(lib.elman_update(self._handle, optimizer._handle))

    # Parameters and gradients

    @property
    def parameter_count(self) -> int:
        """Number of parameters, and of gradients."""
        return self._get("parameter_count")

    @property
    def parameters(self) -> Floats:
        """A copy of all parameters, flat, in layer order; setting replaces all. Tensor.of() finds a tensor in them."""
        with self._guard.shared:
            values = result(None, "parameters", (self._raw("parameter_count"),))
            check(lib.elman_get_parameters(self._handle, pointer(values), len(values)))
        return values

    @parameters.setter
    def parameters(self, values: ArrayLike) -> None:
        array = floats(values, "parameters", ["count"])
        with self._guard.exclusive:
            check(lib.elman_set_parameters(self._handle, pointer(array), len(array)))

    @property
    def gradients(self) -> Floats:
        """The gradients themselves, to look at, scale, or reduce over processes in place.

        While an array over them is there no layer can be added (BufferError). It must not be used while another thread works
        on the network.
        """
        with self._guard.exclusive:
            values, count = ffi.new("float **"), ffi.new("size_t *")
            check(lib.elman_gradients(self._handle, values, count))
            array, memory = view(self, values[0], count[0], np.float32, writeable=True)
            if memory is not self:
                self._views.add(memory)
        return array

    def clear_gradients(self) -> None:
        """Sets all gradients to 0."""
        with self._guard.exclusive:
            check(lib.elman_clear_gradients(self._handle))

    def clip_gradients_by_norm(self, max_norm: float) -> float:
        """Scales the gradients so that their norm is at most this; gives the norm that they had."""
        norm = ffi.new("double *")
        with self._guard.exclusive:
            check(lib.elman_clip_gradients_by_norm(self._handle, max_norm, norm))
        return float(norm[0])

    def clip_gradients_by_value(self, limit: float) -> None:
        """Moves every gradient to the nearest value in [-limit, limit]."""
        with self._guard.exclusive:
            check(lib.elman_clip_gradients_by_value(self._handle, limit))

    def gradient_check(
        self,
        x: ArrayLike,
        lengths: ArrayLike | None = None,
        state: ArrayLike | None = None,
        *,
        dy: ArrayLike | None = None,
        dstate: ArrayLike | None = None,
    ) -> float:
        """Compares all gradients with difference quotients; below some 1e-6 the backward pass is right.

        x, lengths and state are as with predict(), dy and dstate as with backward(): the loss is the sum of the outputs times
        dy and of the final states times dstate.
        """
        with self._guard.shared:
            batch, steps, inputs, counts, start = self._inputs(x, lengths, state)
            gradient = None if dy is None else floats(dy, "dy", self._y_shape(batch, steps))
            final = self._states(dstate, "dstate", batch)
            error = ffi.new("double *")
            arrays = pointer(counts), pointer(start), pointer(gradient), pointer(final)
            check(lib.elman_gradient_check(self._handle, pointer(inputs), batch, steps, *arrays, error))
        return float(error[0])

    # Files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the network to a file (safetensors); one that is there is replaced as a whole."""
        with self._guard.shared:
            check(lib.elman_save(self._handle, path_bytes(path)))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a network from a file of save()'s."""
        return cls._of(create("elman_network", lib.elman_load, path_bytes(path)))

    def to_bytes(self) -> bytes:
        """The contents of the file that save() writes."""
        with self._guard.shared:
            size = ffi.new("size_t *")
            check(lib.elman_save_memory(self._handle, ffi.NULL, 0, size))
            data = bytearray(size[0])
            check(lib.elman_save_memory(self._handle, ffi.from_buffer("uint8_t[]", data), len(data), size))
        return bytes(data)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Reads a network from the contents of a file of save()'s."""
        return cls._of(create("elman_network", lib.elman_load_memory, ffi.from_buffer("uint8_t[]", data), len(data)))

    @classmethod
    def import_file(cls, path: str | os.PathLike[str], description: str | None = None) -> Self:
        """Reads a network that another system has trained; docs/import.md says what is taken and what the description is."""
        fields, _keep = _import_options(description)
        return cls._of(create("elman_network", lib.elman_import, path_bytes(path), fields))

    @classmethod
    def import_bytes(cls, data: bytes, description: str | None = None) -> Self:
        """Reads a network of another system from the contents of a file."""
        fields, _keep = _import_options(description)
        return cls._of(create("elman_network", lib.elman_import_memory, ffi.from_buffer("uint8_t[]", data), len(data), fields))

    def save_state_dict(self, path: str | os.PathLike[str], modules: Sequence[str]) -> None:
        """Writes the parameters for PyTorch's load_state_dict(): a module's name for each layer that has parameters."""
        names = [ffi.new("char[]", text_bytes(name, "a module's name")) for name in modules]
        with self._guard.shared:
            check(lib.elman_save_state_dict(self._handle, path_bytes(path), ffi.new("char *[]", names), len(names)))

    def save_onnx(self, path: str | os.PathLike[str]) -> None:
        """Writes the network as an ONNX file, which ONNX Runtime runs to the same numbers."""
        with self._guard.shared:
            check(lib.elman_save_onnx(self._handle, path_bytes(path)))

    def copy(self) -> Self:
        """A copy that goes on as the network would, bit for bit."""
        with self._guard.shared:
            return self._of(create("elman_network", lib.elman_clone, self._handle))

    def __copy__(self) -> Self:
        return self.copy()

    def __deepcopy__(self, _memo: object) -> Self:
        return self.copy()

    def __getstate__(self) -> dict[str, Any]:
        return {"bytes": self.to_bytes(), "time_major": self.time_major, "threads": self.threads}

    def __setstate__(self, state: dict[str, Any]) -> None:
        data = state["bytes"]
        self._take(create("elman_network", lib.elman_load_memory, ffi.from_buffer("uint8_t[]", data), len(data)))
        self.time_major = state["time_major"]
        self.threads = state["threads"]

    def __repr__(self) -> str:
        lines = [f"Network({self.input_size}, output={self.output!r}): {self.parameter_count} parameters"]
        for layer in self.layers:
            facts = [f"{layer.input_size} -> {layer.output_size}"]
            if layer.kind in ("rnn", "dense", "activation"):
                facts.append(layer.activation.name)
            if layer.kind == "dropout":
                facts.append(f"rate {layer.rate:g}")
            facts += [f"{name} {value}" for name, value in (layer.options or {}).items()]
            if not layer.trainable and layer.parameter_count:
                facts.append("frozen")
            lines.append(f"  {layer.kind}: {', '.join(facts)}")
        return "\n".join(lines)


def _import_options(description: str | None) -> tuple[Any, Any]:
    """The options, and what they point to."""
    if description is None:
        return ffi.NULL, None
    string = ffi.new("char[]", text_bytes(description, "description"))
    return options("elman_import_options", {"description": string}), string
