"""The names that constants of the header have in Python: their names in small letters, without their prefix."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypedDict, get_args

from elman._library import constant, constant_name

ActivationName = Literal[
    "tanh",
    "relu",
    "sigmoid",
    "linear",
    "hard_sigmoid",
    "hard_tanh",
    "leaky_relu",
    "elu",
    "softsign",
    "softplus",
    "affine",
    "scaled_tanh",
    "thresholded_relu",
]
Direction = Literal["forward", "reverse", "bidirectional"]
Merge = Literal["concat", "sum", "mean", "product"]
Last = Literal["state", "step"]
Reset = Literal["after", "before"]
InitialState = Literal["zeros", "fixed", "trainable"]
Output = Literal["last", "all"]
Scheme = Literal[
    "pytorch",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "orthogonal",
    "identity",
    "gaussian",
    "constant",
    "keras",
]
Loss = Literal["softmax_cross_entropy", "mean_squared_error", "binary_cross_entropy"]
Clip = Literal["none", "norm", "value"]
Watch = Literal["loss", "accuracy"]
Missing = Literal["error", "carry", "linear"]
Targets = Literal["none", "classes", "step_classes", "values", "step_values"]
LayerKind = Literal["rnn", "dense", "dropout", "activation", "gru", "lstm", "norm", "embedding", "concat", "residual"]
CtcReduction = Literal["mean", "sum"]

# The prefix of the constants of each group; a test compares the groups with the header.
GROUPS: dict[str, tuple[str, Any]] = {
    "activation": ("", ActivationName),
    "direction": ("", Direction),
    "merge": ("MERGE_", Merge),
    "last": ("LAST_", Last),
    "reset": ("RESET_", Reset),
    "initial_state": ("INITIAL_", InitialState),
    "output": ("OUTPUT_", Output),
    "scheme": ("INIT_", Scheme),
    "loss": ("LOSS_", Loss),
    "clip": ("CLIP_", Clip),
    "watch": ("WATCH_", Watch),
    "missing": ("MISSING_", Missing),
    "targets": ("TARGETS_", Targets),
    "kind": ("LAYER_", LayerKind),
    "reduction": ("CTC_", CtcReduction),
}


def number(group: str, name: str, argument: str | None = None) -> int:
    """The constant of that name."""
    prefix, names = GROUPS[group]
    return constant(prefix, get_args(names), name, argument or group)


def name(group: str, value: int) -> Any:
    """The name of that constant."""
    prefix, names = GROUPS[group]
    return constant_name(prefix, get_args(names), value)


class Activation(NamedTuple):
    """An activation with its parameters; None for those that the header names as defaults (ONNX')."""

    name: ActivationName
    alpha: float | None = None
    beta: float | None = None


AnyActivation = ActivationName | Activation | tuple[ActivationName, float] | tuple[ActivationName, float, float]


class RecurrentOptions(TypedDict, total=False):
    """What can be chosen of a recurrent layer; the header says what each field does.

    Activations may be a list of two: of a bidirectional layer, the forward direction's and the reverse one's.
    """

    direction: Direction
    merge: Merge
    last: Last
    bias: bool
    reset: Reset
    peepholes: bool
    coupled: bool
    initial_state: InitialState
    projection: int
    clip_sums: float
    clip_state: float
    forget_bias: float
    recurrent_dropout: float
    zoneout: float
    zoneout_cell: float
    gates: AnyActivation | list[AnyActivation]
    candidate: AnyActivation | list[AnyActivation]
    output: AnyActivation | list[AnyActivation]
