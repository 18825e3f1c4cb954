"""layer_norm: the suite, and torch's."""

from typing import Any

import numpy as np
import pytest
from eager import Bench, close, dims_of, vectors
from inferflow_blocks.layer_norm import LayerNorm

from inferflow_core.axes import Axis
from inferflow_core.testing import NormSuite

FORMS = {
    "plain": LayerNorm(),
    "unit offset": LayerNorm(eps=1e-3, unit_offset=True),
    "no bias": LayerNorm(bias=False),
    "no weight": LayerNorm(weight=False),
    "neither": LayerNorm(weight=False, bias=False, eps=0.1),
}


class TestLayerNorm(NormSuite):
    name = "layer_norm"

    def make(self) -> LayerNorm:
        return LayerNorm(eps=1e-3)


@pytest.mark.parametrize("form", FORMS)
def test_equals_torch(form: str, reference: Any) -> None:
    block = FORMS[form]
    bench = Bench(block, dims_of(12))
    x = vectors(5, 12) * 3 + 7
    held = {name: reference.tensor(w) for name, w in bench.handles.items()}
    weight = held.get("weight")
    if block.unit_offset:
        weight = weight + 1
    norm = reference.torch.nn.functional.layer_norm
    expected = norm(reference.tensor(x), (12,), weight, held.get("bias"), block.eps)
    close(bench.run(x), expected)


def test_each_head_may_have_its_own(reference: Any) -> None:
    """As Cohere's norm of queries: statistics of a head, weights [heads, width]."""
    bench = Bench(LayerNorm(bias=False), dims_of(6, own=(Axis("heads", 4),)))
    assert bench.handles["weight"].shape == (4, 6)
    norm = reference.code("cohere").CohereLayerNorm((4, 6), eps=1e-5)
    x = vectors(3, 4, 6)
    reference.filled(norm, bench.handles)
    expected = reference.run(norm, reference.tensor(x))
    close(bench.run(x, lengths=[3]), expected)


def test_a_constant_row_is_the_shift() -> None:
    bench = Bench(LayerNorm(), dims_of(8))
    found = bench.run(np.full((1, 8), 1e4, np.float32))
    assert np.array_equal(found[0], bench.handles["bias"])


def test_fields_that_contradict() -> None:
    with pytest.raises(ValueError, match="unit_offset is about the weight"):
        LayerNorm(weight=False, unit_offset=True)
    with pytest.raises(ValueError, match="eps is -1"):
        LayerNorm(eps=-1.0)
