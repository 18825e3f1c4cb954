"""`inferflow inspect --passes` and `--pass`: what a backend's passes do to a model's graph."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numba", reason="the cpu backend has the passes")

SKIPPED = 'run.skip_passes=["fuse_gates"]'


def test_passes_are_listed_with_what_is_left(inferflow: Any, tiny: Path) -> None:
    model = str(tiny / "model.gguf")
    done = inferflow("inspect", model, "--passes", "--backend", "cpu", "--json")
    report = json.loads(done.out)
    names = [row["pass"] for row in report["passes"]]
    assert names == ["decompose", "fuse_gates", "fuse_residual", "share_inputs"]
    ops = [row["ops"] for row in report["passes"]]
    assert [b - a for a, b in zip(ops[1:], ops, strict=False)] == [2, 2, 0]
    assert not any(row["skipped"] for row in report["passes"])
    text = inferflow("inspect", model, "--passes", "--backend", "cpu").out
    assert f"fuse_gates     {ops[1]} ops  glu(linear(x, gate), linear(x, up)) becomes" in text


def test_a_pass_that_is_left_out_is_said_to_be(inferflow: Any, tiny: Path) -> None:
    model = str(tiny / "model.gguf")
    done = inferflow("inspect", model, "--passes", "--backend", "cpu", "--set", SKIPPED)
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines if "skipped" in line] == ["fuse_gates"]


def test_the_graph_before_and_after(inferflow: Any, tiny: Path) -> None:
    options = (str(tiny / "model.gguf"), "--backend", "cpu", "--pass", "fuse_gates")
    before, after = inferflow("inspect", *options).out.split("after fuse_gates")
    assert before.startswith("before fuse_gates")
    assert ("glu(" in before, "gated_linear(" in before) == (True, False)
    assert ("glu(" in after, "gated_linear(" in after) == (False, True)
    report = json.loads(inferflow("inspect", *options, "--json").out)
    assert report["before"] in before
    assert report["after"] in after
    same = json.loads(inferflow("inspect", *options, "--json", "--set", SKIPPED).out)
    assert same["before"] == same["after"] == report["before"]


def test_a_backend_without_the_pass(inferflow: Any, tiny: Path) -> None:
    model = str(tiny / "model.gguf")
    done = inferflow("inspect", model, "--backend", "cpu", "--pass", "fuse_gate")
    assert done.code == 2
    assert "Did you mean 'fuse_gates'?" in done.err
    done = inferflow("inspect", model, "--backend", "numpy", "--pass", "fuse_gates")
    assert done.code == 2
    assert "its passes: none" in done.err


def test_a_name_that_is_no_pass_is_refused(inferflow: Any, tiny: Path) -> None:
    done = inferflow("inspect", str(tiny / "model.gguf"), "--set", 'run.skip_passes=["fuse"]')
    assert done.code == 3
    assert "no pass named 'fuse'" in done.err


def test_a_spec_alone_has_no_graph(inferflow: Any) -> None:
    done = inferflow("inspect", "llama", "--passes")
    assert done.code == 6
    assert "is not here" in done.err
