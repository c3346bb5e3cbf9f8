"""To PyTorch and back, where PyTorch is there."""

import numpy as np
import pytest

import elman

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")
nn = torch.nn

LENGTHS = np.array([6, 2, 0, 4])


def networks(output):
    first = elman.Network(3, output=output, seed=1).add_gru(5, direction="bidirectional").add_dense(4, "leaky_relu")
    yield first.add_lstm(4, projection=2).add_dropout(0.1).add_dense(2, "hard_sigmoid")
    second = elman.Network(3, output=output, seed=2).add_rnn(3, "relu", bias=False).add_layer_norm().add_residual(0)
    second.add_lstm(4).add_concat([1, 4]).add_dense(3).add_residual(0).add_activation(("scaled_tanh", 2, 0.5))
    second.set_standardization([1, 2, 3], [1, 2, 0.5])
    yield second
    yield elman.Network(3, output=output, seed=3).add_dense(3, "tanh")
    yield elman.Network(3, output=output, seed=4).add_gru(3).add_lstm(2, direction="bidirectional", last="step")


@pytest.mark.parametrize("output", ["last", "all"])
def test_to_torch_gives_the_same_numbers(random, output):
    x = random.standard_normal((4, 6, 3)).astype(np.float32)
    for network in networks(output):
        module = elman.to_torch(network)
        for lengths in (None, LENGTHS):
            y = module(torch.tensor(x), None if lengths is None else torch.tensor(lengths)).detach().numpy()
            assert np.allclose(y, network.predict(x, lengths), atol=1e-5), network
        if network.layers[-1].options != {"direction": "bidirectional", "last": "step"}:
            again = elman.from_torch(module, example=x)
            assert np.array_equal(again.parameters, network.parameters)
            assert np.array_equal(again.predict(x, LENGTHS), network.predict(x, LENGTHS))
        else:
            with pytest.raises(ValueError, match="last 'step'"):
                elman.from_torch(module)


def test_embeddings_go_to_torch(random):
    network = elman.Network(3, output="all").add_embedding([1], 5, 2).add_lstm(3)
    x = random.standard_normal((4, 6, 3)).astype(np.float32)
    x[..., 1] = random.integers(0, 5, (4, 6))
    assert np.allclose(elman.to_torch(network)(torch.tensor(x)).detach().numpy(), network.predict(x), atol=1e-6)


@pytest.mark.parametrize(("options", "message"), [({"zoneout": 0.1}, "zoneout"), ({"direction": "reverse"}, "reverse")])
def test_what_torch_has_not_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        elman.to_torch(elman.Network(1).add_lstm(2, **options))


class Head(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.gru = nn.GRU(3, 4, batch_first=True)
        self.linear = nn.Linear(4, 2)
        self.function = function

    def forward(self, x):
        return self.function(self.linear(self.gru(x)[0][:, -1]))


def test_from_torch_takes_what_it_can_know(random):
    x = random.standard_normal((4, 6, 3)).astype(np.float32)
    torch.manual_seed(1)
    for module in [
        nn.LSTM(3, 5, 2, batch_first=True, bidirectional=True),
        nn.RNN(3, 5, nonlinearity="relu", batch_first=True),
        nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5), nn.LayerNorm(4), nn.Linear(4, 2), nn.Hardsigmoid()),
        nn.GRU(3, 5, batch_first=True).double(),
    ]:
        elman.from_torch(module, example=x)
    elman.from_torch(Head(nn.Identity()), {"output": "last"}, example=x)
    described = {"output": "last", "layers": [{"module": "gru"}, {"module": "linear", "activation": "tanh"}]}
    elman.from_torch(Head(nn.Tanh()), described, example=x)
    with pytest.raises(elman.FormatError, match="differ by up to"):
        elman.from_torch(Head(nn.Tanh()), {"output": "last"}, example=x)
    with pytest.raises(elman.FormatError, match="shape"):
        elman.from_torch(Head(nn.Identity()), example=x)
    with pytest.raises(elman.FormatError, match="Conv1d"):
        elman.from_torch(nn.Sequential(nn.Conv1d(3, 3, 1)))
