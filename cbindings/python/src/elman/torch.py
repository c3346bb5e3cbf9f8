"""To PyTorch and back."""

from __future__ import annotations

import json
import os
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np

from elman._extras import extra
from elman._library import ArgumentError, FormatError, lib
from elman.network import Network

if TYPE_CHECKING:
    from elman._torch_module import TorchNetwork


def to_torch(network: Network) -> TorchNetwork:
    """A torch.nn.Module that computes what the network does, with parameters of its own: see TorchNetwork (needs torch).

    Layers with options that PyTorch has not (peepholes, zoneout, a reset before the product...) are refused by name.
    """
    extra("torch", "torch")
    load_file = extra("safetensors.torch", "torch").load_file
    from elman._torch_module import TorchNetwork

    layers = network.layers
    for index, layer in enumerate(layers):
        if (layer.options or {}).get("direction") == "reverse":
            raise ArgumentError(f"layer {index} goes in reverse, which no layer of PyTorch does", lib.ELMAN_ERROR_MISMATCH)
        # The others of PyTorch's are looked at by the call that writes the parameters.
        if layer.kind == "rnn" and layer.activation.name not in ("tanh", "relu"):
            message = f"layer {index} is a plain recurrent one with {layer.activation.name}; PyTorch has tanh and relu"
            raise ArgumentError(message, lib.ELMAN_ERROR_MISMATCH)
    names = [f"layers.{index}" for index, layer in enumerate(layers) if layer.parameter_count]
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "state_dict.safetensors")
        network.save_state_dict(path, names)
        parameters = load_file(path)
    module = TorchNetwork(network)
    module.load_state_dict(parameters, strict=False)
    missing = {name for name, _ in module.named_parameters()} - set(parameters)
    if missing:
        raise FormatError(f"the parameters {sorted(missing)} of the module have nothing in the network")
    module.eval()
    return module


def from_torch(module: Any, description: dict[str, Any] | None = None, *, example: Any = None) -> Network:
    """A network with the parameters of a torch.nn.Module (needs torch): of recurrent layers, Linear, Embedding and LayerNorm.

    What a forward() of your own does PyTorch does not tell: the order of the modules is found out where only one fits their
    sizes, and the rest is as docs/import.md says, which also says what the description is. Of nn.Sequential, of a single layer
    and of what to_torch() gives everything is known.

    With an example of an input, [batch, steps, features] (batch_first), both are run on it, and outputs that differ are an error.
    """
    torch = extra("torch", "torch")
    save = extra("safetensors.torch", "torch").save
    from elman._torch_module import TorchNetwork

    tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in module.state_dict().items()}
    if isinstance(module, TorchNetwork):
        if any((layer.options or {}).get("last") == "step" for layer in module.kinds):
            raise ArgumentError("a layer with last 'step' does not come back from PyTorch", lib.ELMAN_ERROR_MISMATCH)
        description = description or _description_of(module)
        mean, deviation = tensors.pop("mean").numpy(), tensors.pop("deviation").numpy()
    else:
        mean = deviation = None
        if description is None:
            described = _describe(module, nn=torch.nn)
            if described is not None:
                description = described
                tensors = {f"module.{name}": tensor for name, tensor in tensors.items()}
    text = None if description is None else json.dumps(description)
    network = Network.import_bytes(save(tensors), text)
    if mean is not None and (mean.any() or (deviation != 1).any()):
        network.set_standardization(mean, deviation)
    if example is not None:
        _compare(network, module, example, torch)
    return network


def _compare(network: Network, module: Any, example: Any, torch: Any) -> None:
    training = module.training
    module.eval()
    try:
        with torch.no_grad():
            x = torch.as_tensor(np.asarray(example, np.float32))
            expected = module(x.to(next(module.parameters()).dtype))
    finally:
        module.train(training)
    if isinstance(expected, tuple):
        expected = expected[0]
    wanted, got = expected.float().cpu().numpy(), network.predict(x.numpy())
    if wanted.shape != got.shape:
        raise FormatError(f"the module gives the shape {list(wanted.shape)}, the network {list(got.shape)}: is its output right?")
    difference = float(np.abs(wanted - got).max(initial=0.0))
    if not difference <= 1e-4 * max(1.0, float(np.abs(wanted).max(initial=0.0))):
        message = (
            f"the outputs of module and network differ by up to {difference:g}: the description must say what forward() does"
        )
        raise FormatError(message)


def _json_activation(name: str, alpha: float | None, beta: float | None) -> Any:
    names = {"hard_sigmoid": 2, "affine": 2, "scaled_tanh": 2, "leaky_relu": 1, "elu": 1, "thresholded_relu": 1}
    if name not in names:
        return name
    return {name: {"alpha": alpha} if names[name] == 1 else {"alpha": alpha, "beta": beta}}


def _description_of(module: TorchNetwork) -> dict[str, Any]:
    layers: list[dict[str, Any]] = []
    for index, layer in enumerate(module.kinds):
        one: dict[str, Any] = {"module": f"layers.{index}"}
        if layer.kind in ("rnn", "dense"):
            one["activation"] = _json_activation(*layer.activation)
        elif layer.kind == "norm":
            one["epsilon"] = layer.epsilon
        elif layer.kind == "embedding":
            one["columns"] = list(layer.numbers)
        elif layer.kind == "dropout":
            one = {"kind": "dropout", "rate": layer.rate}
        elif layer.kind == "activation":
            one = {"kind": "activation", "activation": _json_activation(*layer.activation)}
        elif layer.kind == "concat":
            one = {"kind": "concat", "layers": list(layer.numbers)}
        elif layer.kind == "residual":
            one = {"kind": "residual", "layer": layer.numbers[0]}
        layers.append(one)
    return {"input_size": len(module.mean), "output": module.output, "layers": layers}


def _describe(module: Any, nn: Any) -> dict[str, Any] | None:
    """The description of a module whose order is known; None for others. Names have "module." in front."""
    if isinstance(module, nn.Sequential):
        layers = [_describe_one(child, f"module.{name}", nn) for name, child in module.named_children()]
    elif isinstance(module, nn.RNN | nn.LSTM | nn.GRU | nn.Linear):
        layers = [_describe_one(module, "module", nn)]
    else:
        return None
    return {"layers": [layer for layer in layers if layer]}


def _describe_one(module: Any, name: str, nn: Any) -> dict[str, Any]:
    if isinstance(module, nn.RNN):
        return {"module": name, "activation": module.nonlinearity}
    if isinstance(module, nn.LSTM | nn.GRU | nn.Linear):
        return {"module": name}
    if isinstance(module, nn.LayerNorm):
        return {"module": name, "epsilon": module.eps}
    if isinstance(module, nn.Embedding):
        return {"module": name, "columns": [0]}
    if isinstance(module, nn.Dropout):
        return {"kind": "dropout", "rate": module.p}
    if isinstance(module, nn.Identity):
        return {}
    activations = {
        nn.Tanh: "tanh",
        nn.ReLU: "relu",
        nn.Sigmoid: "sigmoid",
        nn.Softsign: "softsign",
        nn.Softplus: "softplus",
        nn.Hardtanh: "hard_tanh",
    }
    value: Any = activations.get(type(module))
    if isinstance(module, nn.LeakyReLU):
        value = {"leaky_relu": {"alpha": module.negative_slope}}
    elif isinstance(module, nn.ELU):
        value = {"elu": {"alpha": module.alpha}}
    elif isinstance(module, nn.Hardsigmoid):
        value = {"hard_sigmoid": {"alpha": 1 / 6, "beta": 0.5}}
    usual = (isinstance(module, nn.Hardtanh) and (module.min_val, module.max_val) != (-1.0, 1.0)) or (
        isinstance(module, nn.Softplus) and module.beta != 1
    )
    if value is None or usual:
        raise FormatError(f"{name} is a {module!r}, which elman does not take")
    return {"kind": "activation", "activation": value}
