"""Predefined models from a Hub of ours, as a person gets them: pull, run, list, verify, remove."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hub import COMMIT, StubHub

from inferflow_core.catalog import Catalog
from inferflow_core.spec.merge import read_entry
from inferflow_core.spec.nodes import Leaf, Section
from inferflow_core.testing.network import no_network

SMALL = ("--backend", "numpy", "--max-tokens", "3", "--temperature", "0", "--raw")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "stdin", io.StringIO())


@pytest.fixture
def files(tiny: Path) -> dict[str, bytes]:
    """A tiny model of the family llama, in the place of a large one."""
    return {file.name: file.read_bytes() for file in (tiny / "checkpoint").iterdir()}


def test_a_pinned_model(inferflow: Any, hub: StubHub, files: dict[str, bytes]) -> None:
    weights = read_entry("open-llama-3b", Catalog()).root.get("weights")
    path = weights.get("path") if isinstance(weights, Section) else None
    assert isinstance(path, Leaf)
    repo, commit = str(path.value).removeprefix("hf:").split("@")
    hub.add(repo, files, commit=commit)
    done = inferflow("run", "open-llama-3b", "the sky", *SMALL)
    assert (done.code, f"Fetched hf:{repo}@{commit}" in done.err) == (0, True), done.err
    with no_network():
        assert inferflow("run", "open-llama-3b", "the sky", *SMALL).out == done.out
        assert inferflow("pull", "open-llama-3b").code == 0


def test_an_unpinned_model_is_what_was_pulled(
    inferflow: Any, hub: StubHub, files: dict[str, bytes], tmp_path: Path
) -> None:
    pinned = f"hf:Wanfq/FuseLLM-7B@{COMMIT}"
    hub.add("Wanfq/FuseLLM-7B", files)
    done = inferflow("plan", "fusellm-7b")
    assert (done.code, "inferflow pull fusellm-7b" in done.err) == (6, True)
    done = inferflow("pull", "fusellm-7b", "--json")
    assert json.loads(done.out)["reference"] == pinned
    assert f"It is {pinned} now: in a spec, write that." in done.err
    hub.add("Wanfq/FuseLLM-7B", {**files, "config.json": b"{}"}, commit="f" * 40)
    with no_network():
        assert inferflow("run", "fusellm-7b", "the sky", *SMALL).code == 0
        assert inferflow("ls").out.splitlines()[1].startswith(pinned)
        assert inferflow("verify", "fusellm-7b").out == f"{pinned}: ok\n"
    own = tmp_path / "own.toml"
    own.write_text('spec = 1\nextends = "fusellm-7b"\n')
    done = inferflow("check", str(own))
    assert (done.code, "'hf:Wanfq/FuseLLM-7B' is not pinned" in done.err) == (6, True)
    own.write_text(f'spec = 1\nextends = "fusellm-7b"\n[weights]\npath = "{pinned}"\n')
    assert json.loads(inferflow("check", str(own), "--json").out)["complete"]
    assert json.loads(inferflow("rm", "fusellm-7b", "--yes", "--json").out)["removed"] == [pinned]
