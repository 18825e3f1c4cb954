"""rms_norm: the suite, the formula, and torch's."""

from typing import Any

import numpy as np
import pytest
from eager import Bench, close, dims_of, vectors
from inferflow_backends.numpy.eager import EagerOps
from inferflow_blocks.rms_norm import RMSNorm

from inferflow_core.testing import NormSuite


class TestRMSNorm(NormSuite):
    name = "rms_norm"

    def make(self) -> RMSNorm:
        return RMSNorm(eps=1e-3, unit_offset=True)


class TestWithoutWeight(NormSuite):
    name = "rms_norm"

    def make(self) -> RMSNorm:
        return RMSNorm(weight=False)


def test_formula() -> None:
    x = np.array([[3.0, 4.0]], np.float32)
    weight = np.array([1.0, 2.0], np.float32)
    y = EagerOps().rms_norm(x, weight, eps=0.0, unit_offset=True)
    assert np.allclose(y, [[3 / 12.5**0.5 * 2, 4 / 12.5**0.5 * 3]])


FORMS = {
    "plain": RMSNorm(eps=1e-3),
    "unit offset": RMSNorm(unit_offset=True),
    "no weight": RMSNorm(weight=False),
}


@pytest.mark.parametrize("form", FORMS)
def test_equals_torch(form: str, reference: Any) -> None:
    block = FORMS[form]
    bench = Bench(block, dims_of(12))
    x = vectors(5, 12) * 3 + 2
    weight = reference.tensor(bench.handles["weight"]) if block.weight else None
    if block.unit_offset:
        weight = weight + 1
    norm = reference.torch.nn.functional.rms_norm
    close(bench.run(x), norm(reference.tensor(x), (12,), weight, block.eps))


def test_fields_that_contradict() -> None:
    with pytest.raises(ValueError, match="unit_offset is about the weight"):
        RMSNorm(weight=False, unit_offset=True)
