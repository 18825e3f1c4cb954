"""`inferflow plugins check`: are installed plugins what their kinds ask for?"""

import dataclasses
from typing import TYPE_CHECKING

import click

from inferflow_core.catalog import HOME, Entry
from inferflow_core.errors import BrokenEntry, UnknownEntry, nearest
from inferflow_server.cli.model import registered
from inferflow_server.cli.options import debug_option, json_option
from inferflow_server.cli.output import note, print_columns, print_json

if TYPE_CHECKING:
    from inferflow_server.cli.plugin_findings import Finding


@click.command("check")
@click.argument("which", metavar="[DISTRIBUTION|PREFIX]", required=False)
@json_option
@debug_option
@click.pass_context
def command(context: click.Context, which: str | None, as_json: bool) -> None:
    """Check installed plugins: names, version bounds, imports, interfaces, docstrings.

    Of a distribution (inferflow-plugin-example) or of a prefix (example); without either, of all
    that do not come with Inferflow. Each is imported in a process of its own first. Findings are
    ok, warning or problem; with a problem the exit code is 4. What a plugin computes is for the
    suites of inferflow_core.testing to check.

    \b
    Example:
        inferflow plugins check

    --json prints [{"level", "distribution", "kind", "name", "check", "message"}]; kind and name
    are empty where a finding is about the distribution.
    """
    from inferflow_server.cli.plugin_findings import findings

    catalog, _ = registered()
    groups: dict[str, list[Entry]] = {}
    for entry in catalog.entries():
        if _wanted(entry, which):
            groups.setdefault(entry.distribution, []).append(entry)
    if which and not groups:
        known = {each for e in catalog.entries() for each in (e.distribution, _prefix(e))}
        raise UnknownEntry(
            f"no plugin of {which!r} is installed.{nearest(which, known)}",
            hint="`inferflow plugins list` shows what is; new entry points need a new install",
        )
    found = [each for name, some in groups.items() for each in findings(name, some, catalog)]
    problems = sum(each.level == "problem" for each in found)
    warnings = sum(each.level == "warning" for each in found)
    if as_json:
        print_json([dataclasses.asdict(each) for each in found])
    elif found:
        print_columns([(e.level, _subject(e), e.check, e.message) for e in found])
    count = sum(len(some) for some in groups.values())
    note(f"{_count(count, 'plugin')}: {_count(problems, 'problem')}, {_count(warnings, 'warning')}")
    if problems:
        context.exit(BrokenEntry.exit_code)


def _wanted(entry: Entry, which: str | None) -> bool:
    if not which:
        return entry.distribution not in (HOME, "(this process)")
    name = which.lower().replace("_", "-")
    return name == entry.distribution.lower().replace("_", "-") or which == _prefix(entry)


def _subject(finding: "Finding") -> str:
    return f"{finding.kind} {finding.name}" if finding.name else finding.distribution


def _prefix(entry: Entry) -> str:
    return entry.name.partition(".")[0] if "." in entry.name else ""


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
