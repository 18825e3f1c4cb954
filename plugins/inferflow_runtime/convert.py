"""`inferflow convert`: a model as one file, its weights as a backend reads them."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from inferflow_core.catalog import Catalog
from inferflow_core.errors import BrokenEntry, UsageError
from inferflow_core.interfaces import Checkpoint, LayoutBackend, TensorInfo, Weight
from inferflow_core.spec import Plan, show
from inferflow_core.spec.nodes import Section
from inferflow_runtime.backend import choose_backend
from inferflow_runtime.build import overrides_of, plan_of, settle
from inferflow_runtime.reference import find
from inferflow_runtime.weights import bind_weights

Progress = Callable[[int, int | None], None]

BESIDE = (
    *("tokenizer*", "vocab*", "merges*.txt", "added_tokens.json", "special_tokens_map.json"),
    *("chat_template*", "additional_chat_templates/*.jinja", "*.model", "*.spm", "*.tiktoken"),
    *("tekken.json", "tok*.bin"),
)
"""Files beside the weights that tokenizers read."""


@dataclass(frozen=True)
class Converted:
    """What was written."""

    name: str
    backend: str
    layout: str
    nbytes: int
    """Of the weights."""
    formats: Mapping[str, int]
    """How the weights lie -> their bytes."""


def convert(
    reference: str | Path,
    file: IO[bytes],
    *,
    catalog: Catalog,
    backend: str | None = None,
    set: Iterable[str] | Mapping[str, Any] = (),
    progress: Progress = lambda done, of: None,
) -> Converted:
    """Writes a model that is here as one file. The backend is the file's only in the layout of its
    weights: it opens with any. Raises InferflowError as `open_model` does, and BrokenEntry where
    the backend has no layout of its own."""
    overrides = overrides_of(set, None)
    found = find(reference, catalog=catalog, overrides=overrides, pull=None)
    checkpoint = found.checkpoint
    try:
        if getattr(checkpoint, "layouts", None) is not None:
            raise UsageError(
                f"{checkpoint.path} has been converted already",
                hint="convert the model that it was made from",
            )
        plan = plan_of(found.spec, checkpoint, overrides, catalog)
        network = settle(plan, checkpoint, catalog)
        chosen, _ = choose_backend(backend or plan.run.backend, catalog)
        if not isinstance(chosen, LayoutBackend):
            raise BrokenEntry(
                f"backend {chosen.name!r} has no layout that a file could keep",
                hint="--backend cpu has one",
            )
        weights = bind_weights(network.bindings, checkpoint, catalog)
        loader = catalog.get("loader", "converted")()
        held = chosen.laid_out(network.graph, weights)
        infos: dict[str, TensorInfo] = {}
        for path, weight in weights.items():
            format = held[path].format if path in held else weight.format
            count = held[path].nbytes if path in held else _rows(weight).nbytes
            infos[path] = TensorInfo(path, weight.shape, format, count)
        total, done = sum(info.nbytes for info in infos.values()), 0

        def read(path: str) -> Any:
            nonlocal done
            weight = weights[path]
            data = chosen.lay_out(weight, held[path].format) if path in held else _rows(weight)
            done += data.nbytes
            progress(done, total)
            return data

        loader.write(
            file,
            source=checkpoint.source,
            config=checkpoint.config,
            spec=_spec(network.plan),
            tensors=[
                loader.stored(
                    infos[path], chosen.layout if path in held else "", partial(read, path)
                )
                for path in weights
            ],
            files=dict(_files(checkpoint, plan.tokenizer.get("path"))),
        )
        formats: dict[str, int] = {}
        for path, info in infos.items():
            how = f"{info.format} as {chosen.layout}" if path in held else info.format
            formats[how] = formats.get(how, 0) + info.nbytes
        return Converted(found.name, chosen.name, chosen.layout, total, formats)
    finally:
        checkpoint.close()


def _rows(weight: Weight) -> Any:
    return np.ascontiguousarray(weight.packed()).reshape(-1)


def _spec(plan: Plan) -> str:
    """The filled spec, without where its weights were."""
    weights = plan.filled.items.get("weights")
    items = dict(plan.filled.items)
    if isinstance(weights, Section):
        names = {key: node for key, node in weights.items.items() if key == "names"}
        items["weights"] = replace(weights, items=names)
    return show(replace(plan, filled=replace(plan.filled, items=items)))


def _files(checkpoint: Checkpoint, named: str | None) -> Iterator[tuple[str, bytes]]:
    """What tokenizers read beside the weights; of a GGUF, its own keys."""
    metadata: Mapping[str, Any] | None = getattr(checkpoint, "metadata", None)
    if metadata is not None:
        tokenizer = {key: metadata[key] for key in metadata if key.startswith("tokenizer.")}
        yield "gguf.json", json.dumps(tokenizer).encode()
        return
    folder = checkpoint.path if checkpoint.path.is_dir() else checkpoint.path.parent
    patterns = BESIDE if named is None else (*BESIDE, named)
    paths = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    for path in sorted(paths - {checkpoint.path}):
        if not path.name.endswith(".index.json"):
            yield path.relative_to(folder).as_posix(), path.read_bytes()
