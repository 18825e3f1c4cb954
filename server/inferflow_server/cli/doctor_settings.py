"""Findings on the file of settings and on variables."""

import os
import re
from collections.abc import Iterator

import click

from inferflow_core.errors import UsageError, nearest
from inferflow_core.interfaces import Finding
from inferflow_server.cli.config_file import (
    config_path,
    problem_lines,
    read_config,
    unknown_tables,
    values_of,
)
from inferflow_server.cli.group import LazyGroup, walk, words_of
from inferflow_server.cli.settings import OTHER_VARIABLES, is_secret, settings_of, variables

OURS = re.compile(r"INFERFLOW_\w+|NO_COLOR|HF_TOKEN|HF_ENDPOINT")
USER_IN_URL = re.compile(r"//[^/@\s]+@")


def settings(root: click.Context) -> Iterator[Finding]:
    group = root.command
    assert isinstance(group, LazyGroup)
    contexts = list(walk(root))
    yield _file(group, contexts)
    known = {*OTHER_VARIABLES, "NO_COLOR", "HF_TOKEN", "HF_ENDPOINT"}
    for context in contexts:
        for key, option in settings_of(context.command).items():
            declared = option.envvar if isinstance(option.envvar, list) else []
            known |= {*variables(words_of(context), key, declared)}
    for name in sorted(filter(OURS.fullmatch, os.environ)):
        if name in known:
            yield Finding(f"variable {name}", "ok", shown(name, os.environ[name]))
        else:
            # A plugin's command may have it; the doctor imports no commands of plugins.
            text = f"no setting of ours has this name.{nearest(name, known)}"
            yield Finding(f"variable {name}", "warning", text)


def _file(group: LazyGroup, contexts: list[click.Context]) -> Finding:
    path, what = config_path(), "settings"
    try:
        config = read_config(path)
    except UsageError as error:
        return Finding(what, "problem", error.message, help="inferflow config show --path")
    problems = [*unknown_tables(config, group.tree, group.adds)]
    for context in contexts:
        problems += values_of(config, words_of(context), context.command)[1]
    if problems:
        text = f"{path}:{problem_lines(list(dict.fromkeys(problems)))}"
        return Finding(what, "problem", text, help="inferflow config show")
    facts = {"path": str(path), "exists": path.exists()}
    there = f"{path}" if path.exists() else f"no file of settings ({path})"
    return Finding(what, "ok", there, facts=facts)


def shown(name: str, value: str) -> str:
    """A variable's value, without what is secret."""
    if is_secret(name.lower().replace("_", "-")):
        return "(hidden)"
    return USER_IN_URL.sub("//(hidden)@", value)
