"""What `inspect --passes` and `--pass` print."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from inferflow_core.errors import UsageError, nearest
from inferflow_core.graph import Call, Graph, Node
from inferflow_server.cli.output import columns, print_json

if TYPE_CHECKING:
    from inferflow_core.catalog import Catalog

ALWAYS = "Ops that the backend does not run itself become those that it does."


def show_passes(found: Any, catalog: Catalog, *, name: str | None, as_json: bool) -> None:
    """The list of passes, or the graph before and after the one of the name."""
    report = pass_report(found, catalog) if name is None else graphs(found, name)
    if as_json:
        print_json(report)
    elif name is None:
        click.echo("\n".join(pass_text(report)))
    else:
        click.echo(f"before {name}\n\n{report['before']}\n\nafter {name}\n\n{report['after']}")


def pass_report(found: Any, catalog: Catalog) -> dict[str, Any]:
    """Each pass, whether it ran, and how many ops it left."""
    rows = [
        {"pass": stage.name, "skipped": stage.skipped}
        | {"ops": sum(counted(stage.graph).values()), "what": _what(stage.name, catalog)}
        for stage in found.stages
    ]
    return {"backend": found.backend, "passes": rows}


def pass_text(report: dict[str, Any]) -> Iterator[str]:
    yield f"backend {report['backend']}"
    rows = [
        [row["pass"], "skipped" if row["skipped"] else f"{row['ops']} ops", row["what"]]
        for row in report["passes"]
    ]
    yield from columns(rows)


def graphs(found: Any, name: str) -> dict[str, str]:
    """The texts of the graph before and after a pass. Raises UsageError."""
    names = [stage.name for stage in found.stages]
    if name not in names[1:]:
        raise UsageError(
            f"the backend {found.backend!r} has no pass {name!r}.{nearest(name, names[1:])}",
            hint=f"its passes: {', '.join(names[1:]) or 'none'}",
        )
    place = names.index(name)
    before, after = found.stages[place - 1].graph, found.stages[place].graph
    return {"backend": found.backend, "pass": name, "before": str(before), "after": str(after)}


def counted(graph: Graph) -> Counter[str]:
    """Ops of the graph as it is printed: those of a function once."""
    bodies: list[tuple[Node | Call, ...]] = [f.nodes for f in graph.functions.values()]
    bodies += [body.steps for body in graph.entries.values()]
    return Counter(step.op for body in bodies for step in body if isinstance(step, Node))


def _what(name: str, catalog: Catalog) -> str:
    """The first sentence of its docstring."""
    if name == "decompose":
        return ALWAYS
    text = " ".join((inspect.getdoc(catalog.get("pass", name)) or "").split())
    sentence, stop, _ = text.partition(". ")
    return sentence + stop.strip()
