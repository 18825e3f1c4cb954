"""`hf:owner/name[@revision][:path]`: models of the Hugging Face Hub, pinned to a commit.

`huggingface_hub` says which commit a revision is, what files it has, and their hashes. The files
come through `download`, which goes on with a broken one also after a restart, takes no more than
was announced, and shows the token to the endpoint alone. Code is never fetched.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import quote

from inferflow_core import store
from inferflow_core.errors import SourceError
from inferflow_sources.data_files import problem_of_name
from inferflow_sources.download import Refused, check_room, download
from inferflow_sources.hub_api import COMMIT, Hub, HubFile
from inferflow_sources.hub_files import choose

_REFERENCE = re.compile(
    r"hf:([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(?:@([A-Za-z0-9][\w./-]{0,199}))?(?::(.+))?",
    re.ASCII,
)

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Asked:
    """A reference, taken apart. `path`: a file or folder of the repository; empty: its root."""

    repo: str
    revision: str | None
    path: str

    @property
    def pinned(self) -> bool:
        return COMMIT.fullmatch(self.revision or "") is not None

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"hf:{self.repo}{revision}{f':{self.path}' if self.path else ''}"


class HubSource:
    """Models of the Hugging Face Hub. The cache holds a folder for each commit and path."""

    def pinned(self, reference: str) -> bool:
        """With a whole commit, 40 hexadecimal digits."""
        return _parse(reference).pinned

    def locate(self, reference: str, *, sha256: str | None = None) -> Path | None:
        asked = _parse(reference)
        if not asked.pinned:
            ref = _ref(asked)
            commit = ref.read_text("utf-8") if ref.is_file() else ""
            if not COMMIT.fullmatch(commit):
                return None
            asked = replace(asked, revision=commit)
        return _found(asked) if sha256 is None and _folder(asked).is_dir() else None

    def pull(self, reference: str, *, sha256: str | None, progress: Progress) -> Path:
        asked = _parse(reference)
        if sha256 is not None:
            raise SourceError(f"{asked} takes no sha256: the commit says all its files' hashes")
        if asked.pinned and _folder(asked).is_dir():
            return _found(asked)
        hub = Hub()
        commit, files = hub.listing(asked.repo, asked.revision)
        exact = replace(asked, revision=commit)
        fill = partial(_fill, hub, exact, files, progress)
        store.keep(_folder(exact), str(exact), fill, resumes=True)
        if not asked.pinned:
            store.write_ref(_ref(asked), commit)
        return _found(exact)


def _fill(
    hub: Hub, asked: Asked, files: list[HubFile], progress: Progress, work: Path
) -> Mapping[str, str]:
    try:
        chosen = set(choose([each.name for each in files], asked.path))
    except SourceError as error:
        hint = f"a file or folder is chosen so: {replace(asked, path='PATH')}"
        raise SourceError(f"{asked}: {error.message}", hint=hint) from error
    wanted = [each for each in files if each.name in chosen]
    total, before = sum(each.size for each in wanted), 0
    here = sum(file.stat().st_size for file in work.rglob("*") if file.is_file())
    check_room(work, total - here)
    secrets, digests = hub.secrets(), dict[str, str]()
    for each in wanted:
        target = work / each.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            try:
                download(
                    hub.url(asked.repo, str(asked.revision), each.name),
                    target,
                    size=each.size,
                    secrets=secrets,
                    progress=lambda done, _, before=before: progress(before + done, total),
                )
            except Refused as error:
                raise hub.refused(asked.repo, error.status, error.code) from error
        if not _is_right(each, target):
            target.unlink()
            raise SourceError(f"{asked}: {each.name} does not have the hash that the Hub lists")
        if each.sha256 is not None:
            digests[each.name] = each.sha256
        before += each.size
    return digests


def _is_right(file: HubFile, path: Path) -> bool:
    if file.sha256 is not None:
        return store.sha256_of(path) == file.sha256
    # What git calls a file's hash is that of a line with its size, and the bytes.
    begun = partial(hashlib.sha1, b"blob %d\0" % file.size)
    with path.open("rb") as data:
        return hashlib.file_digest(data, begun).hexdigest() == file.blob


def _parse(reference: str) -> Asked:
    found = _REFERENCE.fullmatch(reference)
    path = found[3] or "" if found else ""
    if found is None or ".." in reference or "--" in found[1] or (path and problem_of_name(path)):
        raise SourceError(
            f"{reference[:200]!r} is not of the form hf:owner/name, hf:owner/name@commit or "
            "hf:owner/name@commit:path"
        )
    return Asked(found[1], found[2], path.removesuffix("/"))


def _folder(asked: Asked) -> Path:
    path = f"--{quote(asked.path, safe='')}" if asked.path else ""
    return store.folder("hf", f"{asked.repo.replace('/', '--')}@{asked.revision}{path}")


def _ref(asked: Asked) -> Path:
    """Notes the commit that a reference without one meant when it was last pulled."""
    return store.folder("hf", store.REFS) / quote(str(asked), safe="")


def _found(asked: Asked) -> Path:
    """What to open: what was asked for, the folder of an index, or the GGUF where that is all."""
    place = _folder(asked) / asked.path
    if place.name.endswith(".index.json"):
        return place.parent
    alone = (
        [file for file in place.iterdir() if file.name != store.MANIFEST] if place.is_dir() else []
    )
    return alone[0] if len(alone) == 1 and alone[0].suffix == ".gguf" else place
