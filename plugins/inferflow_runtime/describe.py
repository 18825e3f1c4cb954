"""All that can be said of a model without reading its weights, as plain data."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from inferflow_core.catalog import Catalog
from inferflow_core.errors import InferflowError
from inferflow_core.interfaces import TensorInfo, Tokenizer
from inferflow_runtime.build import Network, open_tokenizer, plan_of, settle
from inferflow_runtime.look import Look, looking
from inferflow_runtime.network_tree import network_tree, plain
from inferflow_runtime.watch import WatchedCheckpoint

Report = dict[str, Any]
PROBE = "a"


@dataclass(frozen=True)
class Description:
    """`report` can be written as JSON. `trouble` says why it has no network, where it has none;
    `unknown`: because no spec matches."""

    report: Report
    trouble: InferflowError | None
    unknown: bool


def describe(
    reference: str | Path,
    *,
    catalog: Catalog,
    backend: str | None = None,
    set: Iterable[str] | Mapping[str, Any] = (),
) -> Description:
    """Raises InferflowError where there is no file that can be opened, or no such spec."""
    with looking(reference, catalog=catalog, backend=backend, set=set) as look:
        checkpoint = WatchedCheckpoint(look.checkpoint)
        report: Report = {"name": look.name, "path": str(checkpoint.path)}
        report["source"] = checkpoint.source
        trouble: InferflowError | None = look.unknown
        options: Mapping[str, Any] = {}
        network = None
        try:
            if look.spec is not None:
                plan = plan_of(look.spec, checkpoint, look.overrides, catalog)
                options = plan.tokenizer
                network = settle(plan, checkpoint, catalog)
        except InferflowError as error:
            trouble = error
        report |= _network(look, network, checkpoint, catalog)
        report |= _tensors(checkpoint.tensors, network)
        report |= _tokenizer(checkpoint, options, catalog)
        # `match` has looked at the kind of model before anybody else.
        checkpoint.read_keys.add("model_type")
        unread = checkpoint.unread()
        report["config"] = plain(look.checkpoint.config)
        report["unread_config"] = unread
        report["problem"] = None if trouble is None else trouble.message
        return Description(report, trouble, look.unknown is not None)


def _network(
    look: Look, network: Network | None, checkpoint: WatchedCheckpoint, catalog: Catalog
) -> Report:
    spec = look.spec
    report: Report = {
        "spec": None if spec is None else spec.name,
        "chain": [] if spec is None else list(spec.chain),
    }
    if network is None:
        return report | {"names": None, "context": None, "parameters": None, "network": None}
    tree = network_tree(network, checkpoint.tensors, catalog)
    return report | {
        "names": network.plan.names,
        "context": network.context,
        "parameters": tree["parameters"],
        "network": tree,
    }


def _tensors(tensors: Mapping[str, TensorInfo], network: Network | None) -> Report:
    """Every tensor with the params that it is bound to, and sums by format, the largest first."""
    params: dict[str, list[str]] = {name: [] for name in tensors}
    if network is not None:
        bindings = (*network.bindings.params.values(), *network.bindings.duplicates)
        for binding in bindings:
            for part in binding.parts:
                params[part.tensor].append(binding.param)
    sums: dict[str, Report] = {}
    for info in tensors.values():
        empty = {"format": info.format, "tensors": 0, "numbers": 0, "bytes": 0}
        one = sums.setdefault(info.format, empty)
        one["tensors"] += 1
        one["numbers"] += prod(info.shape)
        one["bytes"] += info.nbytes
    for one in sums.values():
        one["bits"] = round(8 * one["bytes"] / one["numbers"], 3) if one["numbers"] else None
    return {
        "tensors": [
            {"name": info.name, "shape": list(info.shape), "format": info.format}
            | {"bytes": info.nbytes, "params": params[name]}
            for name, info in tensors.items()
        ],
        "formats": sorted(sums.values(), key=lambda one: -one["bytes"]),
    }


def _tokenizer(
    checkpoint: WatchedCheckpoint, options: Mapping[str, Any], catalog: Catalog
) -> Report:
    try:
        tokenizer = open_tokenizer(checkpoint, options, catalog)
        prefix, suffix = _around(tokenizer)
    except InferflowError as error:
        return {"tokenizer": None, "tokenizer_problem": error.message, "chat_templates": {}}
    templates: Mapping[str, str] = getattr(tokenizer, "chat_templates", {})
    if tokenizer.chat_template is not None:
        templates = {"default": tokenizer.chat_template, **templates}

    def tokens(ids: Iterable[int | None]) -> list[Report]:
        return [{"id": id, "token": tokenizer.token(id)} for id in ids if id is not None]

    return {
        "tokenizer": {
            "kind": getattr(tokenizer, "kind", type(tokenizer).__name__),
            "vocab_size": tokenizer.vocab_size,
            "bos": next(iter(tokens([tokenizer.bos])), None),
            "eos": next(iter(tokens([tokenizer.eos])), None),
            "stop": tokens(sorted(tokenizer.stop_ids)),
            "before_a_text": tokens(prefix),
            "after_a_text": tokens(suffix),
        },
        "tokenizer_problem": None,
        "chat_templates": dict(templates),
    }


def _around(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The policy: what the tokenizer puts before and after a text."""
    bare, full = tokenizer.encode(PROBE, special=False), tokenizer.encode(PROBE)
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return full[:start], full[start + len(bare) :]
    return full, []
