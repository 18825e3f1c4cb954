"""The options that every command on a model takes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click
from click.core import ParameterSource

from inferflow_server.cli.completing import backends, models, set_keys

Function = Callable[..., Any]


@dataclass(frozen=True)
class ModelOptions:
    """Which model, how to run it, and whether it may be fetched."""

    reference: str
    backend: str | None
    set: tuple[str, ...]
    offline: bool
    yes: bool


def debug_option(function: Function) -> Function:
    """`--debug`; `main` looks for it when an error ends a command."""
    return click.option(
        "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."
    )(function)


def json_option(function: Function) -> Function:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def language_options(function: Function) -> Function:
    """What a translation model is told of a text."""
    function = click.option(
        "--target-language", metavar="NAME", help="What a translation model is to write in."
    )(function)
    return click.option(
        "--source-language", metavar="NAME", help="What the text of a translation is written in."
    )(function)


def model_options(function: Function) -> Function:
    """MODEL or --spec MODEL, and what goes with it; the function gets `options`.

    Further arguments of the command come after MODEL: with --spec, the first word is theirs.
    """

    @click.option(
        "--spec",
        metavar="MODEL",
        help="The model, instead of the first word.",
        shell_complete=models,
    )
    @click.option(
        "--backend",
        metavar="NAME",
        help="Backend instead of the spec's.",
        shell_complete=backends,
    )
    @click.option(
        "--set",
        "set_",
        multiple=True,
        metavar="KEY=VALUE",
        help="Overrides a value of the spec.",
        shell_complete=set_keys,
    )
    @click.option("--offline", is_flag=True, help="Never touch the network.")
    @click.option("--yes", "-y", is_flag=True, help="Fetch without asking.")
    @debug_option
    @wraps(function)
    def wrapper(
        *,
        model: str | None,
        spec: str | None,
        backend: str | None,
        set_: tuple[str, ...],
        offline: bool,
        yes: bool,
        **rest: Any,
    ) -> Any:
        context = click.get_current_context()
        typed = context.get_parameter_source("spec") is ParameterSource.COMMANDLINE
        if spec is not None and model is not None and not typed:
            spec = None
        if spec is not None and "prompt" in rest and rest["prompt"] is None:
            model, rest["prompt"] = None, model
        if spec is not None and model is not None and "texts" in rest:
            model, rest["texts"] = None, (model, *rest["texts"])
        if (model is None) == (spec is None):
            reason = "two models are given" if model else "no model is given"
            raise click.UsageError(f"{reason}: write MODEL or --spec MODEL", context)
        for pair in set_:
            if "=" not in pair:
                raise click.UsageError(f"--set {pair}: write KEY=VALUE", context)
        reference = str(model or spec)
        return function(ModelOptions(reference, backend, set_, offline, yes), **rest)

    return wrapper


def model_argument(function: Function) -> Function:
    return click.argument("model", required=False, shell_complete=models)(function)
