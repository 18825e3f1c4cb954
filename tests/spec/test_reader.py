"""Rules 1 to 4: the form of a file, `extends`, and what merging keeps."""

import contextlib
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferflow_core.catalog import Catalog
from inferflow_core.errors import SpecError, UnknownEntry
from inferflow_core.spec import parse_spec, read_spec
from inferflow_core.spec.merge import merge, merge_root
from inferflow_core.spec.nodes import Array, Leaf, Node, Section
from inferflow_core.spec.reader import MAX_BYTES, MAX_DOTS, read_text, to_node


def plain(node: Node) -> Any:
    if isinstance(node, Section):
        return {key: plain(item) for key, item in node.items.items()}
    if isinstance(node, Array):
        return [plain(item) for item in node.items]
    assert isinstance(node, Leaf)
    return node.value


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", [("spec", "missing: a spec begins with `spec = 1`")]),
        ("spec = 2", [("spec", "found 2; this inferflow reads version 1")]),
        ("spec = true", [("spec", "found True; this inferflow reads version 1")]),
        ("spec = 1\nmodel = 3", [("model", "must be a table")]),
        (
            "spec = 1\n[modle]",
            [
                (
                    "modle",
                    "unknown key. Did you mean 'model'? (keys: spec, name, extends, match, "
                    "config, weights, tokenizer, generation, model, run)",
                )
            ],
        ),
        ("spec = 1\nname = 3", [("name", "expected a name, found 3")]),
        ("spec = 1\nextends = ['a']", [("extends", "expected a name, found ['a']")]),
        (
            "spec = 1\nmatch = { a = 1 }",
            [("match", 'must be a list of tables: match = [{ model_type = "…" }]')],
        ),
        ("spec = 1\nmatch = [{}]", [("match.0", "must be a table with at least one key")]),
        (
            "spec = 1\nmatch = [{ a = { b = 1 } }]",
            [("match.0.a", "must be a value or a list of values")],
        ),
        (
            "spec = 1\nmatch = [{ a = '${config.x}' }]",
            [("match.0.a", "a match compares values; it has no references")],
        ),
        ("spec = 1\n[model]\na = 2020-01-01", [("model.a", "a date is not a value of a spec")]),
        (
            f"spec = 1\n[model]\na = {2**63}",
            [("model.a", "a whole number beyond 64 bits")],
        ),
        (
            "spec = 1\n[run]\na = 2020-01-01\n[model]\nb = 10:00:00",
            [
                ("model.b", "a time is not a value of a spec"),
                ("run.a", "a date is not a value of a spec"),
            ],
        ),
    ],
)
def test_wrong_form(text: str, problems: list[tuple[str, str]]) -> None:
    with pytest.raises(SpecError) as caught:
        read_text(text, "t")
    assert [(one.path, one.message) for one in caught.value.problems] == problems


@pytest.mark.parametrize(
    "text",
    [
        "spec = 1\nx = " + "[" * 5000,
        "spec = 1\n[model]\nx = " + "{a=" * 3000 + "1" + "}" * 3000,
        "spec = 1\n[model]\nx = " + "[" * 60 + "]" * 60,
        "spec = 1\n[model]\n" + ".".join("a" * 100) + " = 1",
        "spec = 1\n[" + ".".join("a" * (MAX_DOTS + 2)) + "]",
        "spec = 1\n[model]\na = " + "1" * 5000,
        "spec = 1\n#" + "x" * MAX_BYTES,
        "spec = 1\n[model]\na = 1\na = 2",
        "spec = 1\n[model",
    ],
)
def test_hostile_text_is_a_spec_error(text: str) -> None:
    with pytest.raises(SpecError):
        read_text(text, "t")


TOML_BITS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "[",
                "]",
                "{",
                "}",
                "=",
                ".",
                ",",
                "\n",
                '"',
                "'",
                "spec = 1\n",
                "[model]\n",
                "[[",
                "a",
            ]
        ),
        st.text(string.printable, max_size=4),
        st.text(max_size=2),
    ),
    max_size=40,
).map("".join)


@given(TOML_BITS, st.sampled_from(["", "spec = 1\n", "spec = 1\n[model]\n"]))
@settings(max_examples=300, deadline=None)
def test_any_text_reads_or_is_a_spec_error(text: str, start: str) -> None:
    with contextlib.suppress(SpecError):
        read_text(start + text, "t")


def test_a_file_that_is_no_text(tmp_path: Path, toys: Catalog) -> None:
    file = tmp_path / "x.toml"
    file.write_bytes(b"spec = 1\n\xff\xfe")
    with pytest.raises(SpecError, match="cannot be read"):
        read_spec(file, toys)
    with pytest.raises(SpecError, match="cannot be read"):
        read_spec(tmp_path / "none.toml", toys)
    with pytest.raises(SpecError, match="cannot be read"):
        read_spec(tmp_path, toys)


def test_an_unknown_name(toys: Catalog) -> None:
    with pytest.raises(UnknownEntry):
        read_spec("llamma", toys)


MERGES: list[tuple[str, Any, Any, Any]] = [
    ("keys", {"a": 1, "b": 2}, {"b": 3, "c": 4}, {"a": 1, "b": 3, "c": 4}),
    ("deep", {"t": {"a": 1, "b": 2}}, {"t": {"b": 3}}, {"t": {"a": 1, "b": 3}}),
    ("lists replace", {"l": [1, 2]}, {"l": [3]}, {"l": [3]}),
    ("a table over a value", {"t": 1}, {"t": {"a": 1}}, {"t": {"a": 1}}),
    ("a value over a table", {"t": {"a": 1}}, {"t": 1}, {"t": 1}),
    ("a child's use", {"t": {"use": "a", "k": 1}}, {"t": {"use": "b"}}, {"t": {"use": "b"}}),
    ("the same use", {"t": {"use": "a", "k": 1}}, {"t": {"use": "a"}}, {"t": {"use": "a"}}),
    ("no use", {"t": {"use": "a", "k": 1}}, {"t": {"k": 2}}, {"t": {"use": "a", "k": 2}}),
    ("a child's case", {"t": {"use": "a"}}, {"t": {"case": 1}}, {"t": {"case": 1}}),
    ("a parent's case", {"t": {"case": 1, "of": {}}}, {"t": {"k": 2}}, {"t": {"k": 2}}),
    ("a child's function", {"t": {"k": 1}}, {"t": {"sqrt": 4}}, {"t": {"sqrt": 4}}),
    ("a parent's function", {"t": {"sqrt": 4}}, {"t": {"add": [1, 2]}}, {"t": {"add": [1, 2]}}),
]


@pytest.mark.parametrize(("name", "parent", "child", "expected"), MERGES)
def test_merge(name: str, parent: Any, child: Any, expected: Any) -> None:
    merged = merge(to_node(parent, "x", "p"), to_node(child, "x", "c"))
    assert plain(merged) == expected, name


def test_config_and_weights_merge_key_by_key() -> None:
    parent = read_text("spec = 1\n[weights]\nnames = 'n'\n[config]\ncase = 1\na = 2\n", "p").root
    child = read_text("spec = 1\n[weights]\nuse = 'gguf'\n[config]\na = 3\n", "c").root
    assert plain(merge_root(parent, child)) == {
        "weights": {"names": "n", "use": "gguf"},
        "config": {"case": 1, "a": 3},
    }


def test_origins_survive_a_merge() -> None:
    parent = to_node({"a": 1, "b": {"c": 1}}, "x", "parent")
    child = to_node({"b": {"d": 2}}, "x", "child")
    merged = merge(parent, child)
    assert isinstance(merged, Section)
    inner = merged.items["b"]
    assert isinstance(inner, Section)
    assert [merged.items["a"].origin, inner.items["c"].origin] == ["parent", "parent"]
    assert inner.items["d"].origin == "child"
    assert inner.items["d"].at == "x.b.d"


def test_a_chain_of_four(toys: Catalog, add_spec: Callable[[str, str], None]) -> None:
    add_spec("one", "spec = 1\nmatch = [{ x = 1 }]\n[model]\na = 1\nb = 1\nc = 1\nd = 1\n")
    add_spec("two", "spec = 1\nextends = 'one'\n[model]\nb = 2\nc = 2\nd = 2\n")
    add_spec("three", "spec = 1\nextends = 'two'\n[model]\nc = 3\nd = 3\n")
    spec = parse_spec("spec = 1\nname = 'me'\nextends = 'three'\n[model]\nd = 4\n", toys)
    assert plain(spec.root) == {"model": {"a": 1, "b": 2, "c": 3, "d": 4}}
    assert spec.name == "me"
    assert spec.chain == ("spec", "three", "two", "one")
    add_spec("four", "spec = 1\nextends = 'three'\n")
    with pytest.raises(SpecError, match="more than 4 files: spec -> four -> three -> two -> one"):
        parse_spec("spec = 1\nextends = 'four'\n", toys)


def test_a_circle_of_parents(toys: Catalog, add_spec: Callable[[str, str], None]) -> None:
    add_spec("a", "spec = 1\nextends = 'b'\n")
    add_spec("b", "spec = 1\nextends = 'a'\n")
    with pytest.raises(SpecError, match="a circle: a -> b -> a"):
        read_spec("a", toys)


def test_an_unknown_parent(toys: Catalog, add_spec: Callable[[str, str], None]) -> None:
    add_spec("llama", "spec = 1\n")
    with pytest.raises(SpecError, match=r"no spec named 'lama'\. Did you mean 'llama'\?"):
        parse_spec("spec = 1\nextends = 'lama'\n", toys)
