"""Small graphs on the cpu backend, beside numpy: for tests of its kernels."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pytest
from inferflow_backends.cpu import CPUBackend
from inferflow_backends.numpy import NumpyBackend

from inferflow_core.axes import Axis, Dims
from inferflow_core.block import Model, Param, Scope
from inferflow_core.catalog import Catalog
from inferflow_core.context import Context
from inferflow_core.graph import Graph
from inferflow_core.interfaces import Backend, Program, Sizes
from inferflow_core.ops import Ops, Tensor

SEQUENCES = [[3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3], [8], [4, 6, 2, 6]]
Case = Callable[[Ops, Any, Any, Any, Context], Tensor]


def axes(*sizes: int) -> list[Axis]:
    return [Axis(f"a{place}", size) for place, size in enumerate(sizes)]


@dataclass(frozen=True, kw_only=True)
class Probe(Model):
    """x and y [T, hidden], and what a case makes of them."""

    vocab: int = 12
    case: Case
    weights: tuple[tuple[int, ...], ...] = ()

    def params(self, dims: Dims) -> dict[str, Param]:
        tables = {name: Param(dims.vocab, dims.hidden) for name in "xy"}
        return tables | {f"w{n}": Param(*axes(*sizes)) for n, sizes in enumerate(self.weights)}

    def entries(self) -> dict[str, Callable[[Ops, Scope, Context], dict[str, Tensor]]]:
        def step(ops: Ops, w: Any, ctx: Context) -> dict[str, Tensor]:
            x, y = ops.rows(w.x, ctx.ids), ops.rows(w.y, ctx.ids)
            return {"logits": self.case(ops, w, x, y, ctx)}

        return {"step": step}


@dataclass(frozen=True)
class PackedWeight:
    """Numbers in a format of their own."""

    numbers: Any
    format: str

    @property
    def shape(self) -> tuple[int, ...]:
        return self.numbers.shape

    def packed(self) -> Any:
        rows = self.numbers.reshape(-1, self.shape[-1])
        return Catalog().get("format", self.format)().pack(rows).reshape(len(rows), -1)

    def values(self) -> Any:
        rows = self.numbers.reshape(-1, self.shape[-1])
        values = Catalog().get("format", self.format)().unpack(self.packed(), rows.shape)
        return values.reshape(self.shape)


class On:
    """A backend with so many threads, with some weights given, some in a format."""

    name: ClassVar[str] = "on"

    def __init__(
        self,
        backend: Backend | None = None,
        weights: Mapping[str, Any] | None = None,
        **sizes: Any,
    ) -> None:
        self._backend = backend or CPUBackend(Catalog())
        self._weights, self._sizes = weights or {}, {"threads": 1, **sizes}

    def available(self) -> str:
        return ""

    def native(self) -> frozenset[str]:
        return self._backend.native()

    def compile(self, graph: Graph, weights: Any, sizes: Sizes) -> Program:
        given = {**weights, **self._weights}
        return self._backend.compile(graph, given, replace(sizes, **self._sizes))

    def run(self, model: Model, sequences: Sequence[list[int]], **how: Any) -> list[bytes]:
        return NumpyBackend(Catalog()).prober(self).run(model, sequences, **how)


@contextmanager
def numpy_calls() -> Iterator[list[str]]:
    """The ops that ran as numpy between tapes."""
    from inferflow_backends.cpu.program import CPUProgram

    found: list[str] = []
    call = CPUProgram._call  # pyright: ignore

    def noted(self: CPUProgram, segment: Any, buffers: Any) -> None:
        found.append(segment.node.op)
        call(self, segment, buffers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CPUProgram, "_call", noted)
        yield found


def lawful(
    model: Model, sequences: Sequence[list[int]], weights: Mapping[str, Any] | None = None
) -> list[bytes]:
    """What cpu makes of the sequences: without numpy in between, and the same bits alone, in
    company, in chunks and with three threads."""
    with numpy_calls() as called:
        together = On(weights=weights).run(model, sequences)
        assert [On(weights=weights).run(model, [each])[0] for each in sequences] == together
        assert On(weights=weights).run(model, sequences, chunk=5) == together
        assert On(weights=weights, threads=3).run(model, sequences) == together
    assert called == []
    return together


def compare(model: Model, tolerance: float = 2e-6) -> None:
    """The model on cpu and on numpy."""
    found = b"".join(lawful(model, SEQUENCES))
    expected = b"".join(NumpyBackend(Catalog()).prober().run(model, SEQUENCES, how="eager"))
    x, y = (np.frombuffer(each, np.float32) for each in (expected, found))
    assert x.shape == y.shape
    assert np.abs(x - y).max() <= tolerance * max(1.0, float(np.abs(x).max()))
