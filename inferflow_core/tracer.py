"""The tracer: an `ops` that records what a model would compute, with shapes, without weights."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from inferflow_core.axes import CONTEXT, ONE, OUT_ROWS, SEQUENCES, TOKENS, Axes, Axis, Dims, show
from inferflow_core.block import (
    Block,
    Model,
    Param,
    Scope,
    State,
    all_aliases,
    all_params,
    all_states,
)
from inferflow_core.context import Context
from inferflow_core.errors import ShapeError
from inferflow_core.graph import (
    Body,
    Call,
    Function,
    Graph,
    Node,
    Operand,
    ParamRef,
    StateRef,
    Value,
)
from inferflow_core.ops import Ops, Tensor
from inferflow_core.optable import OpTable
from inferflow_core.shapes import Mismatch, Typed

INPUTS: Mapping[str, Axes] = {
    "ids": (TOKENS,),
    "positions": (TOKENS,),
    "seq_of": (TOKENS,),
    "offsets": (Axis("offsets", "S+1"),),
    "lengths": (SEQUENCES,),
    "block_tables": (SEQUENCES, Axis("pages", "P")),
    "out_rows": (OUT_ROWS,),
    "token_types": (TOKENS,),
    "source_lengths": (SEQUENCES,),
    "source_tables": (SEQUENCES, Axis("source_pages", "P")),
}
"""The context's int32 columns."""


class Traced:
    """A value while it is being traced: what a block holds where eager code holds an array."""

    def __init__(self, value: Value, tracer: Tracer) -> None:
        self.value = value
        self._tracer = tracer

    @property
    def axes(self) -> Axes:
        return self.value.axes

    @property
    def shape(self) -> tuple[int | str, ...]:
        return tuple(axis.size for axis in self.value.axes)

    def __add__(self, other: Any) -> Any:
        return self._tracer.add(self, other)

    def __radd__(self, other: Any) -> Any:
        return self._tracer.add(other, self)

    def __sub__(self, other: Any) -> Any:
        return self._tracer.sub(self, other)

    def __rsub__(self, other: Any) -> Any:
        return self._tracer.sub(other, self)

    def __mul__(self, other: Any) -> Any:
        return self._tracer.mul(self, other)

    def __rmul__(self, other: Any) -> Any:
        return self._tracer.mul(other, self)

    def __truediv__(self, other: Any) -> Any:
        return self._tracer.div(self, other)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("a traced value has no numbers: compute with `ops`, never with numpy")

    def __bool__(self) -> bool:
        raise TypeError("a traced value has no truth: use `ops.where`, never `if`")


class Tracer(Ops):
    """Records ops into a list of nodes; `call` records equal blocks once."""

    def __init__(
        self, table: OpTable, params: Mapping[str, Param], states: Mapping[str, State]
    ) -> None:
        self._table = table
        self._params, self._states = params, states
        self._steps: list[Node | Call] = []
        self._functions: dict[str, Function] = {}
        self._memo: dict[Any, str] = {}
        self._prefix: str | None = None
        self._path = ""
        self._last_id = 0

    @contextmanager
    def scope(self, path: str) -> Generator[None]:
        outer, self._path = self._path, path
        try:
            yield
        except ShapeError as error:
            raise error.at(path) from None
        finally:
            self._path = outer

    def input(self, axes: Axes, dtype: str) -> Traced:
        self._last_id += 1
        return Traced(Value(self._last_id, axes, dtype), self)

    def handles(self, aliases: Mapping[str, str]) -> Scope:
        """The root of all params and states; an alias is the param that it stands for."""
        refs: dict[str, Any] = {path: ParamRef(path) for path in self._params}
        refs |= {path: ParamRef(target) for path, target in aliases.items()}
        return Scope(refs | {path: StateRef(path) for path in self._states})

    def apply(self, op: str, inputs: Sequence[Any], attrs: dict[str, Any]) -> Any:
        entry = self._table.get(op)
        seen = [self._typed(item) for item in inputs]
        try:
            results = entry.shape(seen, attrs)
        except Mismatch as mismatch:
            shapes = " x ".join(show(item.axes) if item else "-" for item in seen)
            why = f" ({mismatch})" if str(mismatch) else ""
            raise ShapeError(f"{op}: {shapes}{why}").at(self._path or "the model") from None
        if attrs.get("bias") is not None and op == "attention":
            attrs = {**attrs, "bias": self._rule(attrs["bias"], seen[0])}
        outputs = [self.input(result.axes, result.dtype) for result in results]
        operands = tuple(self._operand(item) for item in inputs)
        values = tuple(output.value for output in outputs)
        self._steps.append(Node(op, operands, attrs, values, self._relative(self._path)))
        if len(outputs) == 1:
            return outputs[0]
        return tuple(outputs) if outputs else None

    def call(self, block: Block, w: Scope, x: Tensor, ctx: Context) -> Any:
        if self._prefix is not None:
            return block(self, w, x, ctx)
        traced = cast("Traced", x)
        shared = ctx.position and (ctx.position[0], ctx.position[1].path)
        key = (block, traced.axes, ctx.dims, shared)
        name = self._memo.get(key)
        if name is None:
            name = self._memo[key] = f"{block.kind}{len(self._memo)}"
            self._functions[name] = self._function(name, block, w, traced, ctx)
        function = self._functions[name]
        if function.results == function.arguments:
            return x
        results = [self.input(v.axes, v.dtype) for v in function.results]
        values = tuple(result.value for result in results)
        self._steps.append(Call(name, (traced.value,), values, w.path))
        return results[0]

    def _function(self, name: str, block: Block, w: Scope, x: Traced, ctx: Context) -> Function:
        outer, self._steps = self._steps, []
        self._prefix = w.path
        argument = self.input(x.axes, x.value.dtype)
        try:
            result = block(self, w, cast("Tensor", argument), ctx)
            nodes = tuple(step for step in self._steps if isinstance(step, Node))
        finally:
            self._steps, self._prefix = outer, None
        return Function(name, (argument.value,), nodes, (result.value,))

    def _rule(self, rule: Any, q: Typed | None) -> Function:
        """Traces a score rule as a Function of head, q_pos and k_pos."""
        assert q is not None
        outer, self._steps = self._steps, []
        shapes = ((q.axes[1], ONE), (ONE, ONE), (ONE, CONTEXT))
        arguments = [self.input(axes, "int") for axes in shapes]
        try:
            result = rule(self, *arguments)
            nodes = tuple(step for step in self._steps if isinstance(step, Node))
        finally:
            self._steps = outer
        last = result.axes[-2:]
        if len(last) < 2 or last[0].size not in (1, q.axes[1].size) or last[1].size not in (1, "C"):
            raise ShapeError(
                f"attention: a bias of scores is {show(result.axes)}; it must be "
                f"{show((q.axes[1], CONTEXT))}, heads by keys"
            ).at(self._path or "the model")
        values = tuple(argument.value for argument in arguments)
        return Function("bias", values, nodes, (result.value,))

    def _relative(self, path: str) -> str:
        if self._prefix is None or path == self._prefix:
            return path if self._prefix is None else ""
        return path.removeprefix(f"{self._prefix}.")

    def _typed(self, item: Any) -> Typed | None:
        if isinstance(item, Traced):
            return Typed(item.axes, item.value.dtype)
        if isinstance(item, ParamRef):
            return Typed(self._params[item.path].axes)
        if isinstance(item, StateRef):
            return Typed(self._states[item.path].axes)
        if item is None:
            return None
        raise TypeError(f"an op of {self._path or 'the model'} was given a {type(item).__name__}")

    def _operand(self, item: Any) -> Operand:
        if isinstance(item, Traced):
            return item.value
        if item is not None and self._prefix and item.path.startswith(f"{self._prefix}."):
            return type(item)(item.path.removeprefix(f"{self._prefix}."), local=True)
        return item

    def body(self, outputs: Mapping[str, Any]) -> Body:
        """What was recorded since the last call of this, as an entry."""
        steps, self._steps = tuple(self._steps), []
        return Body(steps, {name: output.value for name, output in outputs.items()})

    @property
    def functions(self) -> dict[str, Function]:
        return dict(self._functions)


def trace(model: Model, dims: Dims, table: OpTable) -> Graph:
    """The graph of a model. Raises ShapeError with the path of the block that is wrong."""
    params, states = all_params(model, dims), all_states(model, dims)
    tracer = Tracer(table, params, states)
    columns: dict[str, Any] = {name: tracer.input(axes, "int") for name, axes in INPUTS.items()}
    ctx = Context(dims=dims, **columns)
    handles = tracer.handles(all_aliases(model, dims))
    entries = {name: tracer.body(f(tracer, handles, ctx)) for name, f in model.entries().items()}
    inputs = {name: column.value for name, column in columns.items()}
    return Graph(inputs, tracer.functions, entries, params, states)
