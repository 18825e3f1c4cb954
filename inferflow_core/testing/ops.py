"""Suite of ops that a third party registers."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from inferflow_core.block import Model, Param, Scope
from inferflow_core.context import Context
from inferflow_core.ops import Ops, Tensor
from inferflow_core.optable import Op
from inferflow_core.testing.registered import EntrySuite

SEQUENCES = [[(5 * i + n) % 30 for i in range(n)] for n in (21, 1, 7)]


@dataclass(frozen=True, kw_only=True)
class OpModel(Model):
    """ids -> random vectors [tokens, hidden], one for each input -> the op."""

    op: str
    inputs: int
    attrs: Mapping[str, Any]

    def params(self, dims: Any) -> dict[str, Param]:
        return {f"x{i}.weight": Param(dims.vocab, dims.hidden) for i in range(self.inputs)}

    def entries(self) -> dict[str, Callable[[Ops, Scope, Context], dict[str, Tensor]]]:
        def step(ops: Ops, w: Any, ctx: Context) -> dict[str, Tensor]:
            tensors = [ops.rows(w[f"x{i}"].weight, ctx.ids) for i in range(self.inputs)]
            result = ops.op(self.op)(*tensors, **self.attrs)
            return {"logits": ops.select(result, ctx.out_rows)}

        return {"step": step}


class OpSuite(EntrySuite):
    """Give `name`, and how many inputs [tokens, 32] and which attributes to try it with."""

    kind: ClassVar[str] = "op"
    inputs: ClassVar[int] = 1
    attrs: ClassVar[Mapping[str, Any]] = {}

    def model(self) -> Model:
        attrs = dict(self.attrs)
        return OpModel(hidden=32, vocab=30, op=self.name, inputs=self.inputs, attrs=attrs)

    def run(self, backend: str, **how: Any) -> list[bytes]:
        catalog = self.catalog()
        made = catalog.get("backend", backend)(catalog)
        prober = catalog.get("backend", "numpy")(catalog).prober(made)
        return prober.run(self.model(), SEQUENCES, **how)

    def test_is_an_op_that_can_run(self) -> None:
        """It is an Op with a numpy reference, or a decomposition."""
        entry = self.entry()
        assert isinstance(entry, Op)
        assert entry.reference is not None or entry.decompose is not None

    def test_traced_equals_eager(self) -> None:
        """In a graph it gives the bits of the reference: so the shape rule says the right shape."""
        assert self.run("numpy") == self.run("numpy", how="eager")

    def test_numeric_law(self) -> None:
        """The same bits in chunks and with pages anywhere: each row by itself."""
        assert self.run("numpy", chunk=5, shuffle_pages=True) == self.run("numpy")

    def test_every_backend_that_works_here_gives_the_same(self) -> None:
        """Every installed backend that works on this machine runs it."""
        catalog, expected = self.catalog(), b"".join(self.run("numpy"))
        for name in catalog.names("backend"):
            if catalog.get("backend", name)(catalog).available():
                continue
            x, y = array("f", expected), array("f", b"".join(self.run(name)))
            worst = max(abs(a - b) for a, b in zip(x, y, strict=True))
            assert worst <= 1e-5 * max(1.0, max(map(abs, x))), name
