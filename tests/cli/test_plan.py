"""`inferflow plan`: the report, the verdict, and the exit code. The numbers are held against real
programs in tests/runtime/test_memory.py."""

import json
from pathlib import Path
from typing import Any

import pytest
from inferflow_server.cli.plan import parse_size

from inferflow_core.errors import UsageError

NUMPY = ("--backend", "numpy")


@pytest.fixture
def planned(inferflow: Any, gguf_file: Path) -> Any:
    def call(*options: str) -> Any:
        done = inferflow("plan", str(gguf_file), *NUMPY, "--json", *options)
        return done.code, json.loads(done.out)

    return call


def test_as_text(inferflow: Any, gguf_file: Path) -> None:
    done = inferflow("plan", str(gguf_file), *NUMPY, "--memory", "1GB")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "model: 121,152 parameters, context 2048"
    assert lines[1] == "backend: numpy, as asked for"
    assert any(
        line.split() == ["q8_0", "16", "128.4", "kB", "f32", "483.3", "kB"] for line in lines
    )
    assert lines[-1].startswith("it fits: ")


def test_weights_and_cache(planned: Any) -> None:
    """2 layers of keys and values of 2 heads, 16 wide, in float32: 512 bytes a token."""
    code, report = planned("--context", "100", "--batch", "3")
    assert code == 0
    assert report["parameters"] * 4 == report["weight_bytes"]
    assert report["cache_token_bytes"] == 512
    assert report["cache_sequence_bytes"] == 512 * 112
    assert (report["cache_tokens"], report["cache_bytes"]) == (3 * 112, 512 * (3 * 112 + 16))
    parts = ("weight_bytes", "cache_bytes", "scratch_bytes")
    assert report["needed_bytes"] == sum(report[part] for part in parts)
    assert (report["context"], report["trained_context"]) == (100, 2048)


def test_what_will_not_fit_ends_with_8_and_still_reports(planned: Any, inferflow: Any) -> None:
    code, report = planned("--batch", "500", "--memory", "64MB")
    assert (code, report["fits"]) == (8, False)
    assert 0 < report["largest_batch"] < 500
    assert planned("--batch", str(report["largest_batch"]), "--memory", "64MB")[0] == 0


def test_the_hint_helps(inferflow: Any, gguf_file: Path) -> None:
    words = ("plan", str(gguf_file), *NUMPY, "--memory", "7MB")
    done = inferflow(*words, "--batch", "50")
    assert done.code == 8
    assert done.out.splitlines()[-1].startswith("it will not fit: ")
    assert done.err.startswith("Error: it will not fit: ")
    batch = done.err.partition("Hint: --batch ")[2].split()[0]
    assert inferflow(*words, "--batch", batch).code == 0
    assert "fewer" in inferflow(*words[:-1], "1kB").err


def test_the_graph_has_equal_layers_once(inferflow: Any, gguf_file: Path, planned: Any) -> None:
    graph = inferflow("plan", str(gguf_file), *NUMPY, "--graph").out
    assert graph.count("function layer") == 1
    assert graph.count("call layer0") == 2
    assert "linear(%" in graph
    assert "Axis(" not in graph
    assert planned("--graph")[1]["graph"] + "\n" == graph
    assert "graph" not in planned()[1]


def test_of_what_is_not_there(
    inferflow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strange_file: Path
) -> None:
    monkeypatch.setenv("INFERFLOW_CACHE", str(tmp_path))
    done = inferflow("plan", "smollm2-135m-instruct")
    assert (done.code, done.out) == (6, "")
    assert "Hint: inferflow pull smollm2-135m-instruct" in done.err
    assert inferflow("plan", "llama").code == 3
    assert inferflow("plan", str(strange_file)).code == 4
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1000", 1000), ("8GB", 8 * 10**9), ("1.5 gib", 3 << 29), ("512m", 512 * 10**6),
        ("2KiB", 2048), ("7B", 7),
    ],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "8 parsecs", "1e9", "9" * 99])
def test_no_sizes(text: str) -> None:
    with pytest.raises(UsageError, match="write a size as in 8GB"):
        parse_size(text)
