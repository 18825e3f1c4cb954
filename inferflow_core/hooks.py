"""Events that many may answer, through pluggy. Names live in the catalog instead.

A plugin registers a module or object under the group `inferflow.hooks` whose functions are marked
`@hookimpl`. Nothing here is called in the token loop, and no hook takes the first result only.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pluggy

from inferflow_core.catalog import Catalog
from inferflow_core.errors import PluginError, nearest

if TYPE_CHECKING:
    from inferflow_core.interfaces import Request, TokenEvent

PROJECT = "inferflow"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def inferflow_register(catalog: Catalog) -> None:
    """Adds names in this process: `catalog.add(kind, name, obj)`."""


@hookspec
def inferflow_cli_commands() -> Mapping[str, Any]:
    """Commands of the terminal, by name: click commands. Our own names cannot be replaced."""
    return {}


@hookspec
def inferflow_http_routes() -> Sequence[Any]:
    """Routes added to the server: starlette routes. Our own paths come first."""
    return ()


@hookspec
def inferflow_engine_started(model: Any) -> None:
    """A model is open and its engine answers."""


@hookspec
def inferflow_request_finished(model: Any, request: "Request", event: "TokenEvent") -> None:
    """A request of the HTTP server ended; `event` is its last one, with the counts."""


@hookspec
def inferflow_shutdown(model: Any) -> None:
    """The server has drained and the engine is about to close."""


def problems(plugin: object) -> list[str]:
    """What is wrong with the hooks of a module or object; empty if they can be called."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(sys.modules[__name__])
    known = [name for name in dir(sys.modules[__name__]) if name.startswith(f"{PROJECT}_")]
    found = [name for name in dir(plugin) if name.startswith(f"{PROJECT}_")]
    marked = [name for name in found if hasattr(getattr(plugin, name), f"{PROJECT}_impl")]
    wrong = [
        f"no hook is named {name!r}.{nearest(name, known)}" for name in found if name not in known
    ]
    wrong += [f"{name} is not marked @hookimpl" for name in found if name not in marked]
    try:
        hash(plugin)
        manager.register(plugin)
    except (pluggy.PluginValidationError, TypeError, ValueError) as error:
        wrong.append(" ".join(str(error).split()))
    return wrong if found else [*wrong, "has no hook: a function inferflow_… marked @hookimpl"]


class Hooks:
    """The hooks of all `inferflow.hooks` entries. A broken one is reported and left out."""

    def __init__(self, catalog: Catalog, report: Callable[[str], None]) -> None:
        self._report = report
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(sys.modules[__name__])
        for entry in catalog.entries("hook"):
            try:
                self.register(catalog.get("hook", entry.name), entry.name)
            except (PluginError, pluggy.PluginValidationError, TypeError, ValueError) as error:
                report(f"hooks of {entry.name!r} are left out: {error}")

    def register(self, plugin: object, name: str | None = None) -> None:
        """Adds hooks in this process. Raises PluginValidationError, ValueError, TypeError."""
        hash(plugin)  # pluggy needs it, and would say so only when a hook is called
        self._manager.register(plugin, name)

    def call(self, hook: str, **arguments: Any) -> list[Any]:
        """Every plugin's answer; one that raises is reported and does not stop the others."""
        answers: list[Any] = []
        plugins = self._manager.get_plugins()
        for name, plugin in self._manager.list_name_plugin():
            others = [other for other in plugins if other is not plugin]
            try:
                answers += self._manager.subset_hook_caller(hook, others)(**arguments)
            except Exception as error:
                self._report(f"{hook} of {name!r} failed: {type(error).__name__}: {error}")
        return answers
