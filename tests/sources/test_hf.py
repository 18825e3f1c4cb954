"""The hf source against a Hub of ours."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hub import COMMIT, StubHub
from inferflow_sources import download, hub_api
from inferflow_sources.hf import HubSource
from inferflow_sources.hub_files import choose
from web_server import WebServer

from inferflow_core import store
from inferflow_core.errors import SourceError

WEIGHTS = bytes(range(256)) * 2000
MODEL = {
    "config.json": b"{}",
    "tokenizer.json": b'{"model": 1}',
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": WEIGHTS[::-1],
    "modeling_own.py": b"raise SystemExit('it ran')",
    "README.md": b"# A model",
    "onnx/model.onnx": WEIGHTS,
}
PINNED = f"hf:owner/name@{COMMIT}"


def pull(reference: str, told: list[Any] | None = None) -> Path:
    seen = [] if told is None else told
    return HubSource().pull(reference, sha256=None, progress=lambda *both: seen.append(both))


def names(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "PAUSE_S", 0)


def test_pull_fetches_the_data_of_a_model_once(hub: StubHub) -> None:
    hub.add("owner/name", MODEL)
    told: list[tuple[int, int]] = []
    folder = pull(PINNED, told)
    assert names(folder) == {"config.json", "model.safetensors", "tokenizer.json", store.MANIFEST}
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    size = len(WEIGHTS) + len(b"{}") + len(MODEL["tokenizer.json"])
    assert told[-1] == (size, size)
    assert told == sorted(told)
    asked = len(hub.web.seen)
    assert pull(PINNED) == HubSource().locate(PINNED) == folder
    assert len(hub.web.seen) == asked
    assert [(one.reference, one.state) for one in store.kept()] == [(PINNED, "complete")]
    assert not [path for path in folder.rglob("*") if path.is_symlink()]


def test_a_name_means_what_it_meant_when_it_was_pulled(hub: StubHub) -> None:
    hub.add("owner/name", MODEL)
    assert not HubSource().pinned("hf:owner/name")
    assert HubSource().locate("hf:owner/name") is None
    first = pull("hf:owner/name")
    assert pull("hf:owner/name@main") == first
    later = "f" * 40
    hub.add("owner/name", {**MODEL, "config.json": b'{"new": 1}'}, commit=later)
    assert HubSource().locate("hf:owner/name") == first
    second = pull("hf:owner/name")
    assert store.look(second).reference == f"hf:owner/name@{later}"
    assert HubSource().locate("hf:owner/name") == second
    assert HubSource().locate("hf:owner/name@main") == first
    assert HubSource().locate("hf:owner/name@v1") is None


def test_a_failed_update_leaves_the_name_as_it_was(hub: StubHub) -> None:
    hub.add("owner/name", MODEL)
    first = pull("hf:owner/name")
    hub.add("owner/name", {**MODEL, "config.json": b"{ }"}, commit="f" * 40)
    hub.refuse(f"/owner/name/resolve/{'f' * 40}/config.json", 500)
    with pytest.raises(SourceError):
        pull("hf:owner/name")
    assert HubSource().locate("hf:owner/name") == first


def test_a_cut_connection_is_taken_up_at_the_second_host(hub: StubHub) -> None:
    hub.add("owner/name", MODEL)
    large = hub.cdn.answers[f"/blobs/{hashlib.sha256(WEIGHTS).hexdigest()}"]
    large.cuts = [100_000, 0]
    with pytest.raises(SourceError, match="broke after 100000 of"):
        pull(PINNED)
    assert HubSource().locate(PINNED) is None
    small = [path for path in hub.web.paths() if path.endswith("config.json")]
    assert (pull(PINNED) / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.cdn.seen[-1].headers["range"] == "bytes=100000-"
    assert [path for path in hub.web.paths() if path.endswith("config.json")] == small


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_wrong_hash_is_refused(hub: StubHub, name: str) -> None:
    hub.add("owner/name", MODEL)
    place = f"/owner/name/resolve/{COMMIT}/{name}"
    body = MODEL[name]
    hub.web.file(place, body[:-1] + b"!")
    with pytest.raises(SourceError, match=f"{name} does not have the hash"):
        pull(PINNED)
    assert HubSource().locate(PINNED) is None
    hub.web.file(place, body + b"more")
    with pytest.raises(SourceError, match=f"{len(body)} were to come"):
        pull(PINNED)
    hub.web.file(place, body)
    assert (pull(PINNED) / name).read_bytes() == body


def test_the_token_is_for_the_endpoint_alone(
    hub: StubHub, plain: WebServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.add("owner/name", MODEL)
    pull(PINNED)
    assert {each.headers.get("authorization") for each in hub.web.seen} == {"Bearer hf_secret"}
    assert hub.cdn.seen
    # A question may be redirected too, and `huggingface_hub` follows.
    hub.web.redirect("/api/models/owner/moved", f"{plain.url}/api")
    with pytest.raises(SourceError):
        pull("hf:owner/moved")
    for other in (hub.cdn, plain):
        assert other.seen
        assert not [each for each in other.seen if "secret" in "".join(each.headers.values())]


def test_a_renamed_model_is_found_with_the_token(
    hub: StubHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.add("new/name", MODEL)
    hub.web.redirect("/api/models/owner/name", "/api/models/new/name", 307)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        place = f"resolve/{COMMIT}/{name}"
        hub.web.redirect(f"/owner/name/{place}", f"/new/name/{place}", 307)
    assert (pull("hf:owner/name") / "config.json").read_bytes() == b"{}"
    assert {each.headers.get("authorization") for each in hub.web.seen} == {"Bearer hf_secret"}


@pytest.mark.parametrize(
    ("status", "code", "words", "hint"),
    [
        (401, "", "knows no model owner/name, or does not show it", "HF_TOKEN"),
        (404, "RepoNotFound", "knows no model owner/name", "is the name right"),
        (404, "RevisionNotFound", "owner/name has no revision 'v9'", None),
        (403, "GatedRepo", "owner/name is gated", "ask for access on .*owner/name"),
        (500, "", "answers 500", None),
    ],
)
def test_questions_that_are_refused(
    hub: StubHub, status: int, code: str, words: str, hint: str | None
) -> None:
    hub.refuse("/api/models/owner/name/revision/v9", status, code)
    with pytest.raises(SourceError, match=words) as caught:
        pull("hf:owner/name@v9")
    if hint:
        assert caught.match(hint)
    assert store.kept() == []


def test_a_gated_model_lists_its_files_and_refuses_them(hub: StubHub) -> None:
    hub.add("owner/name", MODEL)
    for name in MODEL:
        hub.refuse(f"/owner/name/resolve/{COMMIT}/{name}", 403, "GatedRepo")
    with pytest.raises(SourceError, match="owner/name is gated") as caught:
        pull(PINNED)
    assert "HF_TOKEN" in str(caught.value.hint)


@pytest.mark.parametrize(
    "change",
    [
        {"sha": "main"},
        {"sha": "f" * 40},
        {"sha": None},
        {"siblings": [{"rfilename": "config.json"}]},
        {"siblings": [{"rfilename": "config.json", "size": -1, "blobId": "0" * 40}]},
        {"siblings": [{"rfilename": "config.json", "size": 1, "blobId": "0"}]},
        {"siblings": 7},
    ],
)
def test_an_endpoint_that_talks_nonsense(hub: StubHub, change: dict[str, Any]) -> None:
    hub.web.json(f"/api/models/owner/name/revision/{COMMIT}", {"id": "owner/name", **change})
    with pytest.raises(SourceError):
        pull(PINNED)
    assert store.kept() == []


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(SourceError, match=r"127\.0\.0\.1:9: .*refused"):
        pull(PINNED)
    monkeypatch.setenv("HF_ENDPOINT", "ftp://x")
    with pytest.raises(SourceError, match="HF_ENDPOINT is 'ftp://x'"):
        pull(PINNED)


def test_the_hubs_own_word_for_offline_holds() -> None:
    """It is read when the package is imported."""
    code = "from inferflow_sources.hf import HubSource as H;"
    code += f"H().pull({PINNED!r}, sha256=None, progress=print)"
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert "SourceError: HF_HUB_OFFLINE is set" in done.stderr


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(SourceError, match="need the package huggingface_hub") as caught:
        pull(PINNED)
    assert caught.value.hint == 'pip install "inferflow-core[hub]"'
    assert HubSource().locate(PINNED) is None


def test_a_path_is_a_choice(hub: StubHub) -> None:
    hub.add("owner/name", {"a-Q4.gguf": b"4" * 2000, "b/c-Q8.gguf": b"8" * 2000, "b/x.json": b"{}"})
    one = pull(f"{PINNED}:b/c-Q8.gguf")
    assert one.read_bytes() == b"8" * 2000
    assert names(one.parent.parent) == {"b/c-Q8.gguf", store.MANIFEST}
    assert HubSource().locate(f"{PINNED}:b/c-Q8.gguf") == one
    assert HubSource().locate(PINNED) is None
    alone = pull("hf:owner/name")
    assert alone.read_bytes() == b"4" * 2000
    assert HubSource().locate("hf:owner/name") == alone
    with pytest.raises(SourceError, match=r"no file or folder 'c' in it: a-Q4\.gguf, b/c") as e:
        pull("hf:owner/name:c")
    assert "hf:owner/name@" in str(e.value.hint)


SHARDED = ["model.safetensors.index.json", "model-00001-of-00002.safetensors"]
SHARDED += ["model-00002-of-00002.safetensors"]
PICKLED = ["pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin"]
PICKLED += ["pytorch_model-00002-of-00002.bin"]


def test_an_index_is_opened_by_its_folder(hub: StubHub) -> None:
    files = {name: b"{}" for name in (*PICKLED, *SHARDED, "config.json")}
    hub.add("owner/name", files)
    folder = pull(f"{PINNED}:{PICKLED[0]}")
    assert names(folder) == {*PICKLED, "config.json", store.MANIFEST}
    assert HubSource().locate(f"{PINNED}:{PICKLED[0]}") == folder


@pytest.mark.parametrize(
    ("files", "path", "chosen"),
    [
        (["model.safetensors", "consolidated.safetensors", "config.json"], "", [2, 0]),
        ([*SHARDED, "consolidated.safetensors"], "", [1, 2, 0]),
        (["other.safetensors", "x.pkl", "x.pt"], "", [0]),
        (["pytorch_model.bin", "training_args.bin", "optimizer.bin", "vocab.txt"], "", [0, 3]),
        (["model.safetensors", "pytorch_model.bin.index.json", "q.gguf"], "", [0]),
        (["chat_template.jinja", "tokenizer.model", "model.safetensors"], "", [0, 2, 1]),
        (["q.gguf", "config.json"], "", [0]),
        (["sub/model.safetensors", "sub/config.json", "sub/deep/x.json"], "sub", [1, 0]),
        (["a/model.safetensors", "config.json", "a/q.gguf"], "a/q.gguf", [2]),
        (["x.fp16.safetensors", "x.safetensors", "config.json"], "x.fp16.safetensors", [2, 0]),
        (["stories15M.bin", "tokenizer.bin", "big.bin", "a.py"], "stories15M.bin", [0, 1]),
        ([*PICKLED, *SHARDED, "config.json"], PICKLED[0], [6, 1, 2, 0]),
        ([*PICKLED, *SHARDED, "config.json"], SHARDED[0], [6, 4, 5, 3]),
    ],
)
def test_what_is_chosen(files: list[str], path: str, chosen: list[int]) -> None:
    assert choose(files, path) == [files[number] for number in chosen]


@pytest.mark.parametrize(
    ("files", "path", "words"),
    [
        ([], "", "no file or folder"),
        (["a.py", "config.json"], "", "no weights that can be read"),
        (["a.gguf", "b.gguf"], "", "2 .gguf files; one of them is a model: a.gguf, b.gguf"),
        (["a.safetensors", "b.safetensors"], "", "choose one: a.safetensors"),
        (["a.py"], "a.py", "'a.py' is not fetched"),
        (["weights.pkl"], "weights.pkl", "not fetched"),
        (["../model.safetensors", "/model.safetensors", "c:\\model.safetensors"], "", "no file"),
        (["../q.gguf"], "../q.gguf", "no file"),
    ],
)
def test_what_cannot_be_chosen(files: list[str], path: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        choose(files, path)


@pytest.mark.parametrize(
    "reference",
    [
        "hf:",
        "hf:name",
        "hf:owner/name/more",
        "hf:../name",
        "hf:owner/..",
        "hf:owner/a--b",
        "hf:owner/name@",
        "hf:owner/name@../x",
        "hf:owner/name:",
        "hf:owner/name:../../x.gguf",
        "hf:owner/name:/etc/x.gguf",
        "hf:owner/name@main:a\\b.gguf",
        "hf:https://host/x",
        "hf:owner/näme",
        "owner/name",
    ],
)
def test_references_that_are_not_understood(reference: str) -> None:
    for call in (HubSource().locate, HubSource().pinned, pull):
        with pytest.raises(SourceError, match="not of the form hf:owner/name"):
            call(reference)


def test_a_hash_beside_a_commit_is_refused(hub: StubHub) -> None:
    with pytest.raises(SourceError, match="takes no sha256"):
        HubSource().pull(PINNED, sha256="0" * 64, progress=print)
    assert hub_api.COMMIT.fullmatch(COMMIT)
