"""Suites of the block kinds."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import pickle
import sys
from array import array
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from inferflow_core.block import Block, Model, all_params, all_states
from inferflow_core.catalog import GROUPS, Catalog
from inferflow_core.graph import Graph, flatten, reads_whole
from inferflow_core.optable import OpTable
from inferflow_core.spec.block import build_block
from inferflow_core.testing.probe import probe
from inferflow_core.testing.registered import EntrySuite
from inferflow_core.tracer import trace

FORBIDDEN = {"numpy", "torch", "cupy", "numba", "jax"}


class BlockSuite(EntrySuite):
    """What every block keeps. Subclass the suite of its kind; give `name` and `make`, a block
    with the fields set that matter. It runs inside the smallest model of its kind, on random
    weights."""

    hidden: ClassVar[int] = 32
    vocab: ClassVar[int] = 40
    context: ClassVar[int] = 128

    def make(self) -> Block:
        """A block with fields that matter set."""
        raise NotImplementedError

    def model(self) -> Model:
        """The smallest model around the block; its weights are random."""
        return probe(self.make(), hidden=self.hidden, vocab=self.vocab)

    def graph(self) -> Graph:
        """That model, traced."""
        model = self.model()
        return trace(model, model.dims(self.context), OpTable(self.catalog()))

    def sequences(self) -> list[list[int]]:
        """Token ids of several lengths, one of them longer than two pages."""
        return [[(7 * i + 3 * n) % self.vocab for i in range(n)] for n in (37, 1, 5, 16)]

    def test_makes_the_registered_class(self) -> None:
        """What `make` makes is of the class that the entry names."""
        assert self.entry() is type(self.make())

    def test_is_a_frozen_dataclass_of_its_kind(self) -> None:
        """It is immutable, and equal fields make equal, equally hashed blocks."""
        block = self.make()
        assert block.kind == self.kind
        assert dataclasses.is_dataclass(block)
        assert hash(block) == hash(self.make())
        assert block == self.make()

    def test_survives_pickling(self) -> None:
        """It can be sent to another process."""
        assert pickle.loads(pickle.dumps(self.make())) == self.make()

    def test_round_trips_through_a_spec(self) -> None:
        """Written as a table of a spec and read again, it is the same block."""
        block = self.make()
        table = to_table(block, self.catalog())
        assert build_block(table, self.kind, catalog=self.catalog()) == block

    def test_params_are_the_same_each_time(self) -> None:
        """`params` depends on the fields and `dims` alone."""
        model = self.model()
        dims = model.dims(self.context)
        assert all_params(model, dims) == all_params(self.model(), dims)

    def test_every_param_and_state_is_used(self) -> None:
        """No weight or cache is declared that the traced network never touches."""
        model, graph = self.model(), self.graph()
        dims = model.dims(self.context)
        used = {
            getattr(item, "path", "")
            for e in graph.entries
            for n in flatten(graph, e)
            for item in n.inputs
        }
        for node in (n for e in graph.entries for n in flatten(graph, e)):
            rule = node.attrs.get("bias")
            used |= {getattr(i, "path", "") for n in getattr(rule, "nodes", ()) for i in n.inputs}
        declared = {*all_params(model, dims), *all_states(model, dims)} - {"table.weight"}
        assert declared <= used

    def test_traced_equals_eager(self) -> None:
        """Recorded to a graph and compiled, it computes the bits that it computes at once."""
        sequences = self.sequences()
        eager = self.prober().run(self.model(), sequences, how="eager")
        assert self.prober().run(self.model(), sequences, how="traced") == eager

    def test_decomposed_is_close_to_eager(self) -> None:
        """A backend that has the required ops alone computes nearly the same."""
        eager = self.prober().run(self.model(), self.sequences(), how="eager")
        decomposed = self.prober().run(self.model(), self.sequences(), how="decomposed")
        for a, b in zip(eager, decomposed, strict=True):
            x, y = array("f", a), array("f", b)
            scale = max(map(abs, x)) or 1.0
            assert max(abs(p - q) for p, q in zip(x, y, strict=True)) <= 1e-5 * scale

    def test_numeric_law(self) -> None:
        """The same bits alone, among others, in chunks, and with pages of the cache anywhere. What
        reads whole sequences is not given chunks."""
        prober, model, sequences = self.prober(), self.model(), self.sequences()
        together = prober.run(model, sequences)
        alone = [prober.run(model, [sequence])[0] for sequence in sequences]
        assert alone == together
        if reads_whole(self.graph(), "step"):
            return
        for chunk in (1, 5, 16):
            assert prober.run(model, sequences, chunk=chunk, shuffle_pages=True) == together

    def test_output_depends_on_the_input(self) -> None:
        """A block that ignores its input passes the other tests."""
        prober, model = self.prober(), self.model()
        assert prober.run(model, [[1, 2, 3]]) != prober.run(model, [[4, 5, 6]])

    def test_imports_no_array_library(self) -> None:
        """Its module imports neither numpy nor the like: a block computes with `ops`."""
        module = sys.modules[type(self.make()).__module__]
        assert not imported(inspect.getsource(module)) & FORBIDDEN


class NormSuite(BlockSuite):
    """Give `name` and `make`, a norm with the fields set that matter."""

    kind = "norm"


class PositionSuite(BlockSuite):
    """Give `name` and `make`. It is tried with two heads of attention: what it adds to embeddings,
    how it rotates, and its bias of scores, together."""

    kind = "position"


class MixerSuite(BlockSuite):
    """Give `name` and `make`, a mixer that fits `hidden` channels (32, unless you say else)."""

    kind = "mixer"


class FFNSuite(BlockSuite):
    """Give `name` and `make`, a feed-forward block with the fields set that matter."""

    kind = "ffn"


class RouterSuite(BlockSuite):
    """Give `name` and `make`. Chosen experts and their weights are compared side by side."""

    kind = "router"


class LayerSuite(BlockSuite):
    """Give `name` and `make`, a layer with the blocks inside that it wires."""

    kind = "layer"


class EmbeddingSuite(BlockSuite):
    """Give `name` and `make`. It is asked for tokens 0 to `vocab` - 1 (39, unless you say else)."""

    kind = "embedding"


class HeadSuite(BlockSuite):
    """Give `name` and `make`. What the checkpoint decides (`tied`) is decided for the head."""

    kind = "head"


class ModelSuite(BlockSuite):
    """Give `name` and `make`, a whole model; its `vocab` is the suite's, 40 unless you say else."""

    kind = "model"


def imported(source: str) -> set[str]:
    """Top-level packages that a module's source imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def to_table(block: Block, catalog: Catalog) -> dict[str, Any]:
    """The spec table that a block would be written as."""
    table: dict[str, Any] = {}
    if block.kind in GROUPS:  # the table of a stack has no `use`
        table["use"] = entry_name(block, catalog)
    for item in dataclasses.fields(cast("Any", block)):
        value = getattr(block, item.name)
        if value is None:
            continue
        if item.metadata.get("template"):
            table[item.metadata["count"]] = len(value)
            first = to_table(value[0], catalog)
            if any(to_table(other, catalog) != first for other in value):
                raise ValueError("to_table writes stacks of equal layers only")
            table[item.metadata["template"]] = first
        elif isinstance(value, Block):
            table[item.name] = to_table(value, catalog)
        elif isinstance(value, Mapping):
            items = cast("Mapping[str, Any]", value).items()
            table[item.name] = {
                k: to_table(v, catalog) if isinstance(v, Block) else v for k, v in items
            }
        else:
            table[item.name] = value
    return table


def entry_name(block: Block, catalog: Catalog) -> str:
    """The name under which a block's class is registered."""
    for name in catalog.names(block.kind):
        entry = catalog.entry(block.kind, name)
        if entry.value == f"{type(block).__module__}:{type(block).__qualname__}":
            return name
    raise LookupError(f"{type(block).__name__} is registered under no name of {block.kind}")
