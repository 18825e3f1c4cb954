"""Hooks: found through the catalog, each contained."""

import inspect
from collections.abc import Callable
from typing import Any

import pluggy
import pytest

from inferflow_core import hooks as hooks_module
from inferflow_core.catalog import Catalog, Entry
from inferflow_core.hooks import Hooks, hookimpl


class Registers:
    @hookimpl
    def inferflow_register(self, catalog: Catalog) -> None:
        catalog.add("sampler", "mine.own", object)


def test_hooks_of_entries_are_found_and_broken_ones_left_out() -> None:
    reports: list[str] = []
    catalog = Catalog(entries=[Entry("hook", "bad", "no_such_module_of_ours:x", "d", "1")])
    catalog.add("hook", "good", Registers())
    hooks = Hooks(catalog, reports.append)
    assert len(reports) == 1
    assert "no_such_module_of_ours" in reports[0]
    hooks.call("inferflow_register", catalog=catalog)
    assert catalog.names("sampler") == ["mine.own"]
    hooks.call("inferflow_register", catalog=catalog)
    assert "inferflow_register of 'good' failed" in reports[1]


def test_a_hook_with_an_argument_that_does_not_exist_is_left_out() -> None:
    class Wrong:
        @hookimpl
        def inferflow_shutdown(self, nobody: Any) -> None: ...

    reports: list[str] = []
    catalog = Catalog(entries=[])
    catalog.add("hook", "wrong", Wrong())
    Hooks(catalog, reports.append)
    assert "'wrong'" in reports[0]
    with pytest.raises(pluggy.PluginValidationError):
        Hooks(Catalog(entries=[]), print).register(Wrong())


def test_an_object_that_pluggy_cannot_keep_is_left_out() -> None:
    catalog = Catalog(entries=[])
    catalog.add("hook", "unhashable", [])
    reports: list[str] = []
    assert Hooks(catalog, reports.append).call("inferflow_cli_commands") == []
    assert "'unhashable'" in reports[0]


def test_all_answer_and_one_that_fails_stops_nobody() -> None:
    class Plugin:
        def __init__(self, answer: Callable[[], Any]) -> None:
            self.answer = answer

        @hookimpl
        def inferflow_cli_commands(self) -> Any:
            return self.answer()

    reports: list[str] = []
    hooks = Hooks(Catalog(entries=[]), reports.append)
    hooks.register(Plugin(lambda: {"a": 1}), "first")
    hooks.register(Plugin(lambda: 1 // 0), "second")
    hooks.register(Plugin(lambda: {"b": 2}), "third")
    answers = hooks.call("inferflow_cli_commands")
    assert sorted(answers, key=str) == [{"a": 1}, {"b": 2}]
    assert reports == [
        "inferflow_cli_commands of 'second' failed: ZeroDivisionError: integer division or modulo "
        "by zero"
    ]


def test_no_hook_takes_the_first_result_and_each_is_documented() -> None:
    specs = {
        name: each.inferflow_spec
        for name, each in inspect.getmembers(hooks_module, inspect.isfunction)
        if hasattr(each, "inferflow_spec")
    }
    assert "inferflow_register" in specs
    for name, options in specs.items():
        assert not options["firstresult"], name
        assert inspect.getdoc(getattr(hooks_module, name)), name
