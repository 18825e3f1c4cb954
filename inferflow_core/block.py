"""Blocks: the pieces of a network, as frozen dataclasses.

A block's fields are its keys in a spec; `params` declares its weights, `state` its caches, and one
method computes, through an `ops` handle that is either eager or a tracer. A block never imports
numpy or a backend.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast

from inferflow_core.axes import Axis, Dims
from inferflow_core.errors import ShapeError
from inferflow_core.params import (
    ACTIVATIONS,
    Act,
    Param,
    Scope,
    SlotState,
    SourceState,
    State,
    TokenState,
    linear_params,
)

if TYPE_CHECKING:
    from inferflow_core.context import Context
    from inferflow_core.ops import Ops, Tensor

__all__ = [
    "ACTIVATIONS",
    "FFN",
    "Act",
    "Block",
    "Embedding",
    "Head",
    "Layer",
    "Mixer",
    "Model",
    "Norm",
    "Param",
    "Position",
    "Router",
    "Scope",
    "SlotState",
    "SourceState",
    "State",
    "TokenState",
    "all_aliases",
    "all_params",
    "all_states",
    "layers_field",
    "linear_params",
    "walk",
]

B = TypeVar("B", bound="Block")
V = TypeVar("V")


class Block:
    """Base of all blocks; subclass one of the kinds below, never this."""

    api: ClassVar[int] = 1
    kind: ClassVar[str]

    def params(self, dims: Dims) -> dict[str, Param]:
        """The block's own weights by path below it (`q.weight`)."""
        return {}

    def state(self, dims: Dims) -> dict[str, State]:
        """The block's own caches by name."""
        return {}

    def children(self, dims: Dims) -> dict[str, tuple[Block, Dims]]:
        """The blocks inside, by path, and the dims each is told. The default: every field."""
        return {path: (child, dims) for path, child in _fields(self)}

    def aliases(self, dims: Dims) -> dict[str, str]:
        """Paths of weights that are another path's weight (a tied head)."""
        return {}

    def decide(self, has: Callable[[str], bool]) -> Self:
        """The block with all that the checkpoint decides settled (`tied = "auto"`).

        `has` says whether the checkpoint has a tensor for a path below this block.
        """
        return _map_children(self, lambda path, child: child.decide(_below(has, path)))

    def forward(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Any:
        """What the kind says: one result for an input `x`."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Any:
        """`forward`, with the block's path known to whoever reports an error."""
        with ops.scope(w.path):
            return self.forward(ops, w, x, ctx)


def _below(has: Callable[[str], bool], prefix: str) -> Callable[[str], bool]:
    return lambda path: has(f"{prefix}.{path}")


def _fields(block: Block) -> Iterator[tuple[str, Block]]:
    """Every block in a block's fields, with its path."""
    for item in dataclasses.fields(cast("Any", block)):
        value = getattr(block, item.name)
        if isinstance(value, Block):
            yield item.name, value
        elif isinstance(value, tuple):
            for index, child in enumerate(cast("tuple[Any, ...]", value)):
                if isinstance(child, Block):
                    yield f"{item.name}.{index}", child
        elif isinstance(value, Mapping):
            for key, child in cast("Mapping[str, Any]", value).items():
                if isinstance(child, Block):
                    yield f"{item.name}.{key}", child


def _map_children(block: B, change: Callable[[str, Block], Block]) -> B:
    changes: dict[str, Any] = {}
    for path, child in _fields(block):
        name, _, key = path.partition(".")
        new = change(path, child)
        if new is child:
            continue
        old = changes.get(name, getattr(block, name))
        if isinstance(old, tuple):
            items = list(cast("tuple[Any, ...]", old))
            items[int(key)] = new
            changes[name] = tuple(items)
        elif isinstance(old, Mapping):
            changes[name] = type(cast("Any", old))({**old, key: new})
        else:
            changes[name] = new
    return dataclasses.replace(cast("Any", block), **changes) if changes else block


class Norm(Block):
    """x [..., channels] -> the same shape."""

    kind = "norm"


class Position(Block):
    """Acts where it can: adds to embeddings, rotates q and k, or biases scores."""

    kind = "position"

    def reach(self) -> int | None:
        """The longest sequence that it has positions for; None: any."""
        return None

    def embed(self, ops: Ops, w: Scope, ctx: Context) -> Tensor | None:
        """[tokens, hidden] to be added to the token vectors, or None."""
        return None

    def rotate(self, ops: Ops, w: Scope, x: Tensor, ctx: Context, *, width: int) -> Tensor:
        """x [tokens, heads, width] (q or k) -> the same shape."""
        return x

    def score_bias(
        self, ops: Ops, w: Scope, ctx: Context, *, heads: int
    ) -> Callable[[Ops, Tensor, Tensor, Tensor], Tensor] | None:
        """A rule `(ops, head, q_pos, k_pos) -> bias`, added to the scores, or None.

        Its inputs are int [heads, 1], [1, 1] and [1, keys]; its result is [heads, keys].
        """
        return None

    def score_factor(self) -> float:
        """What the scores of a mixer that says so are multiplied by, for a stretched context."""
        return 1.0


class Mixer(Block):
    """Mixes over tokens: x [tokens, hidden] -> [tokens, hidden].

    As the `cross` of a layer it is not run by `forward`, but in two parts, by entries of their own.
    Its states are then `SourceState`s (`dims.source`).
    """

    kind = "mixer"

    def score_heads(self) -> int | None:
        """How many heads have scores that a position may bias; None where there are no scores."""
        return None

    def remember(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> None:
        """Once for each of the encoder's tokens, x [tokens, hidden]: writes what `recall` reads."""
        raise ShapeError(f"{type(self).__name__} cannot look at an encoder's output")

    def recall(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> Tensor:
        """For each of the decoder's tokens, x [tokens, hidden] -> [tokens, hidden]."""
        raise ShapeError(f"{type(self).__name__} cannot look at an encoder's output")


class FFN(Block):
    """Mixes over channels: x [tokens, hidden] -> [tokens, hidden]."""

    kind = "ffn"


class Router(Block):
    """x [tokens, hidden] -> (index int [tokens, k], weight [tokens, k]) of the experts chosen."""

    kind = "router"


class Layer(Block):
    """Residual wiring: x [tokens, hidden] -> [tokens, hidden].

    A field `cross` makes it a layer of a decoder that looks at an encoder's output.
    """

    kind = "layer"

    def children(self, dims: Dims) -> dict[str, tuple[Block, Dims]]:
        children = super().children(dims)
        if "cross" in children:
            children["cross"] = (children["cross"][0], dataclasses.replace(dims, source=True))
        return children

    def remember(self, ops: Ops, w: Scope, x: Tensor, ctx: Context) -> None:
        """Writes what `cross` reads of the encoder's output, x [tokens, hidden]."""
        cross: Mixer | None = getattr(self, "cross", None)
        if cross is None:
            return
        with ops.scope(w.cross.path):
            cross.remember(ops, w.cross, x, ctx)


class Embedding(Block):
    """ids int [tokens] -> [tokens, hidden]."""

    kind = "embedding"

    table: ClassVar[str] = "tokens.weight"
    """Path of the token table below the block; a tied head uses it."""


class Head(Block):
    """x [rows, hidden] -> a named result. A tied head reads `ctx.token_table`."""

    kind = "head"
    tied_weight: ClassVar[str] = "weight"
    """Path of the weight that is the token table when the head is tied."""

    def is_tied(self) -> bool:
        return False

    def reads(self) -> str:
        """What x is: `rows`, the states of the rows that are wanted; `tokens`, those of all tokens
        of the step; or the name of another head, whose result it is."""
        return "rows"

    def droppable(self) -> bool:
        """Whether a model may do without it, where the checkpoint has none of its tensors."""
        return False


@dataclass(frozen=True, kw_only=True)
class Model(Block):
    """The whole network. Its entries are what a program can run."""

    hidden: int
    """Width of the residual stream."""
    vocab: int
    """Rows of the token table."""
    kind: ClassVar[str] = "model"

    def dims(self, context: int) -> Dims:
        return Dims(Axis("hidden", self.hidden), Axis("vocab", self.vocab), context)

    def entries(self) -> dict[str, Callable[[Ops, Scope, Context], dict[str, Tensor]]]:
        """Entry name (`step`, `encode`) -> a function to named outputs for `ctx.out_rows`."""
        raise NotImplementedError


def layers_field() -> Any:
    """The field of a stack's layers: in a spec, `depth` times the template `layer`."""
    return field(metadata={"template": "layer", "count": "depth"})


@contextmanager
def _placed(path: str) -> Generator[None]:
    """A ShapeError tells the path of the block."""
    try:
        yield
    except ShapeError as error:
        raise error.at(path) from None


def walk(block: Block, dims: Dims, path: str = "") -> Iterator[tuple[str, Block, Dims]]:
    """Every block of a tree, parents first, with its path and dims."""
    yield path, block, dims
    with _placed(path):
        children = block.children(dims)
    for name, (child, inner) in children.items():
        yield from walk(child, inner, f"{path}.{name}" if path else name)


def _collect(
    block: Block, dims: Dims, of: Callable[[Block, Dims], Mapping[str, V]]
) -> dict[str, V]:
    found: dict[str, V] = {}
    for path, inner, inner_dims in walk(block, dims):
        with _placed(path):
            values = of(inner, inner_dims)
        for name, value in values.items():
            found[f"{path}.{name}" if path else name] = value
    return found


def all_params(block: Block, dims: Dims) -> dict[str, Param]:
    """Every param of a tree of blocks, by path, in the order of the network. A weight that is
    another path's (`all_aliases`) is not one of its own."""
    params = _collect(block, dims, lambda b, d: b.params(d))
    aliases = all_aliases(block, dims)
    return {path: param for path, param in params.items() if path not in aliases}


def all_states(block: Block, dims: Dims) -> dict[str, State]:
    return _collect(block, dims, lambda b, d: b.state(d))


def all_aliases(block: Block, dims: Dims) -> dict[str, str]:
    """Path of a tied weight -> path of the param that it is."""
    found: dict[str, str] = {}
    for path, inner, inner_dims in walk(block, dims):
        prefix = f"{path}." if path else ""
        for name, target in inner.aliases(inner_dims).items():
            found[prefix + name] = prefix + target
    return found
