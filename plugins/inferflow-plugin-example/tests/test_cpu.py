"""The ops inside a model of the `cpu` backend: by numpy between two tapes, and as a kernel."""

import pytest
from inferflow_plugin_example.scaled_norm import ScaledNorm
from inferflow_plugin_example.squash_norm import SquashNorm

from inferflow_core.block import Norm
from inferflow_core.catalog import Catalog
from inferflow_core.testing.probe import probe

pytest.importorskip("numba", reason="the cpu backend needs numba")

SEQUENCES = [[(5 * i) % 40 for i in range(n)] for n in (19, 1, 6)]


def run(norm: Norm, backend: str) -> list[bytes]:
    catalog = Catalog()
    prober = catalog.get("backend", "numpy")(catalog).prober(
        catalog.get("backend", backend)(catalog)
    )
    return prober.run(probe(norm, hidden=32, vocab=40), SEQUENCES, chunk=5)


def test_an_op_without_a_kernel_runs_by_its_reference() -> None:
    assert run(SquashNorm(alpha=2.0), "cpu") == run(SquashNorm(alpha=2.0), "numpy")


def test_the_kernel_takes_the_op(monkeypatch: pytest.MonkeyPatch) -> None:
    from inferflow_plugin_example import scale, scale_cpu

    expected = run(ScaledNorm(scale=1.5), "cpu")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the reference ran")

    monkeypatch.setattr("inferflow_plugin_example.scale.scale", scale.Op(scale.same, refuse))
    assert run(ScaledNorm(scale=1.5), "cpu") == expected
    monkeypatch.setattr(scale_cpu, "lower", lambda low, node: False)
    with pytest.raises(AssertionError, match="the reference ran"):
        run(ScaledNorm(scale=1.5), "cpu")
