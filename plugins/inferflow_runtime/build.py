"""From a reference to a running model: each arrow of the design, one after the other."""

import dataclasses
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import Any

from inferflow_core.axes import SEQUENCES
from inferflow_core.block import Position, all_aliases, all_params, walk
from inferflow_core.catalog import Catalog
from inferflow_core.errors import EngineError
from inferflow_core.graph import Graph, reads_whole, token_types
from inferflow_core.interfaces import (
    Backend,
    Checkpoint,
    Engine,
    Program,
    ProgramEntry,
    Sizes,
    Tokenizer,
    Weight,
)
from inferflow_core.optable import OpTable
from inferflow_core.passes.tap import tap
from inferflow_core.spec import Plan, Run, Spec, resolve
from inferflow_core.spec.binding import Bindings, bind, provided
from inferflow_core.spec.names import OwnNames
from inferflow_core.spec.names_files import find_names
from inferflow_core.spec.names_reader import config_keys, read_names
from inferflow_core.spec.overrides import Overrides
from inferflow_core.tracer import trace
from inferflow_runtime.backend import choose_backend
from inferflow_runtime.model import Model
from inferflow_runtime.prompt import if_any
from inferflow_runtime.reference import Found, Progress, find
from inferflow_runtime.sizes import DEFAULT_CONTEXT, free_memory, plan_sizes
from inferflow_runtime.texts import TextFacts
from inferflow_runtime.weights import bind_weights

OWN_NAMES = OwnNames("of the file itself", ())


@dataclasses.dataclass(frozen=True)
class Network:
    """A plan whose blocks are settled for one checkpoint, bound and traced; no data is read."""

    plan: Plan
    context: int
    bindings: Bindings
    graph: Graph
    texts: TextFacts

    def sizes(self, run: Run, memory: int | None) -> Sizes:
        """Raises UsageError; see `plan_sizes`."""
        states = self.graph.states.values()
        return plan_sizes(run, self.context, states, memory, whole=self.whole)

    @property
    def whole(self) -> bool:
        """Whether sequences of some entry must come in one step."""
        return any(entry.whole for entry in program_entries(self.graph).values())

    @property
    def keeps_prefixes(self) -> bool:
        """Whether the cache of a sequence's beginning does for another with the same one."""
        states = self.graph.states.values()
        return all(state.rewindable for state in states) and not reads_whole(self.graph, "step")


def program_entries(graph: Graph) -> dict[str, ProgramEntry]:
    """What the engine must know of each entry."""
    return {
        name: ProgramEntry(
            {key: value.axes[0] == SEQUENCES for key, value in body.outputs.items()},
            whole=reads_whole(graph, name),
            token_types=token_types(graph, name),
        )
        for name, body in graph.entries.items()
    }


def open_model(
    reference: str | Path,
    *,
    catalog: Catalog | None = None,
    backend: str | None = None,
    set: Iterable[str] | Mapping[str, Any] = (),
    pull: Progress | None = None,
) -> Model:
    """Opens a predefined name, a spec file, a checkpoint folder, a `.gguf` or a llama2.c `.bin`.

    `set` overrides values of the spec (`key=value` texts or a mapping); `backend` is short for
    `run.backend`. Nothing is downloaded unless there is a `pull` to take the progress of it.
    Raises InferflowError: what is wrong with the reference, spec, files, shapes or memory.
    """
    catalog = catalog or Catalog()
    overrides = overrides_of(set, backend)
    with ExitStack() as resources:
        found = find(reference, catalog=catalog, overrides=overrides, pull=pull)
        checkpoint = found.checkpoint
        resources.callback(checkpoint.close)
        network = _network(found, overrides, catalog)
        plan = network.plan
        run = plan.run
        chosen, why = choose_backend(run.backend, catalog)
        graph = tap(network.graph)
        entries = program_entries(graph)
        sizes = network.sizes(run, free_memory())
        weights = bind_weights(network.bindings, checkpoint, catalog)
        program = _compile(chosen, graph, weights, sizes)
        resources.callback(program.close)
        tokenizer = cache(partial(open_tokenizer, checkpoint, plan.tokenizer, catalog))
        engine: Engine = catalog.get("engine", run.engine)(
            program,
            sizes=sizes,
            vocab=plan.model.vocab,
            samplers=run.samplers,
            tokenizer=partial(if_any, tokenizer),
            stop_ids=plan.generation.get("stop", ()),
            entries=entries,
            max_queue=run.max_queue,
            prefix_cache=run.prefix_cache and network.keeps_prefixes,
        )
        resources.callback(engine.close)
        return Model(
            name=found.name,
            plan=plan,
            engine=engine,
            outputs=entries["step"].outputs,
            texts=network.texts,
            open_tokenizer=tokenizer,
            backend_choice=why,
            reads_source="encode" in entries,
            resources=resources.pop_all(),
        )


def inspect_model(
    reference: str | Path,
    *,
    catalog: Catalog | None = None,
    backend: str | None = None,
    set: Iterable[str] | Mapping[str, Any] = (),
) -> Network:
    """All that `open_model` does before it compiles: for checks. Fetches nothing and reads no
    tensor's data. Raises InferflowError as `open_model` does."""
    catalog = catalog or Catalog()
    overrides = overrides_of(set, backend)
    found = find(reference, catalog=catalog, overrides=overrides, pull=None)
    try:
        network = _network(found, overrides, catalog)
        choose_backend(network.plan.run.backend, catalog)
        return network
    finally:
        found.checkpoint.close()


def _network(found: Found, overrides: Overrides, catalog: Catalog) -> Network:
    plan = plan_of(found.spec, found.checkpoint, overrides, catalog)
    return settle(plan, found.checkpoint, catalog)


def plan_of(spec: Spec, checkpoint: Checkpoint, overrides: Overrides, catalog: Catalog) -> Plan:
    """The plan of a spec for a checkpoint. Raises SpecError."""
    return resolve(
        spec,
        config=checkpoint.config,
        source=checkpoint.source,
        catalog=catalog,
        overrides=overrides,
    )


def settle(plan: Plan, checkpoint: Checkpoint, catalog: Catalog) -> Network:
    """Decides what the checkpoint decides, binds every tensor and traces the network.

    Raises BindingError, ShapeError, SpecError. Reads no tensor's data.
    """
    own = getattr(checkpoint, "layouts", None) is not None
    names = OWN_NAMES if own else read_names(plan.names, find_names(catalog))
    tensors = provided(names, checkpoint.tensors)
    plan = dataclasses.replace(plan, model=plan.model.decide(tensors.__contains__))
    context = plan.run.context or usual_context(plan)
    dims = plan.model.dims(context)
    graph = trace(plan.model, dims, OpTable(catalog))
    bindings = bind(
        names,
        all_params(plan.model, dims),
        checkpoint.tensors,
        aliases=all_aliases(plan.model, dims),
        config=plan.config,
        where=str(checkpoint.path),
    )
    plan = plan.noting(config_keys(names))
    return Network(plan, context, bindings, graph, TextFacts.of(plan.config))


def overrides_of(set: Iterable[str] | Mapping[str, Any], backend: str | None) -> Overrides:
    if isinstance(set, Mapping):
        return set if backend is None else {**set, "run.backend": backend}
    pairs = [set] if isinstance(set, str) else list(set)
    return pairs if backend is None else [*pairs, f"run.backend={backend}"]


def usual_context(plan: Plan) -> int:
    """The context that the model was trained with, as far as its positions reach: some configs
    count the rows of the table."""
    reaches = (
        b.reach() for _, b, _ in walk(plan.model, plan.model.dims(1)) if isinstance(b, Position)
    )
    longest = [reach for reach in reaches if reach is not None]
    return min([_trained_context(plan.config) or DEFAULT_CONTEXT, *longest])


def _trained_context(config: Mapping[str, Any]) -> int | None:
    """The fewer tokens of what positions are known for and what texts were embedded with."""
    lengths = [config.get(key) for key in ("max_position_embeddings", "embedding_context")]
    return min((n for n in lengths if isinstance(n, int) and n > 0), default=None)


def _compile(
    backend: Backend, graph: Graph, weights: Mapping[str, Weight], sizes: Sizes
) -> Program:
    try:
        return backend.compile(graph, weights, sizes)
    except MemoryError as cause:
        raise EngineError(
            f"there is not enough memory for the weights and a cache of "
            f"{sizes.pages * sizes.page_tokens} tokens",
            hint="set run.cache_tokens or run.context lower",
        ) from cause


def open_tokenizer(
    checkpoint: Checkpoint, options: Mapping[str, Any], catalog: Catalog
) -> Tokenizer:
    """The tokenizer of a checkpoint; `options` is the spec's [tokenizer]. Raises InferflowError."""
    return catalog.get("tokenizer", "auto").open(checkpoint, options, catalog)
