"""Every operation of a name map, against the same done in plain numpy."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from inferflow_runtime import weights
from inferflow_runtime.weights import bind_weights

from inferflow_core.errors import BindingError
from inferflow_core.interfaces import TensorInfo
from inferflow_core.spec.binding import bind
from inferflow_core.spec.names import NameMap, Rule, Template

RNG = np.random.default_rng(7)


class Stored:
    """A checkpoint in memory; counts what is read."""

    path = Path("memory")
    source = "hf"
    config: Mapping[str, Any] = {}

    def __init__(self, catalog, tensors: Mapping[str, tuple[str, np.ndarray]]) -> None:
        self.data = {}
        self.tensors = {}
        self.reads: list[str] = []
        for name, (format, values) in tensors.items():
            data = catalog.get("format", format)().pack(values)
            self.data[name] = data
            self.tensors[name] = TensorInfo(name, values.shape, format, data.nbytes)

    def read(self, name: str) -> np.ndarray:
        self.reads.append(name)
        return self.data[name]

    def close(self) -> None: ...


@pytest.fixture
def run(installed):
    """run(rules, params, tensors): the weights and the checkpoint."""

    def run(rules, params, tensors, **keys):
        checkpoint = Stored(installed, tensors)
        names = NameMap(
            "m", tuple(Rule(Template(k), tuple(map(Template, t)), **o) for k, t, o in rules)
        )
        shapes = {path: SimpleNamespace(shape=shape) for path, shape in params.items()}
        bindings = bind(names, shapes, checkpoint.tensors, **keys)
        return bind_weights(bindings, checkpoint, installed), checkpoint

    return run


def numbers(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def unpacked(catalog, weight) -> np.ndarray:
    return catalog.get("format", weight.format)().unpack(weight.packed(), weight.shape)


def test_a_tensor_that_nothing_is_done_to_is_the_files_own_bytes(run):
    x = numbers(4, 32)
    bound, checkpoint = run([("a", ["x"], {})], {"x": (4, 32)}, {"a": ("q8_0", x)})
    assert checkpoint.reads == []
    weight = bound["x"]
    assert (weight.format, weight.shape) == ("q8_0", (4, 32))
    assert np.shares_memory(weight.packed(), checkpoint.data["a"])
    assert weight.packed().shape == (4, 34)
    np.testing.assert_allclose(weight.values(), x, atol=0.02)


OPERATIONS = {
    "squeeze": ((3, 1, 4), {"squeeze": True}, lambda x: x.reshape(3, 4)),
    "transpose": ((3, 4), {"transpose": True}, lambda x: x.T),
    "transpose of three axes": ((2, 3, 4), {"transpose": True}, lambda x: x.swapaxes(1, 2)),
    "squeeze, transpose": ((3, 4, 1), {"squeeze": True, "transpose": True}, lambda x: x[..., 0].T),
    "add": ((5,), {"add": -1.0}, lambda x: x - 1),
    "unit_rows": (
        (3, 4),
        {"unit_rows": True},
        lambda x: x / np.linalg.norm(x, axis=1, keepdims=True),
    ),
    "add before unit_rows": (
        (3, 4),
        {"add": 2.0, "unit_rows": True},
        lambda x: (x + 2) / np.linalg.norm(x + 2, axis=1, keepdims=True),
    ),
}


@pytest.mark.parametrize("format", ["f32", "f16"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_operations_on_one_tensor(run, installed, operation, format):
    shape, operations, expect = OPERATIONS[operation]
    x = numbers(*shape).astype(np.float16).astype(np.float32)
    expected = expect(x)
    bound, _ = run([("a", ["x"], operations)], {"x": expected.shape}, {"a": (format, x)})
    weight = bound["x"]
    computed = "add" in operations or "unit_rows" in operations
    assert weight.format == ("f32" if computed else format)
    np.testing.assert_allclose(weight.values(), expected, rtol=1e-6)
    assert weight.values().flags.c_contiguous
    assert weight.values().dtype == np.float32
    np.testing.assert_array_equal(unpacked(installed, weight), weight.values())


def test_a_row_of_zeros_stays_zero_under_unit_rows(run):
    x = np.zeros((2, 4), np.float32)
    bound, _ = run([("a", ["x"], {"unit_rows": True})], {"x": (2, 4)}, {"a": ("f32", x)})
    np.testing.assert_array_equal(bound["x"].values(), x)


@pytest.mark.parametrize("format", ["f32", "bf16", "q8_0"])
def test_split_rows_keep_the_files_format(run, installed, format):
    whole = numbers(6, 32)
    params = {"q": (3, 32), "k": (1, 32), "v": (2, 32)}
    bound, checkpoint = run([("qkv", list("qkv"), {})], params, {"qkv": (format, whole)})
    stored = installed.get("format", format)().unpack(checkpoint.data["qkv"], whole.shape)
    for path, rows in zip("qkv", np.split(stored, [3, 4]), strict=True):
        assert bound[path].format == format
        np.testing.assert_array_equal(bound[path].values(), rows)
        np.testing.assert_array_equal(unpacked(installed, bound[path]), rows)


@pytest.mark.parametrize("format", ["f32", "q8_0"])
def test_groups_cut_each_run_and_join_the_pieces(run, installed, format):
    """Two kv heads: rows are q0 q1 k v, q2 q3 k v (Falcon-40B), each head of 2 rows."""
    heads = [numbers(2, 32) for _ in range(8)]
    q0, q1, k0, v0, q2, q3, k1, v1 = heads
    params = {"q": (8, 32), "k": (4, 32), "v": (4, 32)}
    rules = [("qkv", list("qkv"), {"groups": "${config.kv}"})]
    tensors = {"qkv": (format, np.concatenate(heads))}
    bound, _ = run(rules, params, tensors, config={"kv": 2})
    for path, parts in {"q": (q0, q1, q2, q3), "k": (k0, k1), "v": (v0, v1)}.items():
        expected = np.concatenate(parts)
        np.testing.assert_allclose(bound[path].values(), expected, atol=0.03)
        np.testing.assert_array_equal(unpacked(installed, bound[path]), bound[path].values())
        assert bound[path].format == format


def test_groups_that_alternate_and_a_bias(run):
    """Gate and up alternate row by row."""
    x, b = numbers(6, 4), numbers(6)
    rules = [("f.{p}", ["gate.{p}", "up.{p}"], {"groups": 3})]
    params = {"gate.weight": (3, 4), "up.weight": (3, 4), "gate.bias": (3,), "up.bias": (3,)}
    bound, _ = run(rules, params, {"f.weight": ("f32", x), "f.bias": ("f16", b)})
    np.testing.assert_array_equal(bound["gate.weight"].values(), x[0::2])
    np.testing.assert_array_equal(bound["up.weight"].values(), x[1::2])
    np.testing.assert_array_equal(bound["up.bias"].values(), b.astype(np.float16)[1::2])
    assert bound["up.bias"].format == "f16"


@pytest.mark.parametrize(("format", "kept"), [("f16", "f16"), ("q8_0", "f32")])
def test_split_along_the_last_axis_needs_the_values_of_a_block_format(run, installed, format, kept):
    x = numbers(4, 64)
    rules = [("a", ["x", "y"], {"axis": 1, "groups": 2})]
    bound, _ = run(rules, {"x": (4, 16), "y": (4, 48)}, {"a": (format, x)})
    assert bound["x"].format == kept
    expected = np.concatenate([x[:, 0:8], x[:, 32:40]], axis=1)
    np.testing.assert_allclose(bound["x"].values(), expected, atol=0.03)
    np.testing.assert_array_equal(unpacked(installed, bound["x"]), bound["x"].values())


def test_all_operations_together_go_in_their_order(run):
    x = numbers(4, 1, 6)
    operations = {"squeeze": True, "transpose": True, "groups": 2, "add": 1.0, "unit_rows": True}
    bound, _ = run([("a", ["x", "y"], operations)], {"x": (2, 4), "y": (4, 4)}, {"a": ("f32", x)})
    rows = x[:, 0].T[[1, 2, 4, 5]] + 1
    expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(bound["y"].values(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("formats", "kept"),
    [(("f32",) * 3, "f32"), (("q8_0",) * 3, "q8_0"), (("q8_0", "f32", "f16"), "f32")],
)
def test_stacked_experts(run, installed, formats, kept):
    experts = [numbers(2, 32) for _ in range(3)]
    tensors = {f"e.{j}": (formats[j], experts[j]) for j in (2, 0, 1)}
    bound, _ = run([("e.{j}", ["experts"], {"stack": "j"})], {"experts": (3, 2, 32)}, tensors)
    weight = bound["experts"]
    assert weight.format == kept
    np.testing.assert_allclose(weight.values(), np.stack(experts), atol=0.03)
    np.testing.assert_array_equal(unpacked(installed, weight), weight.values())
    assert len(weight.packed()) == 6


def tied(run, first, second, **keys):
    rules = [("tok", ["embed"], {}), ("out", ["head"], keys)]
    tensors = {"tok": first, "out": second}
    return run(rules, {"embed": first[1].shape}, tensors, aliases={"head": "embed"})


def test_equal_duplicates_are_compared_and_dropped(run, monkeypatch):
    monkeypatch.setattr(weights, "COMPARED_AT_ONCE", 64)
    x = numbers(9, 32)
    x[3, 3] = np.nan
    bound, checkpoint = tied(run, ("f32", x), ("f32", x.copy()))
    assert set(bound) == {"embed"}
    assert set(checkpoint.reads) == {"tok", "out"}
    zeros = np.zeros((2, 2), np.float32)
    tied(run, ("f32", zeros), ("f16", -zeros))


@pytest.mark.parametrize("format", ["f32", "f16"])
def test_different_duplicates_are_an_error_with_the_place(run, monkeypatch, format):
    monkeypatch.setattr(weights, "COMPARED_AT_ONCE", 64)
    x = RNG.integers(-9, 9, (9, 32)).astype(np.float32)
    y = x.copy()
    x[7, 5], y[7, 5] = 1.5, 2.5
    with pytest.raises(BindingError) as caught:
        tied(run, ("f32", x), (format, y))
    assert caught.value.message == (
        "tok and out both hold embed, but they differ: row 7, column 5 is 1.5 in the one, "
        "2.5 in the other"
    )


def test_a_duplicate_that_has_to_be_computed_is_compared_as_computed(run):
    x = numbers(4, 4)
    tied(run, ("f32", x), ("f32", x.T.copy()), transpose=True)
    with pytest.raises(BindingError, match="differ"):
        tied(run, ("f32", x), ("f32", x.copy()), transpose=True)
