"""`local:PATH`, or a plain path: files that are already here."""

from collections.abc import Callable
from pathlib import Path

from inferflow_core.errors import SourceError


class LocalSource:
    """Nothing is copied and nothing is fetched."""

    def pinned(self, reference: str) -> bool:
        """What lies here is its owner's business."""
        return True

    def locate(self, reference: str, *, sha256: str | None = None) -> Path | None:
        """None for an empty reference too: it is a forgotten path, not the current folder."""
        name = reference.removeprefix("local:")
        path = Path(name).expanduser()
        return path if name and path.exists() else None

    def pull(
        self, reference: str, *, sha256: str | None, progress: Callable[[int, int | None], None]
    ) -> Path:
        path = self.locate(reference)
        if path is None:
            raise SourceError(f"no file or folder {reference.removeprefix('local:')!r}")
        return path
