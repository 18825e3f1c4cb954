"""`https://host/path/model.gguf`: one file of any web server, with a hash that it must have."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from inferflow_core import store
from inferflow_core.errors import SourceError
from inferflow_sources.data_files import problem_of_name
from inferflow_sources.download import download

Progress = Callable[[int, int | None], None]

SUFFIXES = (".gguf", ".safetensors", ".bin")
"""Files that can be a model alone; of these three only GGUF holds its tokenizer too."""


class HTTPSSource:
    """Single files with a SHA-256. The cache holds one folder for each name and hash."""

    def pinned(self, reference: str) -> bool:
        """A server may replace its files, but `pull` demands a hash."""
        return True

    def locate(self, reference: str, *, sha256: str | None = None) -> Path | None:
        name = _file_name(reference)
        if sha256 is not None:
            folders = [_folder(reference, sha256)]
        else:
            folders = sorted(store.folder("https", "").glob(f"{name}-*"))
            folders = [each for each in folders if store.look(each).reference == reference]
        return next((each / name for each in folders if each.is_dir()), None)

    def pull(self, reference: str, *, sha256: str | None, progress: Progress) -> Path:
        if sha256 is None:
            raise SourceError(
                f"{_file_name(reference)} has no hash",
                hint="add its sha256 (`--sha256`, or in [weights]): a URL proves nothing",
            )
        fill = partial(_fill, reference, sha256.lower(), progress)
        return store.keep(_folder(reference, sha256), reference, fill, resumes=True) / _file_name(
            reference
        )


def _fill(reference: str, sha256: str, progress: Progress, work: Path) -> Mapping[str, str]:
    file = work / _file_name(reference)
    if not file.exists():
        download(reference, file, progress=progress)
    if (digest := store.sha256_of(file)) != sha256:
        file.unlink()
        raise SourceError(f"{file.name}: the file's sha256 is {digest}, not {sha256}")
    return {file.name: digest}


def _folder(reference: str, sha256: str) -> Path:
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise SourceError(f"the sha256 of {reference} is not 64 hexadecimal digits")
    return store.folder("https", f"{_file_name(reference)}-{sha256.lower()}")


def _file_name(reference: str) -> str:
    """The name of the file; the URL is checked by the way. Raises SourceError."""
    try:
        parts = urlsplit(reference)
        good = parts.scheme == "https" and parts.hostname and parts.port != 0 and not parts.fragment
    except ValueError:
        parts, good = None, False
    if parts is None or not good or not re.fullmatch(r"[!-~]{1,2000}", reference):
        raise SourceError(f"{reference[:200]!r} is not of the form https://host/path/file")
    if parts.username is not None or parts.password is not None:
        # Not shown: the cache would keep it, and logs.
        raise SourceError("a URL with a user or password in it is not fetched")
    name = unquote(parts.path.rpartition("/")[2])
    if not name.endswith(SUFFIXES) or problem_of_name(name) or len(name) > 120 or name[0] == ".":
        allowed = ", ".join(SUFFIXES)
        raise SourceError(f"{reference[:200]!r} does not end in the name of a model ({allowed})")
    return name
