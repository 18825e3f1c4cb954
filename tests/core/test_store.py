"""What is kept of fetched models: whole or not at all, known, and checked."""

import errno
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from inferflow_core import cache, store
from inferflow_core.errors import SourceError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INFERFLOW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fill(work: Path) -> dict[str, str]:
    (work / "sub").mkdir()
    (work / "m.gguf").write_bytes(b"weights")
    (work / "sub" / "config.json").write_bytes(b"{}")
    return {}


def keep(reference: str = "test:a", name: str = "a") -> Path:
    return store.keep(store.folder("test", name), reference, fill, resumes=False)


def test_what_is_kept_is_known(own_cache: Path) -> None:
    path = keep()
    assert path == own_cache / "test" / "a"
    (one,) = store.kept()
    assert (one.path, one.reference, one.state, one.nbytes) == (path, "test:a", "complete", 9)
    assert str(one.pulled).endswith("+00:00")
    assert store.holding(path / "sub" / "config.json") == one
    assert store.holding(own_cache) is store.holding(Path("/")) is None
    assert store.verify(path) == []
    assert store.keep(path, "test:a", lambda work: pytest.fail("again"), resumes=False) == path


def test_other_things_in_the_cache_are_no_models(own_cache: Path) -> None:
    (own_cache / "kernels-1" / "x").mkdir(parents=True)
    store.write_ref(store.folder("test", store.REFS) / "main", "abc")
    keep()
    assert [one.reference for one in store.kept()] == ["test:a"]


@pytest.mark.parametrize("resumes", [False, True])
def test_a_failed_fill_is_no_model(resumes: bool) -> None:
    seen: list[list[str]] = []

    def fails(work: Path) -> dict[str, str]:
        seen.append([path.name for path in work.iterdir()])
        (work / "half").write_bytes(b"x")
        raise SourceError("cut")

    target = store.folder("test", "a")
    for _ in range(2):
        with pytest.raises(SourceError, match="cut"):
            store.keep(target, "test:a", fails, resumes=resumes)
    assert not target.exists()
    assert seen == [[], ["half"] if resumes else []]
    assert [one.state for one in store.kept()] == ["incomplete"] * resumes
    for one in store.kept():
        store.remove(one.path)
    assert store.kept() == []


def test_damage_is_seen_and_named() -> None:
    path = keep()
    (path / "m.gguf").write_bytes(b"wEights")
    assert store.look(path).state == "complete"
    assert store.verify(path) == ["m.gguf: its SHA-256 has changed"]
    (path / "m.gguf").write_bytes(b"short")
    (path / "sub" / "config.json").unlink()
    assert store.look(path).state == "damaged"
    assert store.verify(path) == [
        "m.gguf: has 5 bytes instead of 7",
        "sub/config.json: is missing",
    ]


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b'{"reference": "x"}',
        b'{"reference": 1, "pulled": "", "files": {}}',
        b'{"reference": "x", "pulled": "", "files": {"a": {"bytes": "1", "sha256": ""}}}',
        b'{"reference": "x", "pulled": "", "files": {"../../b": {"bytes": 1, "sha256": ""}}}',
        b'{"reference": "x", "pulled": "", "files": {"/etc/passwd": {"bytes": 1, "sha256": ""}}}',
        b'{"reference": "x", "pulled": "", "files": []}',
    ],
)
def test_a_manifest_is_not_trusted(manifest: bytes) -> None:
    path = keep()
    (path / store.MANIFEST).write_bytes(manifest)
    assert store.look(path).state == "damaged"
    with pytest.raises(SourceError, match="no manifest that can be read"):
        store.verify(path)
    store.remove(path)
    assert store.kept() == []


def test_what_is_being_fetched_is_not_removed() -> None:
    started, go_on = threading.Event(), threading.Event()

    def slow(work: Path) -> dict[str, str]:
        started.set()
        go_on.wait(10)
        return fill(work)

    target = store.folder("test", "a")
    thread = threading.Thread(
        target=store.keep, args=[target, "test:a", slow], kwargs={"resumes": True}
    )
    thread.start()
    started.wait(10)
    (one,) = store.kept()
    with pytest.raises(SourceError, match="being fetched by another process"):
        store.remove(one.path)
    go_on.set()
    thread.join()
    assert [one.state for one in store.kept()] == ["complete"]


@pytest.mark.parametrize(
    ("error", "words", "hint"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full", "inferflow rm"),
        (OSError(errno.EROFS, "Read-only file system"), "cannot be written", "INFERFLOW_CACHE"),
    ],
)
def test_what_the_disk_says_is_told(error: OSError, words: str, hint: str) -> None:
    def fails(work: Path) -> dict[str, str]:
        raise error

    with pytest.raises(SourceError, match=words) as caught:
        store.keep(store.folder("test", "a"), "test:a", fails, resumes=True)
    assert hint in str(caught.value.hint)
    assert store.kept() == []


def test_a_cache_that_cannot_be_written_still_gives_what_it_has(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = keep()

    def read_only(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", read_only)
    assert keep() == path
    with pytest.raises(SourceError, match=r"cannot be written: .*Read-only"):
        keep("test:b", "b")


def test_a_cache_that_is_a_file(own_cache: Path) -> None:
    own_cache.write_text("a file")
    assert store.kept() == []
    with pytest.raises(SourceError, match="cannot be written"):
        keep()


def test_the_cache_is_where_the_variable_says(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache.cache_dir() == own_cache
    monkeypatch.setenv("INFERFLOW_CACHE", "~/models")
    assert cache.cache_dir() == Path("~/models").expanduser()
    monkeypatch.delenv("INFERFLOW_CACHE")
    assert cache.cache_dir().name.lower() in ("inferflow", "cache")


def test_manifests_are_plain_json() -> None:
    read = json.loads((keep() / store.MANIFEST).read_text("utf-8"))
    assert set(read) == {"reference", "pulled", "files"}
    assert read["files"]["m.gguf"]["bytes"] == 7
