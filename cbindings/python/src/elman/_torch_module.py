"""A PyTorch module that computes what a network does. Imported when PyTorch is asked for."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from elman.network import Layer, Network


class _Activation(nn.Module):  # type: ignore[misc]
    """Activations whose parameters PyTorch's modules have not."""

    def __init__(self, name: str, alpha: float, beta: float) -> None:
        super().__init__()
        self.name, self.alpha, self.beta = name, alpha, beta

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.name == "hard_sigmoid":
            return torch.clamp(self.alpha * x + self.beta, 0.0, 1.0)
        if self.name == "affine":
            return self.alpha * x + self.beta
        return self.alpha * torch.tanh(self.beta * x)


def activation(name: str, alpha: float, beta: float) -> nn.Module:
    """The module of an activation."""
    plain = {
        "tanh": nn.Tanh,
        "relu": nn.ReLU,
        "sigmoid": nn.Sigmoid,
        "linear": nn.Identity,
        "hard_tanh": nn.Hardtanh,
        "softsign": nn.Softsign,
    }
    if name in plain:
        return plain[name]()
    if name == "softplus":
        return nn.Softplus()
    if name == "leaky_relu":
        return nn.LeakyReLU(alpha)
    if name == "elu":
        return nn.ELU(alpha)
    if name == "thresholded_relu":
        return nn.Threshold(alpha, 0.0)
    return _Activation(name, alpha, beta)


def _recurrent(layer: Layer) -> nn.Module:
    options = dict(layer.options or {})
    bidirectional = options.pop("direction", "forward") == "bidirectional"
    options.pop("last", None)
    bias = bool(options.pop("bias", True))
    projection = int(options.pop("projection", 0))  # type: ignore[call-overload]
    # What is left PyTorch has not: elman_save_state_dict() refuses it by name.
    inner = layer.state_size // (2 if bidirectional else 1)
    settings: dict[str, Any] = {"bias": bias, "batch_first": True, "bidirectional": bidirectional}
    if layer.kind == "lstm":
        gates = next(tensor for tensor in layer.tensors if tensor.name == "W_x")
        return nn.LSTM(layer.input_size, gates.columns // gates.gates, proj_size=projection, **settings)
    if layer.kind == "gru":
        return nn.GRU(layer.input_size, inner, **settings)
    return nn.RNN(layer.input_size, inner, nonlinearity=layer.activation.name, **settings)


class TorchNetwork(nn.Module):  # type: ignore[misc]
    """A network of elman's as a module: forward(x [batch, steps, features], lengths [batch] or None).

    It gives [batch, outputs] or, where the network gives the outputs of all steps, [batch, steps, outputs], with 0 behind the end
    of a sequence. `names` are those of the submodules with parameters, in order.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.kinds = network.layers
        self.output = network.output
        standardization = network.standardization
        self.register_buffer("mean", torch.from_numpy(standardization.mean))
        self.register_buffer("deviation", torch.from_numpy(standardization.deviation))
        self.layers = nn.ModuleList(self._module(layer) for layer in self.kinds)
        self.after = nn.ModuleList(
            activation(*layer.activation) if layer.kind == "dense" else nn.Identity()  # type: ignore[arg-type]
            for layer in self.kinds
        )
        self.names = [f"layers.{index}" for index, layer in enumerate(self.kinds) if layer.parameter_count]

    @staticmethod
    def _module(layer: Layer) -> nn.Module:
        if layer.kind in ("rnn", "gru", "lstm"):
            return _recurrent(layer)
        if layer.kind == "dense":
            return nn.Linear(layer.input_size, layer.output_size)
        if layer.kind == "dropout":
            return nn.Dropout(layer.rate)
        if layer.kind == "norm":
            return nn.LayerNorm(layer.output_size, eps=layer.epsilon)
        if layer.kind == "embedding":
            return nn.Embedding(layer.classes, layer.tensors[0].columns)
        if layer.kind == "activation":
            return activation(*layer.activation)  # type: ignore[arg-type]
        return nn.Identity()

    def forward(self, x: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Runs a batch."""
        if lengths is None:
            lengths = torch.full((x.shape[0],), x.shape[1])
        ends = lengths.to(x.device).clamp(min=1) - 1
        outputs = [(x - self.mean) / self.deviation]
        recurrent = [index for index, layer in enumerate(self.kinds) if layer.kind in ("rnn", "gru", "lstm")]
        # What a recurrent layer gives for a sequence as a whole, where that is not its last output.
        finals: dict[int, torch.Tensor] = {}
        last = self.output == "last" and not recurrent
        for index, layer in enumerate(self.kinds):
            if last or (self.output == "last" and recurrent and index == recurrent[-1] + 1):
                outputs = self._last(outputs, finals, ends)
                last, recurrent = False, []
            value = self._layer(index, layer, outputs, lengths, finals)
            outputs.append(value)
        if self.output == "last" and recurrent:
            outputs = self._last(outputs, finals, ends)
        result: torch.Tensor = outputs[-1]
        real = torch.arange(x.shape[1], device=x.device) < lengths.to(x.device)[:, None]
        mask = real.any(dim=1)[:, None] if self.output == "last" else real[:, :, None]
        return result * mask

    def _layer(
        self,
        index: int,
        layer: Layer,
        outputs: list[torch.Tensor],
        lengths: torch.Tensor,
        finals: dict[int, torch.Tensor],
    ) -> torch.Tensor:
        module, x = self.layers[index], outputs[-1]
        if layer.kind in ("rnn", "gru", "lstm"):
            lengths = lengths.cpu().clamp(min=1)
            packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            y, state = module(packed)
            h = state[0] if layer.kind == "lstm" else state
            y, _ = nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
            if (layer.options or {}).get("last", "state") == "state":
                finals[index + 1] = h.transpose(0, 1).reshape(x.shape[0], -1)
            return y
        if layer.kind == "embedding":
            parts = [
                module(x[..., column].long()) if column in layer.numbers else x[..., column, None]
                for column in range(layer.input_size)
            ]
            return torch.cat(parts, dim=-1)
        if layer.kind == "concat":
            return torch.cat([outputs[number] for number in layer.numbers], dim=-1)
        if layer.kind == "residual":
            return x + outputs[layer.numbers[0]]
        result: torch.Tensor = self.after[index](module(x))
        return result

    @staticmethod
    def _last(outputs: list[torch.Tensor], finals: dict[int, torch.Tensor], ends: torch.Tensor) -> list[torch.Tensor]:
        rows = torch.arange(len(ends), device=ends.device)
        return [finals[index] if index in finals else value[rows, ends] for index, value in enumerate(outputs)]
