"""How much memory a model will take, and what fits: told before anything is loaded."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

from inferflow_core.catalog import Catalog
from inferflow_core.errors import UsageError
from inferflow_core.interfaces import Footprint, Held, Sizes, TensorInfo
from inferflow_core.spec import Run
from inferflow_core.spec.binding import Binding
from inferflow_runtime.backend import choose_backend
from inferflow_runtime.build import Network, plan_of, settle
from inferflow_runtime.footprint import footprint_of
from inferflow_runtime.look import looking
from inferflow_runtime.sizes import free_memory
from inferflow_runtime.weights import unread_weights


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """All sizes in bytes, all lengths in tokens. `graph` is the traced graph as text."""

    name: str
    backend: str
    parameters: int
    context: int
    trained_context: int | None
    weights: list[dict[str, Any]]
    """For each format in the file and format that is held: `format`, `held`, `params`, `numbers`,
    `file_bytes`, `bytes`."""
    weight_bytes: int
    cache_token_bytes: int
    source_token_bytes: int
    """Of a token that an encoder has read; 0 where there is none."""
    cache_sequence_bytes: int
    """Of one sequence of `context` tokens, and as many of its source, in whole pages."""
    cache_tokens: int
    cache_bytes: int
    scratch_bytes: int
    """An estimate from above."""
    needed_bytes: int
    free_bytes: int | None
    """None where the system does not say."""
    largest_context: int | None
    """Of one sequence, as far as memory goes; None where the cache does not grow with it."""
    largest_batch: int | None
    """Sequences of `context` tokens at once."""
    fits: bool
    graph: str


def plan_memory(
    reference: str | Path,
    *,
    catalog: Catalog,
    backend: str | None = None,
    set: Iterable[str] | Mapping[str, Any] = (),
    batch: int | None = None,
    memory: int | None = None,
) -> MemoryPlan:
    """`batch`: so many sequences of the whole context at once; without it, the cache is what an
    engine would take. `memory`: what is free, instead of what the system says.

    Raises InferflowError as `open_model` does, but where memory is too small. Reads no weights.
    """
    with looking(reference, catalog=catalog, backend=backend, set=set) as look:
        if look.spec is None:
            assert look.unknown is not None
            raise look.unknown
        plan = plan_of(look.spec, look.checkpoint, look.overrides, catalog)
        network = settle(plan, look.checkpoint, catalog)
        chosen, why = choose_backend(plan.run.backend, catalog)
        weights = unread_weights(network.bindings, look.checkpoint, catalog)
        footprint = footprint_of(chosen, network.graph, weights, catalog)
        tensors = look.checkpoint.tensors
    free = free_memory() if memory is None else memory
    sizes = _sizes(network, batch, free)
    weight_bytes = sum(held.nbytes for held in footprint.weights.values())
    pages = -(-network.context // sizes.page_tokens)

    def needed(sizes: Sizes) -> int:
        return weight_bytes + footprint.cache(sizes) + footprint.scratch(sizes)

    def fits(sizes: Sizes) -> bool:
        return free is None or needed(sizes) <= free

    def longer(count: int) -> Sizes:
        context = count * sizes.page_tokens
        step = max(sizes.max_tokens, context) if network.whole else sizes.max_tokens
        longest = replace(sizes, context=context, max_tokens=step, max_sequences=1)
        return _with_pages(longest, count + 1)

    def wider(count: int) -> Sizes:
        return replace(_with_pages(sizes, count * pages + 1), max_sequences=count)

    page_bytes = footprint.cache(_with_pages(sizes, 1))
    source_bytes = page_bytes - footprint.cache(replace(sizes, pages=1, source_pages=0))
    bounded = page_bytes > 0 and free is not None
    trained = plan.config.get("max_position_embeddings")
    return MemoryPlan(
        name=look.name,
        backend=why,
        parameters=sum(prod(each.shape) for each in network.bindings.params.values()),
        context=network.context,
        trained_context=trained if isinstance(trained, int) else None,
        weights=_by_format(network.bindings.params, tensors, footprint),
        weight_bytes=weight_bytes,
        cache_token_bytes=(page_bytes - source_bytes) // sizes.page_tokens,
        source_token_bytes=source_bytes // sizes.page_tokens,
        cache_sequence_bytes=pages * page_bytes,
        cache_tokens=(sizes.pages - 1) * sizes.page_tokens,
        cache_bytes=footprint.cache(sizes),
        scratch_bytes=footprint.scratch(sizes),
        needed_bytes=needed(sizes),
        free_bytes=free,
        largest_context=sizes.page_tokens * _most(lambda n: fits(longer(n))) if bounded else None,
        largest_batch=_most(lambda n: fits(wider(n))) if bounded else None,
        fits=fits(sizes),
        graph=str(network.graph),
    )


def _with_pages(sizes: Sizes, pages: int) -> Sizes:
    """As many for the encoder's tokens, where there is an encoder."""
    return replace(sizes, pages=pages, source_pages=pages if sizes.source_pages else 0)


def _sizes(network: Network, batch: int | None, free: int | None) -> Sizes:
    """Those of `batch` whole sequences; without it the engine's, and where it would refuse, those
    of one sequence."""
    run = network.plan.run

    def exactly(run: Run, count: int) -> Sizes:
        tokens = count * -(-network.context // run.page_tokens) * run.page_tokens
        return network.sizes(replace(run, cache_tokens=tokens), None)

    if batch is not None:
        return exactly(replace(run, max_sequences=batch), batch)
    try:
        return network.sizes(run, free)
    except UsageError:
        if run.cache_tokens is not None:
            return network.sizes(run, None)
        return exactly(run, 1)


def _by_format(
    params: Mapping[str, Binding], tensors: Mapping[str, TensorInfo], footprint: Footprint
) -> list[dict[str, Any]]:
    """Sums, the largest first. A tensor that several params share counts for each by its part."""
    sums: dict[tuple[str, str], dict[str, Any]] = {}
    for path, binding in params.items():
        held = footprint.weights.get(path, Held("not read", 0))
        formats = sorted({tensors[part.tensor].format for part in binding.parts})
        key = (", ".join(formats), held.format)
        empty = {"params": 0, "numbers": 0, "file_bytes": 0, "bytes": 0}
        one = sums.setdefault(key, {"format": key[0], "held": key[1], **empty})
        numbers = prod(binding.shape)
        one["params"] += 1
        one["numbers"] += numbers
        one["bytes"] += held.nbytes
        for part in binding.parts:
            info = tensors[part.tensor]
            share = numbers // len(binding.parts)
            one["file_bytes"] += info.nbytes * share // max(1, prod(info.shape))
    return sorted(sums.values(), key=lambda one: -one["bytes"])


def _most(fits: Callable[[int], bool]) -> int:
    """The largest number that fits, where all smaller ones do; 0 if 1 does not."""
    if not fits(1):
        return 0
    good, bad = 1, 2
    while fits(bad):
        good, bad = bad, 2 * bad
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good
