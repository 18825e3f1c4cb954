"""mlp: the suite, and every activation as torch computes it."""

from typing import Any

import numpy as np
import pytest
from eager import Bench, close, dims_of, vectors
from inferflow_blocks.mlp import MLP

from inferflow_core.block import ACTIVATIONS, all_params
from inferflow_core.testing import FFNSuite

THEIRS = {
    "silu": "silu",
    "gelu": "gelu",
    "gelu_tanh": "gelu_pytorch_tanh",
    "quick_gelu": "quick_gelu",
    "relu": "relu",
    "relu2": "relu2",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
}
"""Activation -> its name in transformers."""


class TestMLP(FFNSuite):
    name = "mlp"

    def make(self) -> MLP:
        return MLP(act="gelu", bias=True)


def test_every_activation_is_tried() -> None:
    assert THEIRS.keys() == set(ACTIVATIONS.values())


@pytest.mark.parametrize("act", THEIRS)
def test_equals_torch(act: str, reference: Any) -> None:
    bench = Bench(MLP(act=act, bias=True, hidden=20), dims_of(12))
    torch, w = reference.torch, bench.handles
    up, down = torch.nn.Linear(12, 20), torch.nn.Linear(20, 12)
    function = reference.transformers.activations.ACT2FN[THEIRS[act]]
    theirs = torch.nn.Sequential(up, function, down)
    names = {"up": "0", "down": "2"}
    reference.filled(theirs, {f"{names[p.split('.')[0]]}.{p.split('.')[1]}": w[p] for p in w})
    x = vectors(40, 12) * 3
    close(bench.run(x), reference.run(theirs, reference.tensor(x)))


@pytest.mark.parametrize("spelling", sorted(ACTIVATIONS.keys() - {"gelu_tanh"}))
def test_every_spelling_means_what_transformers_mean(spelling: str, reference: Any) -> None:
    """`gelu_tanh` is ours alone."""
    theirs = reference.transformers.activations.ACT2FN[spelling]
    x = np.linspace(-6, 6, 97)[:, None]
    bench = Bench(MLP(act=ACTIVATIONS[spelling], hidden=1), dims_of(1))
    bench.handles.update({"up.weight": np.ones((1, 1), np.float32)})
    bench.handles.update({"down.weight": np.ones((1, 1), np.float32)})
    close(bench.run(x.astype(np.float32)), theirs(reference.tensor(x)).numpy(), 2e-6)


def test_width_is_a_ratio_or_a_number() -> None:
    def width(block: MLP) -> int:
        return all_params(block, dims_of(12))["up.weight"].shape[0]

    assert [width(MLP(act="relu")), width(MLP(act="relu", ratio=1.5))] == [48, 18]
    assert width(MLP(act="relu", ratio=1.5, hidden=7)) == 7
    with pytest.raises(ValueError, match="hidden is 0"):
        MLP(act="relu", hidden=0)
    with pytest.raises(ValueError, match="ratio is -4"):
        MLP(act="relu", ratio=-4.0)
