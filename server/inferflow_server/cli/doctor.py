"""`inferflow doctor`: what this machine has, what is installed, and what is wrong."""

import dataclasses
import os
from collections import Counter
from typing import Any

import click

from inferflow_core.errors import FindingError
from inferflow_core.interfaces import Finding
from inferflow_server.cli.doctor_install import installation, model_cache, plugins, processor
from inferflow_server.cli.doctor_settings import settings
from inferflow_server.cli.model import registered
from inferflow_server.cli.options import debug_option, json_option
from inferflow_server.cli.output import imports, note, print_json

COLORS = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command("doctor")
@click.option("--measure", is_flag=True, help="Measure how fast memory is read: some seconds.")
@json_option
@debug_option
def command(measure: bool, as_json: bool) -> None:
    """Look at this machine and this installation: what works, what does not, and what helps.

    The processor and memory, Python and the libraries, each backend and which one is chosen, the
    folders of kernels and models, settings and variables (secrets are hidden), and plugins.
    Nothing is fetched, compiled or changed. A finding is ok, a warning (it works, but not as
    it could) or a problem; with a problem the exit code is 8.

    \b
    Examples:
        inferflow doctor
        inferflow doctor --measure

    --json prints {"ok", "findings"}, each finding {"what", "state", "text", "help", "facts"}.
    """
    root = click.get_current_context().find_root()
    with imports():
        catalog, _ = registered()
        found = [*processor(), *catalog.get("engine", "continuous").examine(catalog)]
        found += [*installation(), *model_cache(), *settings(root), *plugins(catalog)]
    if measure:
        found.append(_bandwidth())
    problems = [each for each in found if each.state == "problem"]
    if as_json:
        findings = [dataclasses.asdict(each) for each in found]
        print_json({"ok": not problems, "findings": findings})
    else:
        _print(found)
    if problems:
        raise FindingError(
            f"{len(problems)} problem{'s' if len(problems) > 1 else ''}: "
            f"{', '.join(each.what for each in problems)}"
        )


def _print(found: list[Finding]) -> None:
    color = False if os.environ.get("NO_COLOR") else None
    width = max(len(each.what) for each in found)
    for each in found:
        state = click.style(f"{each.state:<8}", fg=COLORS[each.state])
        click.echo(f"{state} {each.what:<{width}}  {each.text}", color=color)
        if each.help:
            click.echo(f"{'':<8} {'':<{width}}  -> {each.help}")
    count = Counter(each.state for each in found)
    note(f"{count['ok']} ok, {count['warning']} warnings, {count['problem']} problems")


def _bandwidth() -> Finding:
    """Read by numpy on every processor at once: what a decoded token is bound by, since it reads
    all weights."""
    from inferflow_server.cli.bandwidth import read_bytes_per_s

    speed = read_bytes_per_s()
    facts: dict[str, Any] = {"bytes_per_s": speed}
    text = f"{speed / 1e9:.1f} GB/s: weights of 1 GB are read {speed / 1e9:.0f} times a second"
    return Finding("memory: read speed", "ok", text, facts=facts)
