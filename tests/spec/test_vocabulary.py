"""The blocks that are installed are the vocabulary of SPECS.md, field by field."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inferflow_core.catalog import Catalog
from inferflow_core.spec.entries import BLOCK_KINDS
from inferflow_core.spec.field_types import (
    Data,
    DictOf,
    Either,
    Field,
    Plugin,
    Record,
    Scalar,
    Template,
    Type,
    Words,
    fields_of,
)
from inferflow_core.stack import Stack

REQUIRED = "required"
OURS = {
    "model.encoder_only.heads": "may be absent (docs/adr/0016)",
    "position.alibi.scale": "Falcon's RW models (docs/adr/0017)",
}
"""What the vocabulary does not have, or has otherwise, and the decision that says why."""


@pytest.fixture(scope="module")
def words(shared: Path) -> dict[str, tuple[str, Any]]:
    """`kind.entry.field` -> its type and default, as the vocabulary writes them."""
    kinds = tomllib.loads((shared / "specs/vocabulary.toml").read_text("utf-8"))
    return {
        f"{kind}.{entry}.{field}": read(text)
        for kind, entries in kinds.items()
        for entry, fields in entries.items()
        for field, text in fields.items()
    }


@pytest.fixture(scope="module")
def fields(installed: Catalog) -> dict[str, tuple[str, Any]]:
    """The same of the blocks of this distribution."""
    found = {f"stack.stack.{key}": value for key, value in of(Stack)}
    for entry in installed.entries():
        if entry.kind in BLOCK_KINDS and entry.distribution == "inferflow-core":
            cls = installed.get(entry.kind, entry.name)
            found |= {f"{entry.kind}.{entry.name}.{key}": value for key, value in of(cls)}
    return found


def read(text: str) -> tuple[str, Any]:
    """`float = 1e-5 | meaning` -> float, 1e-5."""
    form, _, default = (part.strip() for part in text.partition(" |")[0].partition("="))
    kind = "|".join(sorted(form.split("|")))
    if not default:
        return kind, REQUIRED
    if default == "none" and "none" not in form:
        return kind, None
    if default in ("true", "false"):
        return kind, default == "true"
    return kind, {"int": int, "float": float}.get(form, str)(default)


def of(cls: type[Any]) -> Iterator[tuple[str, tuple[str, Any]]]:
    for field in fields_of(cls).values():
        if isinstance(field.type, Template):
            yield field.type.count, ("int", REQUIRED)
            yield field.type.key, (name(field.type.of), REQUIRED)
        else:
            yield field.name, (name(field.type), default(field))


def default(field: Field) -> Any:
    return REQUIRED if field.required else field.default


def name(kind: Type) -> str:
    match kind:
        case Scalar(word) | Plugin(word):
            return word
        case Words(options):
            return "|".join(sorted(options))
        case Either(options):
            return "|".join(sorted(name(option) for option in options))
        case DictOf(of):
            return f"dict[{name(of)}]"
        case Record(cls):
            return cls.__name__.lower()
        case Data():
            return "table"
    raise TypeError(kind)


@pytest.mark.installed
def test_every_word_is_a_field_of_the_same_type_and_default(
    words: dict[str, tuple[str, Any]], fields: dict[str, tuple[str, Any]]
) -> None:
    assert len(words) > 130
    assert sorted(words.keys() - fields.keys()) == []
    known = {key: word for key, word in words.items() if key not in OURS}
    assert {key: fields[key] for key in known} == known


@pytest.mark.installed
def test_what_is_ours_alone_is_listed(
    words: dict[str, tuple[str, Any]], fields: dict[str, tuple[str, Any]]
) -> None:
    ours = {key for key in fields if key not in words or fields[key] != words[key]}
    assert ours == OURS.keys()
