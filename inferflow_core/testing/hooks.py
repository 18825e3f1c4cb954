"""Suite of hooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from inferflow_core.catalog import Catalog
from inferflow_core.hooks import Hooks
from inferflow_core.testing.registered import EntrySuite


class HookSuite(EntrySuite):
    """Give `name`. What a hook does when it is called is for tests of your own."""

    kind: ClassVar[str] = "hook"

    def hooks(self) -> tuple[Hooks, list[str]]:
        """This entry's hooks alone, and what is reported of them."""
        catalog, reports = Catalog([]), list[str]()
        catalog.add(self.kind, self.name, self.entry())
        return Hooks(catalog, reports.append), reports

    def test_takes_part(self) -> None:
        """It is not left out: each hook exists, is marked `@hookimpl`, and takes arguments that
        the hook has (fewer are fine)."""
        _, reports = self.hooks()
        assert reports == []

    def test_commands_and_routes_are_given_without_trouble(self) -> None:
        """Commands are a mapping by name, routes a sequence, and asking for them raises nothing."""
        hooks, reports = self.hooks()
        for commands in hooks.call("inferflow_cli_commands"):
            assert isinstance(commands, Mapping)
            assert all(map(callable, cast("Mapping[str, Any]", commands).values()))
        for routes in hooks.call("inferflow_http_routes"):
            assert not isinstance(routes, str | Mapping)
            assert isinstance(list(routes), list)
        assert reports == []
