"""Sources: where models come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class Source(Protocol):
    """An entry of `inferflow.sources`: `scheme:rest` -> a local path. `inferflow_core.store` keeps
    what was fetched; a source that uses it has `ls`, `rm` and `verify` for nothing."""

    def pinned(self, reference: str) -> bool:
        """Whether it means the same files for ever, with the hash where `pull` demands one. A spec
        may name no other reference; on the command line one may be given."""
        ...

    def locate(self, reference: str, *, sha256: str | None = None) -> Path | None:
        """The local path of a reference if it is there already; never touches the network. With
        `sha256`, only what was fetched under that hash. Of a reference that is not pinned, what it
        meant when it was last pulled."""
        ...

    def pull(
        self, reference: str, *, sha256: str | None, progress: Callable[[int, int | None], None]
    ) -> Path:
        """Fetches it (bytes done, bytes in all -> progress), unless it is there and pinned: then
        the network is not touched. Raises SourceError; then `locate` finds nothing new."""
        ...
