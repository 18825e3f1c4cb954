"""Models that were fetched: a folder each in the cache, there whole or not at all.

A source fills folders with `keep`; `inferflow ls`, `rm` and `verify` know them then, whichever
source they come from. The layout is `CACHE/SCHEME/NAME`, with a manifest in each folder; while it
is being filled its name is `.NAME.part`, so a pull that was killed never looks like a model.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inferflow_core.cache import cache_dir, lock
from inferflow_core.errors import SourceError

MANIFEST = ".inferflow.json"
LOCKS = "locks"
REFS = "refs"
"""For a source's own notes on what a reference means; not a model."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kept:
    """What `inferflow ls` knows of a folder of the cache."""

    path: Path
    reference: str
    """As it was pulled; of a folder without a manifest `SCHEME/NAME`."""
    state: str
    """`complete`; `incomplete`: left by a pull that was broken off, or under way; `damaged`: files
    are missing or of another size than the manifest says; `unlisted`: there is no manifest."""
    nbytes: int
    pulled: str | None
    """When it was complete: ISO 8601, UTC."""


def folder(scheme: str, name: str) -> Path:
    """Where a source keeps what it calls `name`."""
    return cache_dir() / scheme / name


def keep(
    target: Path, reference: str, fill: Callable[[Path], Mapping[str, str]], *, resumes: bool
) -> Path:
    """`target`, a `folder`, filled by `fill` if it is not there yet.

    `fill` gets a folder to put the files into: an empty one, or if it `resumes`, with what an
    earlier one left that failed or was killed. It returns the SHA-256 of files (relative name ->
    hex digest) that it knows; the others are computed. Two processes never fill the same folder at
    once. Raises SourceError, also for a disk that is full or must not be written.
    """
    if target.is_dir():
        return target
    work = target.with_name(f".{target.name}.part")
    with _explained(target.parent), _locked(target, _waits(reference)):
        if target.is_dir():
            return target
        if work.exists() and not resumes:
            shutil.rmtree(work)
        work.mkdir(exist_ok=True)
        try:
            _write_manifest(work, reference, fill(work))
            work.rename(target)
        except BaseException:
            if not resumes or not any(work.iterdir()):
                shutil.rmtree(work, ignore_errors=True)
            raise
    return target


def write_ref(path: Path, text: str) -> None:
    """A small file below REFS, there whole or not at all. Raises SourceError."""
    with _explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            file.write(text)
        Path(file.name).replace(path)


def kept() -> list[Kept]:
    """Every model of the cache and every leftover, by source and name."""
    found: list[Kept] = []
    for path in sorted(_folders()):
        with suppress(FileNotFoundError):  # another process has renamed or removed it just now
            found.append(look(path))
    return found


def look(path: Path) -> Kept:
    """What there is to say of one folder without reading its files."""
    sizes = {name: file.stat().st_size for name, file in _files(path)}
    manifest = read_manifest(path)
    known = manifest.get("reference") if manifest else None
    if path.name.startswith("."):
        state = "incomplete"
    elif manifest is None:
        state = "damaged" if (path / MANIFEST).exists() else "unlisted"
    else:
        listed = {name: entry["bytes"] for name, entry in manifest["files"].items()}
        state = "complete" if listed.items() <= sizes.items() else "damaged"
    return Kept(
        path,
        str(known or f"{path.parent.name}/{path.name}"),
        state,
        sum(sizes.values()),
        manifest["pulled"] if manifest else None,
    )


def holding(path: Path) -> Kept | None:
    """The model that a path of the cache belongs to."""
    parents = (path, *path.parents)
    found = next((one for one in parents if one.parent.parent == cache_dir()), None)
    return look(found) if found is not None and found.is_dir() else None


def remove(path: Path) -> None:
    """Deletes a folder that `kept` gave. Raises SourceError, also while somebody is filling it."""

    def taken() -> None:
        raise SourceError(f"{path} is being fetched by another process")

    hidden = path.name.startswith(".")
    name = path.name[1:].removesuffix(".part") if hidden else path.name
    with _explained(path.parent), _locked(path.with_name(name), taken):
        # First out of its final name: half a model must not be left there.
        doomed = path if hidden else path.with_name(f".{path.name}.gone")
        if doomed != path:
            shutil.rmtree(doomed, ignore_errors=True)
            path.rename(doomed)
        shutil.rmtree(doomed)


def verify(path: Path) -> list[str]:
    """Hashes a model's files anew: what is wrong, a line each. Raises SourceError where there is
    no manifest to compare with."""
    manifest = read_manifest(path)
    if manifest is None:
        raise SourceError(
            f"{path} has no manifest that can be read, so nothing says what it should hold",
            hint="remove it with `inferflow rm` and pull it again",
        )
    problems: list[str] = []
    for name, entry in manifest["files"].items():
        file = path / name
        if not file.is_file():
            problems.append(f"{name}: is missing")
        elif (size := file.stat().st_size) != entry["bytes"]:
            problems.append(f"{name}: has {size} bytes instead of {entry['bytes']}")
        elif sha256_of(file) != entry["sha256"]:
            problems.append(f"{name}: its SHA-256 has changed")
    return problems


def read_manifest(path: Path) -> dict[str, Any] | None:
    """`reference`, `pulled`, and `files`: name -> `bytes`, `sha256`. None if absent or unreadable.

    A manifest is trusted as little as any file: a name that leads out of the folder spoils it.
    """
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        texts = [manifest["reference"], manifest["pulled"]]
        for name, entry in manifest["files"].items():
            texts += [name, entry["sha256"]]
            inside = (path / name).resolve().is_relative_to(path.resolve())
            if not inside or not isinstance(entry["bytes"], int):
                return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return manifest if all(isinstance(text, str) for text in texts) else None


def sha256_of(path: Path) -> str:
    """The hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_manifest(work: Path, reference: str, digests: Mapping[str, str]) -> None:
    manifest = {
        "reference": reference,
        "pulled": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": {
            name: {"bytes": file.stat().st_size, "sha256": digests.get(name) or sha256_of(file)}
            for name, file in _files(work)
        },
    }
    (work / MANIFEST).write_text(json.dumps(manifest, indent=2), "utf-8")


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """The files below a folder, without its manifest, by their relative names."""
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if file.is_file() and name != MANIFEST:
            yield name, file


def _folders() -> Iterator[Path]:
    """A source's folder is one that has locks: other things live in the cache too."""
    root = cache_dir()
    for scheme in root.iterdir() if root.is_dir() else ():
        if (scheme / LOCKS).is_dir():
            inside = (path for path in scheme.iterdir() if path.is_dir())
            yield from (path for path in inside if path.name not in (LOCKS, REFS))


def _locked(target: Path, taken: Callable[[], None]) -> AbstractContextManager[None]:
    return lock(target.parent / LOCKS / f"{target.name}.lock", taken=taken)


def _waits(reference: str) -> Callable[[], None]:
    return lambda: log.warning("Another process is fetching %s: waiting for it", reference)


@contextmanager
def _explained(place: Path) -> Generator[None]:
    """What the disk says, in words."""
    elsewhere = "INFERFLOW_CACHE names another folder for the cache"
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SourceError(
                f"the disk is full: {place}", hint=f"`inferflow rm` makes room; {elsewhere}"
            ) from error
        raise SourceError(
            f"the cache {place} cannot be written: {error}", hint=elsewhere
        ) from error
