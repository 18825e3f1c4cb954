"""The filled result as TOML: valid, complete, and each value with its origin."""

import json
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferflow_core.catalog import Catalog
from inferflow_core.spec import Plan, Spec, parse_spec, resolve, show, to_json
from inferflow_core.spec.nodes import Section
from inferflow_core.spec.reader import to_node

PARENT = """spec = 1
[config]
eps = 1e-6
[weights]
names = { hf = "hf_llama" }
[generation]
stop = "${config.eos?}"
[model]
use = "toy"
hidden = "${config.hidden}"
vocab = 16
depth = 3
norm = { use = "rms_norm", eps = "${config.eps}" }
[model.layer]
use = "pre_norm"
norm = "${model.norm}"
mixer = { use = "attention", heads = 2, position = { use = "rope", scaling = "${config.s?}" } }
ffn = { use = "mlp", act = "gelu_new" }
[model.heads]
main = { use = "linear_head" }
"""
CHILD = """spec = 1
name = "child"
extends = "parent"
[model.layer.mixer]
heads = 4
window = { case = { first = 1 }, of = { true = 8, false = "${none}" } }
"""
CONFIG: dict[str, Any] = {"hidden": 8, "eos": [2, 3], "s": {"type": "linear", "factor": 2.0}}


@pytest.fixture
def child(toys: Catalog, add_spec: Callable[[str, str], None]) -> Spec:
    add_spec("parent", PARENT)
    return parse_spec(CHILD, toys, label="child.toml")


@pytest.fixture
def plan(child: Spec, toys: Catalog) -> Plan:
    overrides = ["model.norm.unit_offset=true", "run.max_queue=3"]
    return resolve(child, config=CONFIG, source="hf", catalog=toys, overrides=overrides)


def test_every_line_has_its_origin(plan: Plan) -> None:
    lines = [line.partition("# ") for line in show(plan).splitlines()]
    shown = {value.strip(): origin for value, _, origin in lines}
    assert shown["vocab = 16"] == "parent"
    assert shown["hidden = 8"] == "parent ${config.hidden} <- checkpoint"
    assert shown["heads = 4"] == "child.toml"
    assert shown["eps = 1e-06"] == "parent ${config.eps} <- parent [config]"
    assert shown["unit_offset = true"] == "--set"
    assert shown["max_queue = 3"] == "--set"
    assert shown["theta = 10000.0"] == "default"
    assert shown['act = "gelu_tanh"'] == "parent"
    assert shown['scaling = { type = "linear", factor = 2.0 }'].endswith("<- checkpoint")
    assert shown["stop = [2, 3]"] == "parent ${config.eos?} <- checkpoint"
    assert "# hidden: absent" in show(plan)


def test_what_is_shown_is_a_spec_of_the_same_plan(plan: Plan, toys: Catalog) -> None:
    text = show(plan)
    again = resolve(parse_spec(text, toys), config={}, source="hf", catalog=toys)
    assert again.model == plan.model
    assert again.run == plan.run
    assert again.generation == plan.generation == {"stop": (2, 3)}
    assert again.names == plan.names
    assert 'case = ["kind0", "kind1", "kind1"]' in text


def test_a_merged_spec_is_shown_with_its_references(child: Spec) -> None:
    parsed = tomllib.loads(show(child))
    assert parsed["model"]["layer"]["norm"] == "${model.norm}"
    assert parsed["model"]["layer"]["mixer"]["heads"] == 4
    assert "heads = 4                       # child.toml" in show(child)


def test_json_has_values_origins_and_every_layer(plan: Plan) -> None:
    found = json.loads(json.dumps(to_json(plan)))
    layers = found["tables"]["model"]["layer"]
    assert [layer["mixer"]["window"] for layer in layers] == [8, None, None]
    assert found["origins"]["model.layer.2.mixer.heads"] == "child.toml"
    assert found["origins"]["model.layer.1.mixer.position.theta"] == "default"
    assert found["chain"] == ["child.toml", "parent"]


VALUES = st.recursive(
    st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), VALUES, max_size=4), st.text(), st.text())
@settings(max_examples=200, deadline=None)
def test_shown_tables_parse_to_what_they_were(table: Any, name: str, origin: str) -> None:
    root = Section({"model": to_node(table, "model", origin)}, "", origin)
    parsed = tomllib.loads(show(Spec(name, origin, root, (origin,))))
    assert parsed["model"] == table
    assert parsed["name"] == name


def test_layers_that_are_equal_are_one_table(toys: Catalog) -> None:
    plan = resolve(parse_spec(PARENT, toys), config=CONFIG, source="hf", catalog=toys)
    assert "case =" not in show(plan)
    model: Any = plan.model
    assert len(model.layers) == 3
    assert model.layers[0] is model.layers[2]
