"""A model looked at: its file, and the spec for it if there is one. Nothing is fetched, and no
tensor's data is read."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inferflow_core.catalog import Catalog
from inferflow_core.errors import UnknownEntry
from inferflow_core.interfaces import Checkpoint, Tokenizer
from inferflow_core.spec import Spec
from inferflow_core.spec.overrides import Overrides
from inferflow_runtime.build import open_tokenizer, overrides_of, plan_of
from inferflow_runtime.reference import find, open_checkpoint


@dataclass(frozen=True)
class Look:
    """An opened checkpoint. `unknown` says why there is no spec, where there is none."""

    name: str
    checkpoint: Checkpoint
    spec: Spec | None
    overrides: Overrides
    unknown: UnknownEntry | None = None


@contextmanager
def looking(
    reference: str | Path,
    *,
    catalog: Catalog,
    backend: str | None = None,
    set: Iterable[str] | Mapping[str, Any] = (),
) -> Iterator[Look]:
    """Opens what a reference means; a checkpoint that no spec matches is opened without one.

    Raises InferflowError as `open_model` does.
    """
    overrides = overrides_of(set, backend)
    try:
        found = find(reference, catalog=catalog, overrides=overrides, pull=None)
        look = Look(found.name, found.checkpoint, found.spec, overrides)
    except UnknownEntry as unknown:
        path = Path(reference)
        if path.suffix == ".toml" or not path.exists() or overrides:
            raise
        checkpoint = open_checkpoint(path, {}, catalog)
        look = Look(path.resolve().stem, checkpoint, None, overrides, unknown)
    try:
        yield look
    finally:
        look.checkpoint.close()


def tokenizer_of(
    reference: str | Path,
    *,
    catalog: Catalog,
    backend: str | None = None,
    set: Iterable[str] | Mapping[str, Any] = (),
) -> Tokenizer:
    """The tokenizer of a model. Raises InferflowError."""
    with looking(reference, catalog=catalog, backend=backend, set=set) as look:
        options: Mapping[str, Any] = {}
        if look.spec is not None:
            options = plan_of(look.spec, look.checkpoint, look.overrides, catalog).tokenizer
        return open_tokenizer(look.checkpoint, options, catalog)
