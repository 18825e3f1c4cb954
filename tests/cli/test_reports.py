"""`bench` and `eval`: what they measure, and the keys that others rely on."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inferflow_server.cli.eval_perplexity import cut, target_losses


def test_bench(inferflow: Any, model: Any) -> None:
    done = inferflow("bench", "m", "--prompt", "8", "--gen", "4", "--batch", "1,3", "--json")
    assert done.code == 0
    report = json.loads(done.out)
    assert [result["batch"] for result in report["results"]] == [1, 3]
    for result in report["results"]:
        for key in ("prefill_tokens_per_s", "decode_tokens_per_s", "first_token_s", "load_s"):
            assert result[key] >= 0
        assert 10 << 20 < result["peak_rss_bytes"] < 1 << 40
    measured = model.engine.requests[1:]
    assert [request.max_tokens for request in measured] == [4] * 4
    assert all(request.ignore_stop_ids and not request.reuse_prefix for request in measured)
    assert len({request.ids for request in measured}) == 4
    assert {len(request.ids) for request in measured} == {8}


@pytest.mark.parametrize("backend", ["numpy", "cpu"])
def test_bench_profiles(inferflow: Any, gguf_file: Path, backend: str) -> None:
    """Every op of every step is counted; what is left is what lies between them."""
    if backend == "cpu":
        pytest.importorskip("numba", reason="the cpu backend needs numba")
    how = ("--backend", backend, "--set", "run.threads=1", "--profile")
    sizes = ("--prompt", "8", "--gen", "5", "--batch", "1,2")
    done = inferflow("bench", str(gguf_file), *how, *sizes, "--json")
    assert done.code == 0, done.err
    layers = None
    for result in json.loads(done.out)["results"]:
        for phase, steps in (("prefill", 1), ("decode", 4)):
            ops = result["profile"][phase]
            assert sum(op["share"] for op in ops) == pytest.approx(1)
            assert ops[-1]["op"].startswith("between")
            assert all(op["seconds"] >= 0 for op in ops)
            (attention,) = [op for op in ops if op["op"] == "attention"]
            assert attention["path"] == "layers.*.mixer"
            assert attention["calls"] % steps == 0
            layers = layers or attention["calls"]
            assert attention["calls"] == layers * steps
            assert any(op["op"].startswith("linear") and op["path"] == "head" for op in ops)
    text = inferflow("bench", str(gguf_file), *how, *sizes).out
    assert "batch 2: decode" in text
    assert "between ops" in text


def test_bench_of_an_engine_that_does_not_tell(inferflow: Any, model: Any) -> None:
    done = inferflow("bench", "m", "--prompt", "8", "--gen", "4", "--profile")
    assert done.code == 2
    assert "does not tell" in done.err


def test_bench_as_text(inferflow: Any, model: Any) -> None:
    done = inferflow("bench", "--spec", "m", "--prompt", "8", "--gen", "4")
    assert done.out.split()[:2] == ["batch", "prefill_tokens_per_s"]


@pytest.mark.parametrize("batch", ["", "0", "1,,2", "x", "-1"])
def test_bench_refuses(inferflow: Any, model: Any, batch: str) -> None:
    assert inferflow("bench", "m", "--batch", batch).code == 2


def test_bench_beyond_the_context(inferflow: Any, model: Any) -> None:
    done = inferflow("bench", "m", "--prompt", "60", "--gen", "5")
    assert done.code == 2
    assert "context, 64" in done.err


def test_eval_logits(inferflow: Any, model: Any, tmp_path: Path) -> None:
    out = tmp_path / "x.npz"
    done = inferflow("eval", "logits", "m", "--ids", "1,2,3;4,5", "--out", str(out), "--json")
    assert done.code == 0
    assert json.loads(done.out)["shapes"] == [[3, 8], [2, 8]]
    with np.load(out) as arrays:
        assert arrays["logits_0"].shape == (3, 8)
        assert arrays["logits_1"].dtype == np.float32
        assert arrays["ids_1"].tolist() == [4, 5]
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_eval_logits_writes_whole_files_or_none(
    inferflow: Any, model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "exactly-this-name"
    out.write_bytes(b"before")

    def fails(file: Any, **arrays: Any) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(np, "savez", fails)
        assert inferflow("eval", "logits", "m", "--ids", "1", "--out", str(out)).code == 1
    assert out.read_bytes() == b"before"
    assert inferflow("eval", "logits", "m", "--ids", "1", "--out", str(out)).code == 0
    assert out.read_bytes()[:2] == b"PK"
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("ids", ["", "1,x", "1;;2", "1.5"])
def test_eval_logits_refuses(inferflow: Any, model: Any, tmp_path: Path, ids: str) -> None:
    done = inferflow("eval", "logits", "m", "--ids", ids, "--out", str(tmp_path / "x"))
    assert done.code == 2
    assert not list(tmp_path.iterdir())


def test_eval_logits_into_nowhere(inferflow: Any, model: Any, tmp_path: Path) -> None:
    out = tmp_path / "no" / "x.npz"
    assert inferflow("eval", "logits", "m", "--ids", "1", "--out", str(out)).code == 2


def test_eval_perplexity(inferflow: Any, model: Any, tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("aaaaaaaab" * 4)
    asked = ["eval", "perplexity", "m", "--file", str(file), "--window", "8", "--json"]
    report = json.loads(inferflow(*asked).out)
    assert (report["windows"], report["tokens"], report["window"]) == (4, 12, 8)
    first = json.loads(inferflow(*asked, "--windows", "1").out)
    assert (first["windows"], first["tokens"]) == (1, 3)
    assert first["perplexity"] == pytest.approx(10 / 3)


def test_the_windows() -> None:
    assert cut(range(20), 8, None) == [range(8), range(8, 16)]
    assert cut(range(20), 8, 1) == [range(8)]
    assert cut(range(7), 8, None) == []


def test_targets_are_257_to_511_of_512() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(512, 11)).astype(np.float32)
    ids = rng.integers(0, 11, 512)
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(axis=1, keepdims=True)
    expected = [-math.log(p[i - 1, ids[i]]) for i in range(257, 512)]
    assert target_losses(logits, list(ids)) == pytest.approx(expected)


@pytest.mark.parametrize("content", [b"short", b"\xff" * 99])
def test_eval_perplexity_refuses(
    inferflow: Any, model: Any, tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "text"
    file.write_bytes(content)
    assert inferflow("eval", "perplexity", "m", "--file", str(file)).code == 2
