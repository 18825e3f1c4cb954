"""Names come from metadata; each of the ways a name can be wrong has an error of its own."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from inferflow_core.catalog import Catalog, Entry, name_and_version
from inferflow_core.errors import BrokenEntry, EntryNotInstalled, UnknownEntry


def entry(kind: str, name: str, value: str, distribution: str = "xyz", problem: str = "") -> Entry:
    return Entry(kind, name, value, distribution, "1.2", problem)


GOOD = entry("norm", "xyz.good", "collections:OrderedDict")


def test_loads_only_what_is_asked_for() -> None:
    catalog = Catalog([entry("norm", "xyz.bad", "no_such_module:X"), GOOD])
    assert catalog.get("norm", "xyz.good").__name__ == "OrderedDict"
    assert catalog.names("norm") == ["xyz.bad", "xyz.good"]


def test_an_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(UnknownEntry, match=r"no norm named 'xyz\.god'\. Did you mean 'xyz\.good'"):
        Catalog([GOOD]).get("norm", "xyz.god")


def test_a_name_of_another_kind_says_so() -> None:
    with pytest.raises(UnknownEntry, match=r"'xyz\.good' is a norm, not an ffn"):
        Catalog([GOOD]).get("ffn", "xyz.good")


def test_a_known_plugin_says_what_to_install() -> None:
    with pytest.raises(EntryNotInstalled, match="pip install inferflow-plugin-example"):
        Catalog([]).get("norm", "example.scaled_norm")
    old = entry("norm", "example.old", "a:B", "inferflow-plugin-example")
    with pytest.raises(
        EntryNotInstalled, match=r"another version .* pip install --upgrade inferflow"
    ):
        Catalog([old]).get("norm", "example.scaled_norm")


def test_a_plugin_that_fails_to_import_is_named_with_its_cause() -> None:
    catalog = Catalog([entry("norm", "xyz.bad", "no_such_module:X")])
    with pytest.raises(BrokenEntry) as error:
        catalog.get("norm", "xyz.bad")
    assert "'xyz.bad' of xyz 1.2 failed to import: ModuleNotFoundError" in str(error.value)
    assert isinstance(error.value.__cause__, ModuleNotFoundError)


def test_two_claims_to_a_name_name_both() -> None:
    catalog = Catalog([GOOD, entry("norm", "xyz.good", "a:B", "abc")])
    with pytest.raises(BrokenEntry, match="claimed by abc and xyz"):
        catalog.get("norm", "xyz.good")
    assert [e.status for e in catalog.entries()] == ["claimed by abc and xyz"] * 2


def test_disabled_distributions_cannot_be_used() -> None:
    catalog = Catalog([GOOD], disabled=["xyz"])
    with pytest.raises(BrokenEntry, match="disabled"):
        catalog.get("norm", "xyz.good")


def test_another_interface_version_is_refused() -> None:
    module = type(sys)("old_plugin")
    module.Old = type("Old", (), {"api": 99})
    sys.modules["old_plugin"] = module
    try:
        with pytest.raises(BrokenEntry, match="written for plugin interface 99"):
            Catalog([entry("norm", "xyz.old", "old_plugin:Old")]).get("norm", "xyz.old")
    finally:
        del sys.modules["old_plugin"]


OLD = """
class Good: ...
class Old(Good):
    deprecated = "use xyz.good instead; goes in 0.5"
class Heir(Old): ...
def function(): ...
function.deprecated = "use a class"
"""
ASK = """
from inferflow_core.catalog import Catalog, Entry
names = ("Good", "Old", "Heir", "function")
catalog = Catalog([Entry("op", f"xyz.{n}", f"old_names:{n}", "xyz", "1.2") for n in names])
for _ in range(2):
    for name in names:
        assert catalog.get("op", f"xyz.{name}")
"""


def test_a_deprecated_name_works_and_is_noted_once_on_stderr(tmp_path: Path) -> None:
    (tmp_path / "old_names.py").write_text(OLD)
    done = subprocess.run(
        [sys.executable, "-c", ASK], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "op 'xyz.Old' (xyz 1.2) is deprecated: use xyz.good instead; goes in 0.5",
        "op 'xyz.function' (xyz 1.2) is deprecated: use a class",
    ]


def test_adding_twice_is_refused() -> None:
    catalog = Catalog([])
    catalog.add("norm", "a", dict)
    assert catalog.get("norm", "a") is dict
    with pytest.raises(BrokenEntry, match="already registered"):
        catalog.add("norm", "a", list)


@pytest.mark.installed
def test_undotted_names_are_ours(installed: Catalog) -> None:
    ours = [e for e in installed.entries() if e.distribution == "inferflow-core"]
    assert len(ours) > 30
    assert all("." in e.name or e.problem for e in installed.entries() if e not in ours)


def test_names_and_versions_are_those_of_importlib() -> None:
    for distribution in importlib.metadata.distributions():
        expected = (distribution.name, distribution.version)
        assert name_and_version(distribution) == expected
