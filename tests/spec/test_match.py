"""Rule 14: which family a checkpoint belongs to."""

from collections.abc import Callable
from typing import Any

import pytest

from inferflow_core.catalog import Catalog, Entry
from inferflow_core.errors import UnknownEntry
from inferflow_core.spec import find_family

FAMILIES = {
    "llama": '{ model_type = ["llama", "yi"] }',
    "mixtral": '{ model_type = "mixtral" }, '
    '{ source = "gguf", model_type = "llama", num_experts = "present" }',
    "plain": '{ model_type = "gpt", window = "absent" }',
    "windowed": '{ model_type = "gpt", window = "present" }',
    "flagged": '{ model_type = "flag", on = true }',
    "numbered": '{ model_type = "flag", on = 1 }',
}


@pytest.mark.parametrize(
    ("config", "source", "expected"),
    [
        ({"model_type": "llama"}, "hf", "llama"),
        ({"model_type": "yi"}, "gguf", "llama"),
        ({"model_type": "mixtral"}, "hf", "mixtral"),
        ({"model_type": "llama", "num_experts": 8}, "gguf", "mixtral"),
        ({"model_type": "llama", "num_experts": 8}, "hf", "llama"),
        ({"model_type": "llama", "num_experts": None}, "gguf", "llama"),
        ({"model_type": "gpt"}, "hf", "plain"),
        ({"model_type": "gpt", "window": 4}, "hf", "windowed"),
        ({"model_type": "flag", "on": True}, "hf", "flagged"),
        ({"model_type": "flag", "on": 1}, "hf", "numbered"),
    ],
)
def test_most_keys_win(
    config: dict[str, Any],
    source: str,
    expected: str,
    toys: Catalog,
    add_spec: Callable[[str, str], None],
) -> None:
    for name, match in FAMILIES.items():
        add_spec(name, f"spec = 1\nmatch = [{match}]\n")
    assert find_family(config, source, toys) == expected


def test_a_tie_names_both(toys: Catalog, add_spec: Callable[[str, str], None]) -> None:
    add_spec("one", "spec = 1\nmatch = [{ model_type = 'x', a = 1 }]\n")
    add_spec("two", "spec = 1\nmatch = [{ model_type = 'x', b = 'present' }]\n")
    add_spec("less", "spec = 1\nmatch = [{ model_type = 'x' }]\n")
    with pytest.raises(UnknownEntry, match="'one' and 'two' both match this model with 2 keys"):
        find_family({"model_type": "x", "a": 1, "b": 2}, "hf", toys)


def test_match_is_not_inherited(toys: Catalog, add_spec: Callable[[str, str], None]) -> None:
    add_spec("parent", "spec = 1\nmatch = [{ model_type = 'x' }]\n")
    add_spec("child", "spec = 1\nextends = 'parent'\n")
    assert find_family({"model_type": "x"}, "hf", toys) == "parent"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"model_type": "lama"},
            "no spec matches model_type 'lama' (source hf). Did you mean 'llama'",
        ),
        ({}, "no spec matches a model without model_type (source hf)."),
        ({"model_type": ["llama"]}, "no spec matches a model without model_type (source hf)."),
    ],
)
def test_no_match(
    config: dict[str, Any], message: str, toys: Catalog, add_spec: Callable[[str, str], None]
) -> None:
    add_spec("llama", "spec = 1\nmatch = [{ model_type = 'llama' }]\n")
    add_spec("broken", "spec = 3\n")
    with pytest.raises(UnknownEntry) as caught:
        find_family(config, "hf", toys)
    assert message in str(caught.value)
    assert "These could not be read: broken." in str(caught.value)
    assert "--spec" in str(caught.value)


def test_a_plugins_family_never_takes_a_model_from_ours() -> None:
    ours = Catalog().entry("spec", "llama")
    broken = Entry("spec", "xyz.broken", "no_such_module_xyz:x.toml", "inferflow-plugin-xyz", "1")
    catalog = Catalog([ours, broken], disabled=())
    assert find_family({"model_type": "llama"}, "hf", catalog) == "llama"


def test_a_plugins_family_serves_what_ours_do_not(
    toys: Catalog, add_spec: Callable[[str, str], None]
) -> None:
    add_spec("xyz.new", "spec = 1\nmatch = [{ model_type = 'new' }]\n")
    add_spec("xyz.llama", "spec = 1\nmatch = [{ model_type = 'llama', source = 'hf' }]\n")
    entries = [Catalog().entry("spec", "llama")]
    catalog = Catalog(entries, disabled=())
    for name in ("xyz.new", "xyz.llama"):
        catalog.add("spec", name, toys.get("spec", name))
    assert find_family({"model_type": "new"}, "hf", catalog) == "xyz.new"
    assert find_family({"model_type": "llama"}, "hf", catalog) == "llama"
