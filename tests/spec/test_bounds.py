"""Nothing that a spec or a config says makes the engine crash, hang or grow."""

import contextlib
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferflow_core.catalog import Catalog
from inferflow_core.errors import SpecError
from inferflow_core.spec import Spec, check, parse_spec, resolve
from inferflow_core.spec.nodes import Section
from inferflow_core.spec.reader import to_node

HEAD = """spec = 1
[weights]
names = "hf_llama"
[model]
use = "toy"
hidden = 8
vocab = 16
"""
LAYER = """
[model.layer]
use = "pre_norm"
mixer = { use = "attention", heads = 1 }
ffn = { use = "mlp", act = "silu" }
"""


def test_many_layers_are_quick(toys: Catalog) -> None:
    begin = time.perf_counter()
    text = HEAD + "depth = 4096\n" + LAYER
    plan = resolve(parse_spec(text, toys), config={}, source="hf", catalog=toys)
    model: Any = plan.model
    assert len(model.layers) == 4096
    assert time.perf_counter() - begin < 2


def test_tables_that_double_and_double_are_stopped(toys: Catalog) -> None:
    position = "{ use = 'rope', scaling = '${model.t0}' }"
    text = HEAD + "depth = 1\n" + LAYER.replace("heads = 1", f"heads = 1, position = {position}")
    for k in range(30):
        text += f"[model.t{k}]\na = '${{model.t{k + 1}?}}'\nb = '${{model.t{k + 1}?}}'\n"
    begin = time.perf_counter()
    with pytest.raises(SpecError, match="too many values"):
        resolve(parse_spec(text, toys), config={}, source="hf", catalog=toys)
    assert time.perf_counter() - begin < 10


def test_numbers_that_square_and_square_are_stopped(toys: Catalog) -> None:
    lines = ["[config]", "k0 = 9"]
    lines += [
        f"k{i} = {{ mul = ['${{config.k{i - 1}}}', '${{config.k{i - 1}}}'] }}" for i in range(1, 20)
    ]
    text = HEAD.replace("hidden = 8", "hidden = '${config.k19}'") + "depth = 1\n" + LAYER
    text += "\n".join(lines)
    with pytest.raises(SpecError, match=r"beyond 64 bits|too deep"):
        resolve(parse_spec(text, toys), config={}, source="hf", catalog=toys)


MANY = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
KEYS = st.sampled_from(["use", "case", "of", "else", "true", "absent", "0"]) | st.sampled_from(
    ["first", "every", "among", "add", "sqrt", "layer", "mixer", "ffn", "norm", "depth", "eps"]
)
WORDS = st.sampled_from(["toy", "rms_norm", "pre_norm", "attention", "mlp", "silu", "rope"])
PATHS = ["model.norm", "model.layer", "model.layer.mixer", "model.layer.ffn.of.true", "none"]
CONFIG_PATHS = ["config.a?", "config.b", "config.list?", "weights.source", "x"]
REFERENCES = st.sampled_from([*PATHS, *CONFIG_PATHS]).map(lambda path: f"${{{path}}}")
LEAVES = st.booleans() | st.integers(-3, 9) | st.floats() | WORDS | REFERENCES
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=16,
)
SLOTS = st.sampled_from(
    ["layer", "layer.mixer", "layer.ffn", "layer.norm", "norm", "depth", "layer.mixer.position"]
)
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.just("${x}"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


@given(
    st.lists(st.tuples(SLOTS, TREES), min_size=1, max_size=3),
    st.dictionaries(st.sampled_from(["a", "b", "list", "model_type"]), DATA),
)
@MANY
def test_any_tree_resolves_or_is_a_spec_error(
    toys: Catalog, trees: list[tuple[str, Any]], config: dict[str, Any]
) -> None:
    text = HEAD + "depth = 2\nnorm = { use = 'rms_norm' }\n" + LAYER
    spec = parse_spec(text, toys)
    overrides = {f"model.{slot}": tree for slot, tree in trees}
    with contextlib.suppress(SpecError):
        resolve(spec, config=config, source="hf", catalog=toys, overrides=overrides)


@given(TREES)
@MANY
def test_any_tree_is_checked(toys: Catalog, tree: Any) -> None:
    root = Section({"model": to_node(tree, "model", "t")}, "", "t")
    with pytest.raises(SpecError, match="weights"):
        check(Spec("t", "t", root, ("t",)), toys)
