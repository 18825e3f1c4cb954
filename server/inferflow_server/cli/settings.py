"""Settings: what every option may also be given by.

The command line goes before the environment, that before the file of settings, that before a
model's spec, and that before an option's default. Every option of a command is a setting; its key
is what is typed, without the dashes.
"""

import copy
import os
from collections.abc import Sequence

import click

SHARED = ("backend", "set", "offline", "yes")
"""Options of many commands that may be set once for all of them."""

OTHER_VARIABLES = {
    "INFERFLOW_AMX": "0: the backend cpu leaves the AMX unit alone",
    "INFERFLOW_CHECK_TAPE": "1: the backend cpu compares each kernel with numpy",
    "INFERFLOW_CACHE": "folder of fetched models, instead of the user's cache folder",
    "INFERFLOW_CONFIG": "the file of settings, instead of the one in the user's config folder",
    "INFERFLOW_DEBUG": "1 shows the traceback of every error, as --debug does",
    "INFERFLOW_DISABLE": "distributions whose plugins are not used, with commas",
    "INFERFLOW_KERNEL_CACHE": "folder of the backend cpu's compiled kernels",
    "INFERFLOW_PIN": "0 lets the threads of the backend cpu move between processors",
}
"""Variables that are no option of one command -> what they mean."""


def settings_of(command: click.Command) -> dict[str, click.Option]:
    """The options that may be set once, by key: all that the command itself gets."""
    return {
        key_of(each): each
        for each in command.params
        if isinstance(each, click.Option) and each.expose_value and not each.is_eager
    }


def key_of(option: click.Option) -> str:
    return next((name for name in option.opts if name.startswith("--")), option.opts[0]).lstrip("-")


def variables(words: Sequence[str], key: str, declared: Sequence[str] = ()) -> list[str]:
    """The variables of an option of the command `words`, the most special one first."""
    names = [_variable(*words, key), *declared]
    return list(dict.fromkeys(names + [_variable(key)] * (key in SHARED)))


def with_variables(words: Sequence[str], command: click.Command) -> click.Command:
    """A copy of a command whose options may take their values from variables."""
    named = copy.copy(command)
    named.params = [copy.copy(each) for each in command.params]
    for key, option in settings_of(named).items():
        declared = [option.envvar] if isinstance(option.envvar, str) else option.envvar or ()
        option.envvar = variables(words, key, declared)
    return named


def variable_in_use(option: click.Option) -> str | None:
    """The variable that gives an option its value."""
    names = option.envvar if isinstance(option.envvar, list) else []
    return next((name for name in names if os.environ.get(name)), None)


def is_secret(key: str) -> bool:
    """Whether a value must not be printed."""
    return key.rpartition("-")[2] in ("key", "token", "password", "secret")


def _variable(*words: str) -> str:
    return "_".join(("INFERFLOW", *words)).upper().replace("-", "_")
