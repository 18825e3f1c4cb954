"""Interfaces are checked as far as can be seen without running anything."""

from typing import Any

import pytest

from inferflow_core.catalog import Catalog
from inferflow_core.hooks import hookimpl
from inferflow_core.optable import Op
from inferflow_core.testing.interface import interface_problems


@pytest.mark.installed
def test_every_entry_of_ours_keeps_its_interface(installed: Catalog) -> None:
    ours = [each for each in installed.entries() if each.distribution == "inferflow-core"]
    found = {
        each.name: list(interface_problems(each.kind, each.name, obj, installed))
        for each in ours
        for obj in [installed.get(each.kind, each.name)]
    }
    assert len(found) > 30
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


class Misspelt:
    @hookimpl
    def inferflow_shut_down(self) -> None: ...


class Unmarked:
    def inferflow_shutdown(self) -> None: ...


class Argument:
    @hookimpl
    def inferflow_shutdown(self, nobody: Any) -> None: ...


class Loader:
    def __init__(self, folder: str) -> None: ...

    def recognises(self, path: str, deep: bool) -> bool:
        return False

    open = None


class Tokenizer:
    def open(self, checkpoint: Any, options: Any) -> None: ...


@pytest.mark.parametrize(
    ("kind", "name", "obj", "said"),
    [
        ("hook", "x.y", Misspelt(), "no hook is named 'inferflow_shut_down'. Did you mean"),
        ("hook", "x.y", Unmarked(), "not marked @hookimpl"),
        ("hook", "x.y", Argument(), "nobody"),
        ("hook", "x.y", object(), "has no hook"),
        ("op", "x.y", print, "is no inferflow_core.optable.Op"),
        ("op", "x.y", Op(lambda inputs, attrs: tuple(inputs)), "neither a numpy reference"),
        ("kernel", "x.y", print, "not named op@backend"),
        ("kernel", "rms_nrm@cpu", print, "Did you mean 'rms_norm'"),
        ("kernel", "rms_norm@gpu", print, "backend that is not installed: 'gpu'"),
        ("pass", "x.y", 1, "no function"),
        ("loader", "x.y", Loader(""), "is no class"),
        ("loader", "x.y", Loader, "cannot be called as the class of a loader"),
        ("loader", "x.y", Loader, "cannot be called as recognises(self, path"),
        ("loader", "x.y", Loader, "has no open(self, path"),
        ("tokenizer", "x.y", Tokenizer, "cannot be called as open"),
    ],
)
def test_what_is_wrong(installed: Catalog, kind: str, name: str, obj: Any, said: str) -> None:
    assert any(said in line for line in interface_problems(kind, name, obj, installed))
