"""Writes docs/kinds/: a page for each kind of plugin, from its interface, suite and template."""

import ast
import dataclasses
import inspect
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from inferflow_server.cli.scaffold import KINDS, Package

from inferflow_core import block, composites, interfaces, ops, optable, shapes, testing
from inferflow_core.catalog import GROUPS, HOME, Catalog
from inferflow_core.spec.entries import BLOCK_KINDS
from inferflow_core.testing.registered import EntrySuite

MADE = "Made by `make docs` from the code itself; do not edit."
FIELDS = """A block computes with `ops`, which has [these](op.md#ops-of-a-block). It is a frozen
dataclass, and its fields are the keys of its table in a spec. A field without a default must be
written. Each is annotated with one of

| annotation | in a spec |
|---|---|
| `bool`, `int`, `float`, `str` | `true`, `3`, `0.5`, `"text"` |
| `Act` | the name of an activation, in any accepted spelling |
| `Literal["a", "b"]` | one of these words |
| a kind's class (`Norm`, `Position` …) | a table with `use` |
| `tuple[X, ...]` | a list |
| `Mapping[str, X]` | a table of named entries |
| `Table` | a table of data |
| a dataclass of yours | a table without `use`, whose keys are its fields |
| `X \\| None` | X, or nothing |

A value that makes no sense is a `ValueError` of `__post_init__`; the person sees it with the path
of the table."""
NUMBERS = """A sampler is a frozen dataclass whose fields are `int` or `float`, each with a default.
What a spec writes replaces the default, and a request may override it by the field's name: so
choose names that no other sampler of a chain has."""


TEXTS: Mapping[str, str] = tomllib.loads(Path(__file__).with_name("kinds.toml").read_text("utf-8"))
"""Kind -> what its page says that the code does not."""

SUITES = {cls.kind: cls for cls in vars(testing).values() if hasattr(cls, "kind")}

SHOWN: Mapping[str, Sequence[type[Any]]] = {
    "loader": (interfaces.Loader, interfaces.Checkpoint, interfaces.TensorInfo),
    "source": (interfaces.Source,),
    "format": (interfaces.Format,),
    "op": (optable.Op, shapes.Typed),
    "backend": (
        *(interfaces.Backend, interfaces.Program, interfaces.Ticket, interfaces.Sizes),
        *(interfaces.Profiled, interfaces.OpTime),
        *(interfaces.Step, interfaces.Weight),
        *(interfaces.FootprintBackend, interfaces.Footprint, interfaces.ExaminedBackend),
        interfaces.PassBackend,
    ),
    "sampler": (interfaces.Sampler, interfaces.SampleStep, interfaces.RankedSampler),
    "tokenizer": (
        *(interfaces.TokenizerEntry, interfaces.Tokenizer),
        *(interfaces.StreamDecoder, interfaces.Multilingual),
    ),
    "engine": (
        *(interfaces.Engine, interfaces.Request, interfaces.TokenEvent, interfaces.Stream),
        *(interfaces.Stats, interfaces.Program),
    ),
    **{
        each.kind: (each, block.Block)
        for each in vars(block).values()
        if isinstance(each, type) and issubclass(each, block.Block) and each is not block.Block
    },
}
"""Kind -> the classes whose definition its page prints."""


def main(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "index.md").write_text("\n".join(index()) + "\n", "utf-8")
    for kind in GROUPS:
        (folder / f"{kind}.md").write_text("\n".join(page(kind)) + "\n", "utf-8")


def index() -> Iterator[str]:
    assert TEXTS.keys() == GROUPS.keys()
    yield f"# Kinds of plugins\n\n{MADE}"
    yield "\nA kind is an interface, an entry-point group, and a conformance suite."
    yield "\n| kind | group | suite | `plugins new` |\n|---|---|---|---|"
    for kind, group in GROUPS.items():
        name = f"`{SUITES[kind].__name__}`" if kind in SUITES else ""
        yield f"| [{kind}]({kind}.md) | `{group}` | {name} | {'yes' if kind in KINDS else ''} |"
    yield "\nHow suites are used: [Test a plugin](../testing.md)."
    yield "Step by step: [Write a plugin](../write-a-plugin.md)."


def page(kind: str) -> Iterator[str]:
    yield f"# {kind}\n\n{MADE}\n\n{TEXTS[kind]}\n\nEntry-point group: `{GROUPS[kind]}`."
    if kind in SHOWN:
        yield "\n## Interface\n\n" + code("interface.pyi", "\n\n\n".join(map(stub, SHOWN[kind])))
    if kind in BLOCK_KINDS or kind == "sampler":
        yield f"\n## Fields\n\n{NUMBERS if kind == 'sampler' else FIELDS}"
    if kind in SUITES:
        yield from suite(SUITES[kind])
    if kind == "op":
        yield "\n## Ops of a block\n\nWhat `ops` has of itself, in `forward`:\n"
        yield code("ops.pyi", "\n\n\n".join(map(stub, (ops.Ops, composites.Composites))))
    if kind in KINDS:
        yield from example(kind)
    catalog = Catalog()
    ours = [entry.name for entry in catalog.entries(kind) if entry.distribution == HOME]
    if ours:
        yield f"\n## In inferflow-core\n\n{', '.join(f'[{n}](../reference.md#{n})' for n in ours)}."


def suite(cls: type[EntrySuite]) -> Iterator[str]:
    """What it is given, then the rules, those of this kind first."""
    yield f"\n## What the suite checks\n\n`inferflow_core.testing.{cls.__name__}`:"
    yield f"\n{inspect.cleandoc(cls.__doc__ or '')}\n"
    for owner in cls.__mro__:
        for name, function in vars(owner).items():
            if name.startswith("test_"):
                yield f"- `{name}`: {prose(function)}"


def example(kind: str) -> Iterator[str]:
    """The files of the template, under a name of somebody's."""
    package = Package("acme", f"my_{kind}", kind)
    yield "\n## The smallest example\n\nThis writes it, with all that makes it a package:\n"
    yield f"```sh\ninferflow plugins new {package.entry} --kind {kind}\n```"
    for name, text in package.files.items():
        if name.endswith(".py") and text:
            yield "\n" + code(name, text)


def stub(cls: type[Any]) -> str:
    """A class as an interface: signatures and docstrings, without what is inside."""
    source = inspect.getsource(cls).rstrip()
    if getattr(cls, "_is_protocol", False) or dataclasses.is_dataclass(cls):
        return source
    lines, (tree,) = source.split("\n"), ast.parse(source).body
    assert isinstance(tree, ast.ClassDef)
    kept, end = lines[: tree.body[0].lineno - 1], tree.body[0].lineno - 1
    for statement in tree.body:
        last = statement.end_lineno
        if isinstance(statement, ast.FunctionDef):
            if not statement.name.startswith("_"):
                kept += signature(lines[end:last], statement, end)
        elif not isinstance(statement, ast.If):  # what a type checker does not see is no interface
            kept += lines[end:last]
        end = last or end
    return "\n".join(kept)


def signature(lines: list[str], function: ast.FunctionDef, before: int) -> list[str]:
    """The lines of a method, and its docstring; `before` is the number of lines above them."""
    first = function.body[0]
    if ast.get_docstring(function):
        return [*lines[: (first.end_lineno or 0) - before], " " * first.col_offset + "..."]
    if len(lines) > 1 and first.lineno > function.lineno:
        lines = lines[: first.lineno - 1 - before]
        lines[-1] += " ..."
    return lines


def prose(function: Any) -> str:
    """A docstring as one line."""
    text = inspect.getdoc(function)
    assert text, f"{function.__qualname__} has no docstring"
    return " ".join(text.split())


def code(name: str, text: str) -> str:
    return f'```python title="{name}"\n{text.rstrip()}\n```'


if __name__ == "__main__":
    main(Path(sys.argv[1]))
