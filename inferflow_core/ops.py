"""Ops: the handle through which a block computes.

A backend must run the primitives, which are here; the composites (`composites.py`) decompose into
them, and a backend may run natively those that pay. An op of a third party is reached with
`ops.op("xyz.name")(...)`.

Shapes are written [rows, ..., channels]; elementwise ops broadcast as numpy does. Params and states
are opaque handles: `value(w)` makes a small float param a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol, cast

from inferflow_core.axes import Axis
from inferflow_core.composites import Composites
from inferflow_core.errors import UnknownEntry, nearest

if TYPE_CHECKING:
    from inferflow_core.block import Block, Scope
    from inferflow_core.context import Context


class Tensor(Protocol):
    """A traced value, or an array of the backend that runs eagerly."""

    def __add__(self, other: Any, /) -> Any: ...
    def __radd__(self, other: Any, /) -> Any: ...
    def __sub__(self, other: Any, /) -> Any: ...
    def __rsub__(self, other: Any, /) -> Any: ...
    def __mul__(self, other: Any, /) -> Any: ...
    def __rmul__(self, other: Any, /) -> Any: ...


Number = Tensor | float
BiasRule = Callable[["Ops", Tensor, Tensor, Tensor], Tensor]

PRIMITIVES = frozenset(
    {
        *("add", "sub", "mul", "div", "maximum", "minimum", "less", "where", "to_float", "to_int"),
        *("exp", "log", "sqrt", "tanh", "erf", "sin", "cos", "sum", "max"),
        *("slice", "concat", "split_axis", "merge_axes", "expand", "select", "gather", "top_k"),
        *("constant", "value", "linear", "rows", "head_linear", "expert_linear", "combine"),
        *("append", "attention", "pool"),
    }
)
"""What every backend must run."""


class Ops(Composites):
    """The op vocabulary. A subclass says what applying an op means: run it, or record it."""

    def scope(self, path: str) -> AbstractContextManager[None]:
        """The path of the block that is running, for messages."""
        return nullcontext()

    def call(self, block: Block, w: Scope, x: Tensor, ctx: Context) -> Any:
        """Runs a block that is likely to be repeated: a tracer records it once."""
        return block(self, w, x, ctx)

    def op(self, name: str) -> Callable[..., Any]:
        """An op by name: positional arguments are tensors, keywords its attributes."""
        return lambda *inputs, **attrs: self.apply(name, inputs, attrs)

    if not TYPE_CHECKING:  # a checker is to say that an op does not exist

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_"):
                raise AttributeError(name)
            known = [each for each in dir(Ops) if not each.startswith("_")]
            raise UnknownEntry(
                f"no op named {name!r}.{nearest(name, known)}",
                hint='a block reaches an op of a plugin by ops.op("prefix.name")',
            )

    def _lift(self, x: Number) -> Tensor:
        return self.constant([float(x)]) if isinstance(x, int | float) else x

    def _elementwise(self, op: str, *inputs: Number) -> Tensor:
        return self.apply(op, [self._lift(x) for x in inputs], {})

    # --- elementwise primitives -------------------------------------------------------------

    def add(self, x: Number, y: Number) -> Tensor:
        return self._elementwise("add", x, y)

    def sub(self, x: Number, y: Number) -> Tensor:
        return self._elementwise("sub", x, y)

    def mul(self, x: Number, y: Number) -> Tensor:
        return self._elementwise("mul", x, y)

    def div(self, x: Number, y: Number) -> Tensor:
        return self._elementwise("div", x, y)

    def maximum(self, x: Number, y: Number) -> Tensor:
        return self._elementwise("maximum", x, y)

    def minimum(self, x: Number, y: Number) -> Tensor:
        return self._elementwise("minimum", x, y)

    def exp(self, x: Tensor) -> Tensor:
        return self.apply("exp", [x], {})

    def log(self, x: Tensor) -> Tensor:
        return self.apply("log", [x], {})

    def sqrt(self, x: Tensor) -> Tensor:
        return self.apply("sqrt", [x], {})

    def tanh(self, x: Tensor) -> Tensor:
        return self.apply("tanh", [x], {})

    def erf(self, x: Tensor) -> Tensor:
        return self.apply("erf", [x], {})

    def sin(self, x: Tensor) -> Tensor:
        return self.apply("sin", [x], {})

    def cos(self, x: Tensor) -> Tensor:
        return self.apply("cos", [x], {})

    def less(self, x: Number, y: Number) -> Tensor:
        """bool."""
        return self._elementwise("less", x, y)

    def where(self, condition: Tensor, x: Number, y: Number) -> Tensor:
        return self._elementwise("where", condition, x, y)

    def to_float(self, x: Tensor) -> Tensor:
        """int or bool -> float32."""
        return self.apply("to_float", [x], {})

    def to_int(self, x: Tensor) -> Tensor:
        """float32 -> int32, towards zero: an index that was computed."""
        return self.apply("to_int", [x], {})

    # --- reductions, over the last axis, which stays with size 1 ------------------------------

    def sum(self, x: Tensor) -> Tensor:
        return self.apply("sum", [x], {})

    def max(self, x: Tensor) -> Tensor:
        return self.apply("max", [x], {})

    # --- shapes -------------------------------------------------------------------------------

    def slice(self, x: Tensor, start: int, stop: int) -> Tensor:
        """Columns start:stop of the last axis."""
        return self.apply("slice", [x], {"start": start, "stop": stop})

    def concat(self, *parts: Tensor) -> Tensor:
        """Joins along the last axis."""
        return self.apply("concat", parts, {})

    def split_axis(self, x: Tensor, *axes: Axis) -> Tensor:
        """[..., a*b] -> [..., a, b]."""
        return self.apply("split_axis", [x], {"axes": axes})

    def merge_axes(self, x: Tensor, count: int = 2) -> Tensor:
        """[..., a, b] -> [..., a*b]: the last `count` axes become one."""
        return self.apply("merge_axes", [x], {"count": count})

    def expand(self, x: Tensor, at: int) -> Tensor:
        """A new axis of size 1; `at` counts from the end of the result (-1: a new last axis)."""
        return self.apply("expand", [x], {"at": at})

    def select(self, x: Tensor, rows: Tensor) -> Tensor:
        """x [n, ...], rows int [m] -> [m, ...]."""
        return self.apply("select", [x, rows], {})

    def gather(self, x: Tensor, index: Tensor) -> Tensor:
        """x [..., n], index int [..., k] -> [..., k] along the last axis; others broadcast."""
        return self.apply("gather", [x, index], {})

    def top_k(self, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """The k largest of the last axis, largest first, ties by lower index: values, int index."""
        return self.apply("top_k", [x], {"k": k})

    # --- weights ------------------------------------------------------------------------------

    def constant(self, numbers: Sequence[float], *axes: Axis) -> Tensor:
        """float32 constants: a table with one axis, or with none a scalar."""
        return self.apply("constant", [], {"numbers": tuple(numbers), "axes": axes})

    def value(self, w: Any) -> Tensor:
        """A param as a float32 tensor: for small ones."""
        return self.apply("value", [w], {})

    def linear(self, x: Tensor, weight: Any, bias: Any = None) -> Tensor:
        """x [..., in] with weight [out, in] (and bias [out]) -> [..., out]."""
        return self.apply("linear", [x, weight, bias], {})

    def rows(self, weight: Any, ids: Tensor) -> Tensor:
        """weight [n, width], ids int [t] -> [t, width]: an embedding."""
        return self.apply("rows", [weight, ids], {})

    def expert_linear(self, x: Tensor, weight: Any, index: Tensor, bias: Any = None) -> Tensor:
        """x [t, in] or [t, k, in], weight [experts, out, in], index int [t, k] -> [t, k, out]."""
        return self.apply("expert_linear", [x, weight, index, bias], {})

    def combine(self, x: Tensor, weight: Tensor) -> Tensor:
        """x [t, k, n], weight [t, k] -> [t, n]: the sum of weight * x, k after k."""
        return self.apply("combine", [x, weight], {})

    def head_linear(
        self, x: Tensor, weight: Any, *, start: int, stop: int, transpose: bool = False
    ) -> Tensor:
        """A map for each head: x [t, heads, in], weight [heads * rows, width].

        Each head has its rows start:stop of the weight, as [out, in]; transposed, as [in, out].
        Gives [t, heads, out].
        """
        attrs = {"start": start, "stop": stop, "transpose": transpose}
        return self.apply("head_linear", [x, weight], attrs)

    # --- caches -------------------------------------------------------------------------------

    def append(self, state: Any, x: Tensor, ctx: Context) -> None:
        """Writes a row a token of x [T, *row] into a TokenState."""
        self.apply("append", [state, x, ctx.positions, ctx.seq_of, ctx.block_tables], {})

    def attention(
        self,
        q: Tensor,
        keys: Any,
        values: Any,
        ctx: Context,
        *,
        scale: float,
        causal: bool = True,
        window: int | None = None,
        softcap: float | None = None,
        sinks: Any = None,
        bias: BiasRule | None = None,
        source: bool = False,
    ) -> Tensor:
        """q [T, heads, width] over the cached keys (kv_heads, width) and values (kv_heads, v).

        With `source` they are the encoder's, and `causal` and `window` do not count.
        Returns [T, heads, v]. Scores are scaled, capped (`c * tanh(s / c)`), biased, masked
        (causal; `window` the last so many keys, or without causal window/2 to each side), and a
        softmax with float32 statistics weighs the values; `sinks` [heads] joins its denominator.
        Heads share kv heads in equal consecutive groups.
        """
        columns = [ctx.positions, ctx.offsets, ctx.lengths, ctx.block_tables]
        if source:
            columns[2:] = [ctx.source_lengths, ctx.source_tables]
            causal, window = False, None
        attrs = {"scale": scale, "causal": causal, "window": window, "softcap": softcap}
        return self.apply("attention", [q, keys, values, *columns, sinks], {**attrs, "bias": bias})

    # --- sequences ----------------------------------------------------------------------------

    def pool(self, x: Tensor, ctx: Context, how: str) -> Tensor:
        """x [T, n] -> [S, n]: each sequence's `first` or `last` row, or the `mean` of its rows.

        For sequences that are whole in a step.
        """
        return self.apply("pool", [x, ctx.offsets], {"how": how})


def linear(ops: Ops, w: Scope, x: Tensor) -> Tensor:
    """The linear map whose params are `w.weight` and, where declared, `w.bias`."""
    return ops.linear(x, cast("Any", w).weight, w.get("bias"))
