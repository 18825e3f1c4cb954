"""What may be imported from where is a promise; it changes here or not at all."""

import importlib.util
import re
import tomllib
from pathlib import Path

import inferflow_core
from inferflow_core import spec, testing
from inferflow_core.catalog import GROUPS, known

PUBLIC = {
    inferflow_core: {"__version__", "load"},
    spec: {
        *("Plan", "Run", "Spec", "check", "find_family", "parse_spec", "read_spec", "resolve"),
        *("show", "to_json"),
    },
    testing: {
        *("BackendSuite", "BlockSuite", "EmbeddingSuite", "FFNSuite", "FormatSuite", "HeadSuite"),
        *("LayerSuite", "LoaderSuite", "MixerSuite", "ModelSuite", "NamesSuite", "NormSuite"),
        *("EngineSuite", "HookSuite", "KernelSuite", "OpSuite", "PassSuite"),
        *("PositionSuite", "RouterSuite", "SamplerSuite", "SourceSuite", "SpecSuite"),
        *("TokenizerSuite",),
    },
}


def test_public_names_are_these():
    for module, names in PUBLIC.items():
        assert set(module.__all__) == names, module.__name__
        assert len(module.__all__) == len(names)
        assert all(hasattr(module, name) for name in names)


def modules_of_the_page(checkout: Path) -> set[str]:
    """What docs/versions.md promises to keep."""
    page = (checkout / "docs" / "versions.md").read_text("utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `inferflow_")]
    return {name for row in rows for name in re.findall(r"`([\w.]+)`", row)}


def test_public_modules_exist_and_are_all_that_plugins_are_shown(checkout: Path) -> None:
    """Those that `plugins new` writes and those of the tutorial import nothing else of ours."""
    public = modules_of_the_page(checkout)
    assert len(public) > 12
    assert [name for name in public if not importlib.util.find_spec(name)] == []
    template = checkout / "server" / "inferflow_server" / "cli" / "template"
    texts = [file.read_text("utf-8") for file in template.rglob("*.py.txt")]
    texts.append((checkout / "docs" / "write-a-plugin.md").read_text("utf-8"))
    used = {
        name
        for text in texts
        for name in re.findall(r"^from (inferflow_(?!plugin_)\w[\w.]*)", text, re.M)
    }
    assert len(used) > 8
    assert {
        name for name in used if name.partition(".testing")[0] not in {*public, "inferflow_core"}
    } == set()


def test_known_names_of_the_example_are_its_entries(checkout: Path) -> None:
    example = checkout / "plugins" / "inferflow-plugin-example"
    project = tomllib.loads((example / "pyproject.toml").read_text("utf-8"))["project"]
    groups = {kind: project["entry-points"].get(group, {}) for kind, group in GROUPS.items()}
    del groups["kernel"]  # no spec names a kernel
    assert known() == {
        kind: dict.fromkeys(names, project["name"]) for kind, names in groups.items() if names
    }
