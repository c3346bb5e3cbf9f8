"""Models of Keras 3, from .keras and .h5 files: a file of elman's is made of them, as docs/format.md describes it."""

from __future__ import annotations

import io
import json
import os
import re
import warnings
import zipfile
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from elman._extras import extra
from elman._library import FormatError
from elman.network import Network

Array: TypeAlias = NDArray[Any]
Weights: TypeAlias = dict[str, Array]

_RECURRENT = {"SimpleRNN": "rnn", "GRU": "gru", "LSTM": "lstm"}
_MERGE = {"concat": "concat", "sum": "sum", "ave": "mean", "mul": "product"}
_PLAIN = {"tanh", "sigmoid", "relu", "linear", "hard_tanh", "softsign", "softplus"}


def from_keras(path: str | os.PathLike[str]) -> Network:
    """Reads a network from a .keras or .h5 file of Keras 3 (needs h5py and safetensors, not Keras).

    Taken are Sequential models, and functional ones that are a chain, of SimpleRNN, GRU, LSTM, Bidirectional, Dense (also in
    TimeDistributed), Dropout, LayerNormalization, Embedding in front, and activations. A softmax at the end is left out, with a
    warning: the network gives logits, which elman.softmax() makes probabilities of. What is not taken is a FormatError that
    names it.
    """
    h5py = extra("h5py", "keras")
    name = os.fspath(path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            try:
                config = json.loads(archive.read("config.json"))
                weights = io.BytesIO(archive.read("model.weights.h5"))
            except KeyError as error:
                raise FormatError(f"{name!r} is no .keras file: {error.args[0]}") from None
        with h5py.File(weights, "r") as file:
            return _Model(config, lambda layer: _keras_weights(file, layer), 3).network()
    if not h5py.is_hdf5(name):
        open(path, "rb").close()
        raise FormatError(f"{name!r} is neither a .keras nor an .h5 file")
    with h5py.File(name, "r") as file:
        if "model_config" not in file.attrs:
            raise FormatError(f"{name!r} has weights without a model: save the model itself, with model.save()")
        config = json.loads(file.attrs["model_config"])
        version = int(str(file.attrs.get("keras_version", "2")).split(".", maxsplit=1)[0])
        return _Model(config, lambda layer: _h5_weights(file, layer), version).network()


def _keras_weights(file: Any, layer: dict[str, Any]) -> dict[str, list[Array]]:
    """The weights of a layer, by where they lie in its group."""
    for group in file["layers"].values():
        if "vars" in group and group["vars"].attrs.get("name") == layer["config"]["name"]:
            parts: dict[str, list[Array]] = {}
            for place in ("vars", "cell/vars", "layer/vars", "forward_layer/cell/vars", "backward_layer/cell/vars"):
                if place in group:
                    found = group[place]
                    parts[place.partition("/")[0]] = [found[key][()] for key in sorted(found, key=int)] or parts.get(place, [])
            forward = parts.get("forward_layer") or parts.get("cell") or parts.get("layer") or parts.get("vars", [])
            return {"forward": forward, "backward": parts.get("backward_layer", [])}
    raise FormatError(f"the file has no weights of the layer {layer['config']['name']!r}; it may be of an old version of Keras")


def _h5_weights(file: Any, layer: dict[str, Any]) -> dict[str, list[Array]]:
    name = layer["config"]["name"]
    try:
        group = file["model_weights"][name]
    except KeyError:
        raise FormatError(f"the file has no weights of the layer {name!r}") from None
    paths = [path.decode() if isinstance(path, bytes) else str(path) for path in group.attrs["weight_names"]]
    kinds = ("kernel", "recurrent_kernel", "bias", "gamma", "beta", "embeddings")
    arrays = [group[path][()] for path in paths if re.sub(r":\d+$", "", path).rsplit("/", 1)[-1] in kinds]
    if layer["class_name"] == "Bidirectional":
        half = len(arrays) // 2
        return {"forward": arrays[:half], "backward": arrays[half:]}
    return {"forward": arrays, "backward": []}


def _activation(value: Any, version: int, where: str) -> Any:
    """An activation as elman's files have it."""
    settings: dict[str, Any] = {}
    if isinstance(value, dict):
        settings = value.get("config", {}) if isinstance(value.get("config"), dict) else {}
        value = value.get("class_name") if settings else value.get("config", value.get("class_name"))
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(value)).lower()
    if name in _PLAIN and not settings:
        return name
    if name == "hard_sigmoid":
        return {"hard_sigmoid": {"alpha": 1 / 6 if version >= 3 else 0.2, "beta": 0.5}}
    if name == "elu":
        return {"elu": {"alpha": float(settings.get("alpha", 1.0))}}
    if name == "leaky_relu":
        return {"leaky_relu": {"alpha": float(settings.get("negative_slope", 0.2))}}
    raise FormatError(f"{where} has the activation {name!r}, which elman has not")


class _Model:
    """The description and the tensors, as they come together."""

    def __init__(self, config: dict[str, Any], weights: Callable[[dict[str, Any]], dict[str, list[Array]]], version: int) -> None:
        self.weights = weights
        self.version = version
        self.chain = _chain(config)
        self.layers: list[dict[str, Any]] = []
        self.tensors: Weights = {}
        self.counts = {"recurrent": 0, "linear": 0, "norm": 0, "embedding": 0}
        self.input_size: int | None = None
        self.sequences = True

    def network(self) -> Network:
        for index, layer in enumerate(self.chain):
            self.add(layer, last=index == len(self.chain) - 1)
        if self.input_size is None:
            raise FormatError("the model does not say how many features its input has: build it, or add an Input")
        description = {
            "version": 1,
            "library": "elman.from_keras",
            "input_size": self.input_size,
            "output": "all" if self.sequences else "last",
            "standardized": False,
            "layers": self.layers,
        }
        tensors = {name: np.ascontiguousarray(tensor, np.float32) for name, tensor in self.tensors.items()}
        save = extra("safetensors.numpy", "keras").save
        return Network.from_bytes(save(tensors, metadata={"elman": json.dumps(description)}))

    def number(self, kind: str) -> int:
        self.counts[kind] += 1
        return self.counts[kind] - 1

    def add(self, layer: dict[str, Any], *, last: bool) -> None:
        kind, config = layer["class_name"], layer["config"]
        where = f"the layer {config.get('name')!r} ({kind})"
        shape = config.get("batch_shape") or config.get("batch_input_shape")
        if self.input_size is None and shape is None and kind != "InputLayer":
            shape = (layer.get("build_config") or {}).get("input_shape")
        if self.input_size is None and shape is not None:
            # Indices come without a dimension of features.
            if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] is None):
                raise FormatError(f"the input has the shape {shape}; expected [batch, steps, features]")
            self.input_size = int(shape[2]) if len(shape) == 3 else 1
        if kind == "InputLayer":
            return
        if kind == "TimeDistributed":
            inner = config["layer"]
            if inner["class_name"] != "Dense":
                raise FormatError(f"{where} has a {inner['class_name']}; expected a Dense")
            self.dense(inner["config"], self.weights(layer)["forward"], where, last)
        elif kind == "Dense":
            self.dense(config, self.weights(layer)["forward"], where, last)
        elif kind in _RECURRENT or kind == "Bidirectional":
            self.recurrent(layer, where)
        elif kind == "Dropout":
            self.layers.append({"kind": "dropout", "rate": config["rate"]})
        elif kind == "LayerNormalization":
            self.norm(layer, where)
        elif kind == "Embedding":
            self.embedding(layer, where)
        elif kind == "Masking":
            warnings.warn(f"{where} is left out: give elman the lengths of the sequences", stacklevel=4)
        elif kind in ("Activation", "Softmax", "ReLU", "LeakyReLU", "ELU"):
            self.activation(kind, config, where, last)
        else:
            raise FormatError(f"{where} is of a kind that elman does not take")

    def dense(self, config: dict[str, Any], arrays: list[Array], where: str, last: bool) -> None:
        kernel = arrays[0]
        number = self.number("linear")
        name = config["activation"]
        name = "linear" if self.softmax(name, where, last) else _activation(name, self.version, where)
        self.tensors[f"linear{number}.weight"] = kernel.T
        self.tensors[f"linear{number}.bias"] = arrays[1] if config["use_bias"] else np.zeros(kernel.shape[1])
        self.layers.append({"kind": "dense", "units": kernel.shape[1], "activation": name})

    def softmax(self, activation: Any, where: str, last: bool) -> bool:
        if activation != "softmax":
            return False
        if not last:
            raise FormatError(f"{where} has the activation 'softmax', which elman takes at the end alone")
        warnings.warn(f"the softmax of {where} is left out: the network gives logits, for elman.softmax()", stacklevel=5)
        return True

    def activation(self, kind: str, config: dict[str, Any], where: str, last: bool) -> None:
        if kind == "Activation":
            value = config["activation"]
        elif kind == "Softmax":
            value = "softmax"
        elif kind == "ReLU":
            if config.get("max_value") is not None or config.get("threshold"):
                raise FormatError(f"{where} has a max_value or a threshold, which elman has not")
            slope = config.get("negative_slope") or 0.0
            value = {"class_name": "leaky_relu", "config": {"negative_slope": slope}} if slope else "relu"
        else:
            settings = {
                "negative_slope": config.get("negative_slope", config.get("alpha", 0.3)),
                "alpha": config.get("alpha", 1.0),
            }
            value = {"class_name": "elu" if kind == "ELU" else "leaky_relu", "config": settings}
        if not self.softmax(value, where, last):
            self.layers.append({"kind": "activation", "activation": _activation(value, self.version, where)})

    def recurrent(self, layer: dict[str, Any], where: str) -> None:
        if not self.sequences:
            raise FormatError(f"{where} comes behind a layer without return_sequences")
        outer, arrays = layer["config"], self.weights(layer)
        options: dict[str, Any] = {}
        directions = [(layer, "", arrays["forward"])]
        if layer["class_name"] == "Bidirectional":
            forward, backward = outer["layer"], outer.get("backward_layer") or outer["layer"]
            if forward["class_name"] != backward["class_name"] or forward["config"]["units"] != backward["config"]["units"]:
                raise FormatError(f"{where} has two different layers")
            if outer["merge_mode"] not in _MERGE:
                raise FormatError(f"{where} has the merge_mode {outer['merge_mode']!r}")
            if forward["config"]["go_backwards"]:
                raise FormatError(f"{where} goes backwards first")
            options |= {"direction": "bidirectional", "merge": _MERGE[outer["merge_mode"]]}
            directions = [(forward, "", arrays["forward"]), (backward, "_reverse", arrays["backward"])]
        kind, config = directions[0][0]["class_name"], directions[0][0]["config"]
        if kind not in _RECURRENT:
            raise FormatError(f"{where} has a {kind}, which elman does not take")
        self.sequences = bool(config["return_sequences"])
        if config["go_backwards"]:
            if self.sequences:
                raise FormatError(f"{where} goes backwards and returns sequences, which come in reverse order")
            options["direction"] = "reverse"
            directions = [(layer, "_reverse", arrays["forward"])]
        options["bias"] = bool(config["use_bias"])
        if config.get("recurrent_dropout"):
            options["recurrent_dropout"] = config["recurrent_dropout"]
        described = {"kind": _RECURRENT[kind], "units": config["units"], "options": options}
        if kind == "SimpleRNN":
            described["activation"] = _activation(config["activation"], self.version, where)
        else:
            pair = [self.gates(kind, one["config"], where) for one, _, _ in directions]
            options["activations"] = [pair[0], pair[-1]]
        if kind == "GRU":
            options["reset"] = "after" if config.get("reset_after", True) else "before"
        number = self.number("recurrent")
        for one, suffix, weights in directions:
            self.cell(kind, one["config"], weights, f"_l{number}{suffix}")
        self.layers.append(described)

    def gates(self, kind: str, config: dict[str, Any], where: str) -> dict[str, Any]:
        candidate = _activation(config["activation"], self.version, where)
        output = candidate if kind == "LSTM" else "tanh"
        return {
            "gates": _activation(config["recurrent_activation"], self.version, where),
            "candidate": candidate,
            "output": output,
        }

    def cell(self, kind: str, config: dict[str, Any], weights: list[Array], name: str) -> None:
        def gates(matrix: Array) -> Array:
            # Keras has z, r, h; elman r, z, n.
            parts = np.split(matrix, 3, axis=-1) if kind == "GRU" else [matrix]
            return np.concatenate([parts[1], parts[0], parts[2]] if kind == "GRU" else parts, axis=-1)

        self.tensors[f"weight_ih{name}"] = gates(weights[0]).T
        self.tensors[f"weight_hh{name}"] = gates(weights[1]).T
        if config["use_bias"]:
            bias = gates(weights[2])
            self.tensors[f"bias_ih{name}"] = bias[0] if bias.ndim == 2 else bias
            self.tensors[f"bias_hh{name}"] = bias[1] if bias.ndim == 2 else np.zeros_like(bias)

    def norm(self, layer: dict[str, Any], where: str) -> None:
        config, arrays = layer["config"], self.weights(layer)["forward"]
        axis = config["axis"] if isinstance(config["axis"], int) else config["axis"][-1]
        if axis not in (-1, 2) or (not isinstance(config["axis"], int) and len(config["axis"]) > 1) or config.get("rms_scaling"):
            raise FormatError(f"{where} is not over the features alone, or scales by the root mean square")
        if not config["scale"] and not config["center"]:
            raise FormatError(f"{where} has neither scale nor center, which says its size")
        number = self.number("norm")
        gamma = arrays[0] if config["scale"] else np.ones_like(arrays[0])
        self.tensors[f"norm{number}.weight"] = gamma
        self.tensors[f"norm{number}.bias"] = arrays[-1] if config["center"] else np.zeros_like(gamma)
        self.layers.append({"kind": "layer_norm", "epsilon": config["epsilon"]})

    def embedding(self, layer: dict[str, Any], where: str) -> None:
        if self.layers:
            raise FormatError(f"{where} is not the first layer")
        table = self.weights(layer)["forward"][0]
        if layer["config"].get("mask_zero"):
            warnings.warn(f"the mask_zero of {where} is left out: give elman the lengths of the sequences", stacklevel=4)
        self.tensors[f"embedding{self.number('embedding')}.weight"] = table
        self.layers.append({"kind": "embedding", "columns": [0], "classes": table.shape[0], "size": table.shape[1]})


def _chain(config: dict[str, Any]) -> list[dict[str, Any]]:
    """The layers in the order in which they follow each other."""
    kind = config.get("class_name")
    layers: list[dict[str, Any]] = config.get("config", {}).get("layers", [])
    if kind == "Sequential":
        return layers
    if kind not in ("Functional", "Model"):
        raise FormatError(f"the model is a {kind}; expected a Sequential or a functional one")
    following: dict[str | None, dict[str, Any]] = {}
    for layer in layers:
        before = re.findall(r"\"keras_history\": \[\"([^\"]*)\"", json.dumps(layer.get("inbound_nodes", [])))
        if len(before) > 1 or (key := before[0] if before else None) in following:
            raise FormatError(f"the model is no chain: {layer['config']['name']!r} has two inputs, or shares its input")
        following[key] = layer
    chain: list[dict[str, Any]] = []
    name: str | None = None
    while name in following:
        chain.append(following[name])
        name = chain[-1]["config"]["name"]
    if len(chain) != len(layers):
        raise FormatError("the model is no chain of layers")
    return chain
