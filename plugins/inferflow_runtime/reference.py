"""What a user calls a model: a predefined name, a spec file, a checkpoint, or where one is."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inferflow_core.catalog import Catalog
from inferflow_core.errors import ModelFileError, Problem, SourceError, SpecError, nearest
from inferflow_core.interfaces import Checkpoint, Loader, Source
from inferflow_core.sources import source_of, source_of_spec
from inferflow_core.spec import Spec, find_family, parse_spec, read_spec
from inferflow_core.spec.nodes import Leaf, Section
from inferflow_core.spec.overrides import Overrides, apply_overrides
from inferflow_core.spec.problems import Problems

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Found:
    """An opened checkpoint, the spec that describes it, and what the model is called."""

    name: str
    spec: Spec
    checkpoint: Checkpoint


def find(
    reference: str | Path, *, catalog: Catalog, overrides: Overrides, pull: Progress | None
) -> Found:
    """Opens what a reference means. `pull` gets the progress of a download; None forbids it.

    Raises SpecError, PluginError, SourceError, ModelFileError.
    """
    path, name = Path(reference), ""
    predefined = isinstance(reference, str) and reference in catalog.names("spec")
    source = None if predefined else source_of(str(reference), catalog)
    if predefined or (path.suffix == ".toml" and source is None):
        spec = read_spec(str(reference) if predefined else path, catalog)
        problems = Problems()
        root = apply_overrides(spec.root, overrides, problems)
        problems.raise_if_any(spec.label)
        weights = root.get("weights")
        texts = _texts(weights) if isinstance(weights, Section) else {}
        remote = source_of_spec(weights, catalog, spec=spec.label)
        beside = Path() if predefined else path.parent
        files = _weights_path(spec, texts, remote, beside, pull)
        return Found(spec.name, spec, open_checkpoint(files, texts, catalog))
    if source is not None:
        name = _short_name(str(reference))
        path = _fetched(source, str(reference), None, pull, model=str(reference))
    elif not path.exists():
        names = catalog.names("spec")
        raise SourceError(
            f"no model {str(reference)!r}: neither a file or folder, nor a predefined name."
            f"{nearest(str(reference), [*names, *_neighbours(path)])}",
            hint="`inferflow ls --predefined` lists the models that have names",
        )
    checkpoint = open_checkpoint(path, {}, catalog)
    try:
        own: str | None = getattr(checkpoint, "spec", None)
        if own is not None:
            spec = parse_spec(own, catalog, label=f"the spec in {path}")
        else:
            family = find_family(checkpoint.config, checkpoint.source, catalog)
            spec = read_spec(family, catalog)
        return Found(name or path.resolve().stem, spec, checkpoint)
    except BaseException:
        checkpoint.close()
        raise


def _neighbours(path: Path) -> list[str]:
    """What stands where a path says that something should, spelt as the path is."""
    try:
        return [str(path.with_name(other)) for other in os.listdir(path.parent)[:1000]]
    except (OSError, ValueError):  # a name may hold what no path can
        return []


def _texts(weights: Section) -> dict[str, str]:
    """The literal texts of a table."""
    return {
        key: node.value
        for key, node in weights.items.items()
        if isinstance(node, Leaf) and isinstance(node.value, str)
    }


def _weights_path(
    spec: Spec, texts: dict[str, str], source: Source | None, beside: Path, pull: Progress | None
) -> Path:
    reference = texts.get("path")
    if reference is None:
        raise SpecError(
            spec.label,
            [Problem("weights.path", "missing: this spec describes a family, not one checkpoint")],
            hint="give the checkpoint as the model (its family is found), or set weights.path",
        )
    if source is not None:
        path = _fetched(source, reference, texts.get("sha256"), pull, model=spec.name)
    else:
        path = beside / Path(reference).expanduser()
        if not path.exists():
            raise SourceError(f"{spec.label}: weights.path {reference!r} is not there: {path}")
    file = path / texts["file"] if "file" in texts else path
    if not file.resolve().is_relative_to(path.resolve()):
        raise SourceError(f"{spec.label}: weights.file {texts['file']!r} leads out of {path}")
    if not file.exists():
        raise SourceError(f"{spec.label}: there is no {texts['file']!r} in {path}")
    return file


def _fetched(
    source: Source, reference: str, sha256: str | None, pull: Progress | None, *, model: str
) -> Path:
    located = source.locate(reference, sha256=sha256)
    if located is not None:
        return located
    if pull is None:
        raise SourceError(f"{reference} has not been fetched", hint=f"inferflow pull {model}")
    return source.pull(reference, sha256=sha256, progress=pull)


def _short_name(reference: str) -> str:
    """`name` of `scheme:owner/name@revision`; `model` of `scheme://host/model.gguf`."""
    last = reference.partition(":")[2].partition("@")[0].rpartition("/")[2]
    return last.removesuffix(".gguf")


def open_checkpoint(path: Path, texts: dict[str, str], catalog: Catalog) -> Checkpoint:
    """With the loader that `texts` name (`use`), else the first of ours that recognises the file.

    Raises ModelFileError, PluginError."""
    if "use" in texts:
        loader: Loader = catalog.get("loader", texts["use"])()
        return loader.open(path)
    names = [name for name in catalog.names("loader") if "." not in name]
    for name in names:
        loader = catalog.get("loader", name)()
        if loader.recognises(path):
            return loader.open(path)
    raise ModelFileError(
        path,
        f"no loader recognises it (have: {', '.join(names)})",
        hint="a model is a folder with config.json and *.safetensors or pytorch_model*.bin, a "
        ".gguf file, a llama2.c .bin, or what `inferflow convert` wrote",
    )
