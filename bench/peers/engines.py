"""The engines: each takes a case, a number of threads and the path of its library, and gives its version and its jobs."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

Shape = tuple[int, int, int, int]
# The gates of each cell in elman's order, which is PyTorch's.
GATES = {"rnn": "h", "lstm": "ifgo", "gru": "rzn"}


@dataclass
class Job:
    """What is timed: its name, the call, and what it computes: [B][T][H], or the gradient of x where it ends in dx."""

    name: str
    call: Callable[[], Any]
    result: Callable[[], Any] | None = None


class Case:
    """The numbers that all engines share: inputs, gradient dy of all outputs, and the parameters of a cell as elman has
    them: w_x [I][G H], w_h [H][G H] and bias [G H], gate after gate; a GRU, whose reset gate acts after the product, also
    has q [H], the bias of its n that is added to h_{t-1} w_h.
    """

    def __init__(self, cell: str, shape: Shape) -> None:
        import numpy as np

        self.cell = cell
        self.shape = self.steps, self.batch, self.inputs, self.units = shape
        self.closing: list[Callable[[], Any]] = []
        random = np.random.default_rng(1)
        bound = 1 / math.sqrt(self.units)
        draw = lambda *size: random.uniform(-bound, bound, size).astype(np.float32)
        normal = lambda *size: random.standard_normal(size, np.float32)
        columns = len(GATES[cell]) * self.units
        self.w_x, self.w_h, self.bias = draw(self.inputs, columns), draw(self.units, columns), draw(columns)
        self.q = draw(self.units if cell == "gru" else 0)
        # For engines that add a bias to each of the two products: n is the last gate.
        self.state_bias = np.zeros(columns, np.float32)
        self.state_bias[columns - self.q.size :] = self.q
        self.x = normal(self.batch, self.steps, self.inputs)
        self.dy = normal(self.batch, self.steps, self.units) * np.float32(1e-3)
        # For engines that want time first; the transposition is not in their time.
        self.x_by_time = np.ascontiguousarray(self.x.transpose(1, 0, 2))
        self.dy_by_time = np.ascontiguousarray(self.dy.transpose(1, 0, 2))

    def in_order(self, gates: str, array: Any) -> Any:
        """A copy of such an array [..., G H] in another order of the gates."""
        import numpy as np

        parts = dict(zip(GATES[self.cell], np.split(array, len(gates), axis=-1)))
        return np.concatenate([parts[gate] for gate in gates], axis=-1)


SIZE, POINTER, DOUBLE, U32 = ctypes.c_size_t, ctypes.c_void_p, ctypes.c_double, ctypes.c_uint32
ELMAN = {
    "create": [SIZE, POINTER],
    "add_rnn": [POINTER, SIZE, U32],
    "add_lstm": [POINTER, SIZE, POINTER],
    "add_gru": [POINTER, SIZE, POINTER],
    "set_output": [POINTER, U32],
    "set_threads": [POINTER, SIZE],
    "set_parameters": [POINTER, POINTER, SIZE],
    "sgd_create": [DOUBLE, DOUBLE, U32, DOUBLE, POINTER],
    "predict": [POINTER, POINTER, SIZE, SIZE, POINTER, POINTER, POINTER, POINTER],
    "forward": [POINTER, POINTER, SIZE, SIZE, POINTER, POINTER, POINTER, POINTER],
    "backward": [POINTER, POINTER, POINTER, POINTER, POINTER],
    "update": [POINTER, POINTER],
    "destroy": [POINTER],
    "optimizer_destroy": [POINTER],
}
OUTPUT_ALL, TANH = 1, 0
# So small that thousands of steps leave the weights, and with them the work, as they are.
RATE = 1e-9


def address(array: Any) -> ctypes.c_void_p:
    return POINTER(array.ctypes.data)


def load_elman(path: str) -> ctypes.CDLL:
    library = ctypes.CDLL(path)
    for name, arguments in ELMAN.items():
        function = getattr(library, "elman_" + name)
        function.argtypes, function.restype = arguments, None if "destroy" in name else ctypes.c_int32
    for name in ["version", "tier", "last_error"]:
        getattr(library, "elman_" + name).restype = ctypes.c_char_p
    return library


def elman(case: Case, threads: int, built: str | None) -> tuple[str, list[Job]]:
    import numpy as np

    library = load_elman(str(built))

    def check(status: int) -> None:
        if status:
            raise RuntimeError(library.elman_last_error().decode())

    network, sgd = POINTER(), POINTER()
    y, dx = np.zeros_like(case.dy), np.zeros_like(case.x)
    parameters = np.concatenate([case.w_x.ravel(), case.w_h.ravel(), case.bias, case.q])
    # The activation of an RNN, the options of the others.
    last = TANH if case.cell == "rnn" else None
    check(library.elman_create(case.inputs, ctypes.byref(network)))
    check(getattr(library, f"elman_add_{case.cell}")(network, case.units, last))
    check(library.elman_set_output(network, OUTPUT_ALL))
    check(library.elman_set_threads(network, threads))
    check(library.elman_set_parameters(network, address(parameters), parameters.size))
    check(library.elman_sgd_create(RATE, 0, 0, 0, ctypes.byref(sgd)))
    case.closing += [lambda: library.elman_destroy(network), lambda: library.elman_optimizer_destroy(sgd)]
    predict, forward = library.elman_predict, library.elman_forward
    backward, update = library.elman_backward, library.elman_update
    # Addresses keep no array alive: measure() holds the case, and the results below hold y and dx.
    batch = (network, address(case.x), case.batch, case.steps, None, None, address(y), None)
    without_dx = (network, address(case.dy), None, None, None)
    with_dx = (network, address(case.dy), None, address(dx), None)
    return f"elman {library.elman_version().decode()} ({library.elman_tier().decode()})", [
        Job("elman", lambda: check(predict(*batch)), lambda: y.copy()),
        Job("elman training", lambda: check(forward(*batch) or backward(*without_dx) or update(network, sgd))),
        Job("elman dx", lambda: check(forward(*batch) or backward(*with_dx)), lambda: dx.copy()),
    ]


def torch(case: Case, threads: int, built: str | None) -> tuple[str, list[Job]]:
    import torch

    torch.set_num_threads(threads)
    layer = getattr(torch.nn, case.cell.upper())(case.inputs, case.units, batch_first=True)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.from_numpy(case.w_x.T.copy()))
        layer.weight_hh_l0.copy_(torch.from_numpy(case.w_h.T.copy()))
        layer.bias_ih_l0.copy_(torch.from_numpy(case.bias))
        layer.bias_hh_l0.copy_(torch.from_numpy(case.state_bias))
    sgd = torch.optim.SGD(layer.parameters(), lr=RATE)
    x, dy = torch.from_numpy(case.x), torch.from_numpy(case.dy)

    def forward() -> Any:
        with torch.no_grad():
            return layer.eval()(x)[0]

    def training() -> None:
        sgd.zero_grad(set_to_none=True)
        layer.train()(x)[0].backward(dy)
        sgd.step()

    return f"torch {torch.__version__}", [
        Job("torch", forward, lambda: forward().numpy()),
        Job("torch training", training),
    ]


def onnxruntime(case: Case, threads: int, built: str | None) -> tuple[str, list[Job]]:
    import numpy as np
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    ordered = partial(case.in_order, {"rnn": "h", "lstm": "iofg", "gru": "zrn"}[case.cell])
    weights = {
        "w": ordered(case.w_x).T[None].copy(),
        "r": ordered(case.w_h).T[None].copy(),
        "b": np.concatenate([ordered(case.bias), ordered(case.state_bias)])[None],
    }
    options = {"hidden_size": case.units, **({"linear_before_reset": 1} if case.cell == "gru" else {})}
    graph = helper.make_graph(
        [helper.make_node(case.cell.upper(), ["x", "w", "r", "b"], ["y"], **options)],
        case.cell,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, case.x_by_time.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [case.steps, 1, case.batch, case.units])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    # Versions that every ONNX Runtime of the last years reads, whatever the newest ones of the onnx package are.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    limits = ort.SessionOptions()
    limits.intra_op_num_threads, limits.inter_op_num_threads = threads, 1
    session = ort.InferenceSession(model.SerializeToString(), limits, providers=["CPUExecutionProvider"])
    feed = {"x": case.x_by_time}
    forward = lambda: session.run(None, feed)[0]
    return f"ONNX Runtime {ort.__version__}", [
        Job("ONNX Runtime", forward, lambda: forward()[:, 0].transpose(1, 0, 2))
    ]


def numpy(case: Case, threads: int, built: str | None) -> tuple[str, list[Job]]:
    """Only the RNN: what one writes by hand for the others are passes over memory for each gate."""
    import numpy as np

    def forward() -> Any:
        y = np.empty((case.steps, case.batch, case.units), np.float32)
        h = np.zeros((case.batch, case.units), np.float32)
        inputs = case.x_by_time.reshape(-1, case.inputs) @ case.w_x + case.bias
        inputs = inputs.reshape(y.shape)
        for t in range(case.steps):
            h = np.tanh(inputs[t] + h @ case.w_h, out=y[t])
        return y

    jobs = [Job("NumPy", forward, lambda: forward().transpose(1, 0, 2))]
    return f"NumPy {np.__version__}", jobs if case.cell == "rnn" else []


def onednn(case: Case, threads: int, built: str | None) -> tuple[str, list[Job]]:
    import numpy as np

    if not built:
        raise ImportError("not installed, or onednn.cpp did not compile")
    library = ctypes.CDLL(built)
    library.peer_version.restype = ctypes.c_char_p
    for name in ["create", "y", "dx"]:
        getattr(library, "peer_" + name).restype = POINTER
    ordered = partial(case.in_order, {"rnn": "h", "lstm": "ifgo", "gru": "zrn"}[case.cell])
    bias = np.concatenate([ordered(case.bias), case.q])
    values = [case.x_by_time, ordered(case.w_x), ordered(case.w_h), bias, case.dy_by_time]
    sizes = map(SIZE, [*case.shape, threads])
    peer = POINTER(library.peer_create(case.cell.encode(), *sizes, *map(address, values)))
    if not peer:
        raise RuntimeError("the shape is refused")
    case.closing.append(lambda: library.peer_destroy(peer))

    def read(function: Callable[..., int], last: int) -> Any:
        floats = ctypes.cast(function(peer), ctypes.POINTER(ctypes.c_float))
        return np.ctypeslib.as_array(floats, (case.steps, case.batch, last)).transpose(1, 0, 2).copy()

    return f"oneDNN {library.peer_version().decode()}", [
        Job("oneDNN", lambda: library.peer_run(peer, 0), lambda: read(library.peer_y, case.units)),
        Job("oneDNN saving", lambda: library.peer_run(peer, 1)),
        Job("oneDNN dx", lambda: library.peer_run(peer, 2), lambda: read(library.peer_dx, case.inputs)),
    ]


ENGINES = [elman, torch, onnxruntime, numpy, onednn]
