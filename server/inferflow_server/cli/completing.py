"""What a shell offers for MODEL, --backend and --set. Reads metadata; imports no plugin."""

from dataclasses import fields

import click
from click.shell_completion import CompletionItem

from inferflow_core.catalog import Catalog


def models(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Predefined names, and files; bash offers files where no name fits."""
    names = [name for name in Catalog().names("spec") if name.startswith(incomplete)]
    return [CompletionItem(incomplete, type="file"), *map(CompletionItem, names)]


def backends(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    names = ["auto", *Catalog().names("backend")]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def set_keys(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """The keys of [run]."""
    from inferflow_core.spec.run import Run

    keys = [f"run.{field.name}=" for field in fields(Run)]
    return [CompletionItem(key) for key in keys if key.startswith(incomplete)]
