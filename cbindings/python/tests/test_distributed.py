"""Training on several processes: what averages their gradients, and the examples with MPI and PyTorch."""

import os
import re
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import REPOSITORY

import elman
from elman.distributed import average_gradients

EXAMPLES = REPOSITORY / "cbindings" / "python" / "examples"


def together(count, work):
    """Runs work(rank, reduce) on threads that stand for processes, and gives what each returns."""
    barrier, arrays = threading.Barrier(count, timeout=60), [None] * count

    def reducer(rank):
        def reduce(array):
            arrays[rank] = array.copy()
            barrier.wait()
            array[:] = sum(arrays[1:], arrays[0].copy())
            barrier.wait()

        return reduce

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda rank: work(rank, reducer(rank)), range(count)))


def test_gradients_count_by_their_weights():
    gradients = [np.array(values, np.float32) for values in ([1, 0.5], [0, 0], [2, 4])]
    totals = together(3, lambda rank, reduce: average_gradients(gradients[rank], [2, 0, 6][rank], reduce))
    assert totals == [8, 8, 8]
    for one in gradients:
        assert one.tolist() == [(1 * 2 + 2 * 6) / 8, (0.5 * 2 + 4 * 6) / 8]


def test_nothing_at_all_is_left_alone():
    gradients = np.ones(3, np.float32)
    assert average_gradients(gradients, 0, lambda array: None) == 0
    assert gradients.tolist() == [1, 1, 1]


@pytest.mark.parametrize("weight", [-1, float("nan"), float("inf")])
def test_a_weight_that_is_none_is_refused(weight):
    with pytest.raises(elman.ArgumentError, match="weight"):
        average_gradients(np.ones(3, np.float32), weight, lambda array: pytest.fail("called"))


def test_several_fits_learn_what_one_does(random):
    lengths = random.integers(1, 9, 21)
    x = [random.standard_normal((length, 2)) for length in lengths]
    tags = [np.where(random.random(length) < 0.3, elman.NO_LABEL, random.integers(0, 3, length)) for length in lengths]

    def train(rows, batch_size, on_batch=None):
        network = elman.Network(2, output="all", seed=5).add_lstm(6).add_dense(3)
        # A sequence without tags stands for none.
        data = [(x[row], tags[row]) if row is not None else (np.zeros((1, 2)), [elman.NO_LABEL]) for row in rows]
        dataset = elman.Dataset.with_classes(*zip(*data, strict=True), 3, per_step=True)
        options = {"batch_size": batch_size, "epochs": 3, "shuffle": False, "clip": "norm", "clip_limit": 0.1}
        network.fit(dataset, elman.SGD(0.5, 0.9), on_batch=on_batch, **options)
        return network.parameters

    def work(rank, reduce):
        def average(progress):
            progress.weight = average_gradients(progress.gradients, progress.weight, reduce)

        first, end = [(0, 1), (1, 5), (5, 6)][rank]
        rows = [place for batch in range(0, 21, 6) for place in range(batch + first, min(batch + end, 21))]
        return train(rows if rank < 2 else [*rows, None], end - first, average)

    whole = train(range(21), 6)
    parts = together(3, work)
    assert all(np.array_equal(one, parts[0]) for one in parts)
    assert np.abs(parts[0] - whole).max() < 1e-6 < np.abs(whole - train(range(21), 7)).max()


def run(command, **environment):
    settings = {
        # Open MPI on one machine: as root, on any number of cores, with shared memory alone.
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "OMPI_MCA_btl": "self,vader",
    }
    result = subprocess.run(command, env=os.environ | settings | environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "all processes have the same bits" in result.stdout
    return result.stdout


def test_the_example_with_mpi_learns_what_one_process_does_and_goes_on(tmp_path):
    pytest.importorskip("mpi4py")
    if shutil.which("mpirun") is None:
        pytest.skip("there is no mpirun")

    def train(processes, epochs, dropout, directory, *begin):
        directory = tmp_path / directory
        directory.mkdir(exist_ok=True)
        arguments = [str(value) for value in (epochs, dropout, directory, *begin)]
        start = ["mpirun", "-n", str(processes), sys.executable, "-m", "mpi4py"]
        run([*start, str(EXAMPLES / "distributed_mpi.py"), *arguments])
        return elman.Network.load(directory / f"network-{epochs}.safetensors")

    one = train(1, 4, 0, "one")
    for processes in (2, 4):
        several = train(processes, 4, 0, f"several-{processes}")
        assert np.abs(several.parameters - one.parameters).max() < 1e-4
    whole = train(2, 4, 0.2, "dropout")
    assert train(2, 4, 0.2, "dropout", 2).to_bytes() == whole.to_bytes()
    assert not np.allclose(whole.parameters, one.parameters, atol=1e-3)


def test_the_example_with_torch_runs():
    pytest.importorskip("torch")
    start = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    output = run([*start, str(EXAMPLES / "distributed_torch.py")], OMP_NUM_THREADS="1")
    assert float(re.search(r"test accuracy: ([\d.]+)", output)[1]) > 0.95
