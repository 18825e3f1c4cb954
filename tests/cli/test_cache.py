"""pull, ls, rm and verify, and models given by where they are, against servers of ours."""

import hashlib
import io
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from hub import COMMIT, StubHub
from inferflow_server.cli.main import COMMANDS
from web_server import WebServer

import inferflow_core
from inferflow_core import store
from inferflow_core.errors import SourceError
from inferflow_core.testing.network import no_network

BODY = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(BODY).hexdigest()
PINNED = f"hf:owner/tiny@{COMMIT}"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INFERFLOW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return tmp_path / "cache"


@pytest.fixture
def tiny_hub(hub: StubHub, tiny: Path) -> StubHub:
    """With a model that runs."""
    files = {file.name: file.read_bytes() for file in (tiny / "checkpoint").iterdir()}
    hub.add("owner/tiny", {**files, "modeling.py": b"raise SystemExit"})
    return hub


def listed(inferflow: Any) -> list[tuple[str, str]]:
    models = json.loads(inferflow("ls", "--json").out)["models"]
    return [(model["reference"], model["state"]) for model in models]


def test_from_pull_to_rm(inferflow: Any, tiny_hub: StubHub, own_cache: Path) -> None:
    assert inferflow("ls").out == ""
    done = inferflow("pull", "hf:owner/tiny")
    folder = Path(done.out.strip())
    assert (done.code, folder.is_relative_to(own_cache)) == (0, True)
    assert f"It is {PINNED} now" in done.err
    pulled = json.loads(inferflow("pull", PINNED, "--json").out)
    assert pulled == {"model": PINNED, "reference": PINNED, "path": str(folder)}
    line = inferflow("ls").out.splitlines()[1].split()
    assert (line[0], line[-1]) == (PINNED, "complete")
    assert inferflow("verify").out == f"{PINNED}: ok\n"
    assert inferflow("verify", "hf:owner/tiny").code == 0
    done = inferflow("rm", "hf:owner/tiny", "--yes", "--json")
    assert json.loads(done.out)["removed"] == [PINNED]
    assert (listed(inferflow), folder.exists()) == ([], False)


def test_a_reference_is_a_model(inferflow: Any, tiny_hub: StubHub, tmp_path: Path) -> None:
    done = inferflow("run", "hf:owner/tiny", "the sky")
    assert (done.code, tiny_hub.web.seen) == (6, [])
    assert "hf:owner/tiny is not here, and nobody is here to allow it" in done.err
    small = ("--backend", "numpy", "--max-tokens", "3", "--temperature", "0")
    done = inferflow("run", "hf:owner/tiny", "the sky", "--yes", *small)
    assert done.code == 0, done.err
    asked = len(tiny_hub.web.seen)
    with no_network():
        again = inferflow("run", "hf:owner/tiny", "the sky", "--raw", "--offline", *small)
        assert json.loads(inferflow("check", PINNED, "--json").out)["complete"]
        assert inferflow("tokenize", PINNED, "the sky").code == 0
        spec = tmp_path / "mine.toml"
        spec.write_text(f'spec = 1\nextends = "llama"\n[weights]\npath = "{PINNED}"\n')
        assert inferflow("run", str(spec), "the sky", "--raw", *small).out == again.out
        with inferflow_core.load(PINNED, backend="numpy") as model:
            assert model.name == "tiny"
    assert (again.code, len(tiny_hub.web.seen)) == (0, asked)


def test_a_spec_must_pin(inferflow: Any, tiny_hub: StubHub, tmp_path: Path) -> None:
    spec = tmp_path / "mine.toml"
    spec.write_text('spec = 1\nextends = "llama"\n[weights]\npath = "hf:owner/tiny"\n')
    for command in ("pull", "check"):
        done = inferflow(command, str(spec), "--yes")
        assert done.code == 6
        assert "'hf:owner/tiny' is not pinned" in done.err
    with pytest.raises(SourceError, match="is not pinned"):
        inferflow_core.load(spec, pull=print)
    assert tiny_hub.web.seen == []


def test_pull_with_a_hash(inferflow: Any, web: WebServer, tmp_path: Path) -> None:
    web.file("/m.gguf", BODY)
    url = f"{web.url}/m.gguf"
    done = inferflow("pull", url)
    assert (done.code, "has no hash" in done.err, web.seen) == (6, True, [])
    done = inferflow("pull", url, "--sha256", "0" * 64)
    assert (done.code, f"sha256 is {SHA256}" in done.err, listed(inferflow)) == (6, True, [])
    done = inferflow("pull", url, "--sha256", SHA256)
    assert Path(done.out.strip()).read_bytes() == BODY
    spec = tmp_path / "mine.toml"
    spec.write_text(
        f'spec = 1\nextends = "llama"\n[weights]\npath = "{url}"\nsha256 = "{SHA256}"\n'
    )
    with no_network():
        assert inferflow("pull", str(spec)).out == done.out
    done = inferflow("pull", str(spec), "--sha256", SHA256)
    assert (done.code, "a spec has weights.sha256" in done.err) == (2, True)


def test_verify_names_the_damaged_file(inferflow: Any, tiny_hub: StubHub) -> None:
    folder = Path(inferflow("pull", PINNED).out.strip())
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_bytes(tokenizer.read_bytes()[:-1] + b" ")
    done = inferflow("verify", "--json")
    assert done.code == 5
    (model,) = json.loads(done.out)["models"]
    assert model["problems"] == ["tokenizer.json: its SHA-256 has changed"]
    assert f"inferflow rm {PINNED}" in done.err
    tokenizer.unlink()
    assert inferflow("verify", PINNED).out == f"{PINNED}: tokenizer.json: is missing\n"
    assert listed(inferflow) == [(PINNED, "damaged")]


def test_rm_asks(inferflow: Any, tiny_hub: StubHub, monkeypatch: pytest.MonkeyPatch) -> None:
    inferflow("pull", PINNED)
    for name in ("INFERFLOW_YES", "INFERFLOW_RM_YES"):
        monkeypatch.setenv(name, "1")
    done = inferflow("rm", "--all")
    assert (done.code, "nobody is here" in done.err) == (2, True)
    for words in ((), ("--all", "--stale"), (PINNED, "--all")):
        assert inferflow("rm", *words, "--yes").code == 2
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)

    def no(text: str, **how: Any) -> bool:
        raise click.Abort

    monkeypatch.setattr(click, "confirm", no)
    assert inferflow("rm", "--all").code == 130
    assert listed(inferflow) == [(PINNED, "complete")]
    monkeypatch.setattr(click, "confirm", lambda text, **how: True)
    assert inferflow("rm", "--all").code == 0
    assert listed(inferflow) == []


def test_rm_stale_leaves_models(inferflow: Any, tiny_hub: StubHub) -> None:
    folder = Path(inferflow("pull", PINNED).out.strip())
    for name in (f".{folder.name}.part", ".of-an-older-version.abc"):
        (folder.parent / name / "x").mkdir(parents=True)
    assert [state for _, state in listed(inferflow)] == ["incomplete", "incomplete", "complete"]
    assert inferflow("rm", "--stale", "--yes").code == 0
    assert listed(inferflow) == [(PINNED, "complete")]


ON_A_MODEL: dict[str, list[str]] = {
    **{name: [] for name in ("pull", "check", "bench", "inspect", "plan", "spec show")},
    "run": ["Hello"],
    "tokenize": ["Hello"],
    "eval logits": ["--ids", "1", "--out", "x.npz"],
    "eval perplexity": ["--file", __file__],
}
"""Commands on a model, and what they need beside it; `serve` opens a socket to listen on."""


@pytest.mark.parametrize("variable", [False, True])
def test_offline_opens_no_socket(
    inferflow: Any, hub: StubHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = tmp_path / "mine.toml"
    spec.write_text(f'spec = 1\nextends = "llama"\n[weights]\npath = "{PINNED}"\n')
    models = ["hf:owner/tiny", PINNED, "https://127.0.0.1:9/m.gguf", "pypi:x==1", str(spec)]
    if variable:
        monkeypatch.setenv("INFERFLOW_OFFLINE", "1")
    for name, more in ON_A_MODEL.items():
        for model in models if name.split()[0] in COMMANDS else ():
            words = [*name.split(), model, *more, "--yes", *([] if variable else ["--offline"])]
            with no_network():
                done = inferflow(*words)
            # Of a spec alone, some have something to say.
            assert done.code == 6 or (model == str(spec) and done.code in (0, 2)), (words, done.err)
    assert store.kept() == []


def started(words: list[str]) -> "subprocess.Popen[str]":
    code = "from inferflow_server.cli import main; main()"
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code, *words], **pipes)


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


def test_two_pulls_at_once_fetch_once(web: WebServer) -> None:
    gate = threading.Event()
    web.file("/m.gguf", BODY, gate=gate)
    words = ["pull", f"{web.url}/m.gguf", "--sha256", SHA256]
    with started(words) as first:
        until(lambda: web.seen)
        with started(words) as second:
            assert second.stderr is not None
            said = "".join(second.stderr.readline() for _ in range(2))
            gate.set()
            results = [process.communicate(timeout=20)[0] for process in (first, second)]
    assert "Another process is fetching" in said
    assert (first.returncode, second.returncode) == (0, 0)
    assert results[0] == results[1]
    assert len(web.seen) == 1


def test_a_killed_pull_leaves_no_model_and_is_gone_on_with(inferflow: Any, web: WebServer) -> None:
    gate = threading.Event()
    answer = web.file("/m.gguf", BODY, gate=gate)
    words = ["pull", f"{web.url}/m.gguf", "--sha256", SHA256]
    almost_half = len(BODY) // 2 - 20_000  # the rest may not have come to the disk yet
    with started(words) as process:
        until(lambda: sum(one.nbytes for one in store.kept()) > almost_half)
        process.send_signal(signal.SIGKILL)
    gate.set()
    answer.gate = None
    assert [state for _, state in listed(inferflow)] == ["incomplete"]
    done = inferflow(*words)
    assert Path(done.out.strip()).read_bytes() == BODY
    assert int(web.seen[-1].headers["range"][6:-1]) > almost_half
    assert [state for _, state in listed(inferflow)] == ["complete"]


def test_verify_passes_over_what_has_no_manifest(inferflow: Any, tiny_hub: StubHub) -> None:
    folder = Path(inferflow("pull", PINNED).out.strip())
    (folder / store.MANIFEST).unlink()
    done = inferflow("verify")
    assert (done.code, done.out) == (0, "")
    assert "not compared" in done.err
