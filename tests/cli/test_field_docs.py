"""What the fields of plugins mean, for `plugins show` and the reference."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import pytest
from inferflow_server.cli.field_docs import field_docs

from inferflow_core.catalog import DATA_KINDS, HOME, Catalog
from inferflow_core.spec.run import Run
from inferflow_core.spec.tables import Generation, Tokenizer, Weights


@dataclass
class Parent:
    first: int = 1
    """Of the parent."""


@dataclass
class Child(Parent):
    second: int = 2
    third: int = 3
    """Two
    lines."""


def test_the_text_below_a_field_is_its_meaning() -> None:
    assert field_docs(Child) == {"first": "Of the parent.", "third": "Two\nlines."}
    assert field_docs(dataclasses.make_dataclass("Made", ["x"])) == {}


@pytest.mark.installed
def test_every_field_that_a_spec_may_set_says_what_it_means(installed: Catalog) -> None:
    classes: list[Any] = [Run, Weights, Tokenizer, Generation]
    for entry in installed.entries():
        if entry.distribution == HOME and entry.kind not in DATA_KINDS:
            found = installed.get(entry.kind, entry.name)
            classes += [found] if dataclasses.is_dataclass(found) else []
    assert len(classes) > 15
    for cls in classes:
        names = {field.name for field in dataclasses.fields(cls)} - {"layers"}
        assert names - field_docs(cls).keys() == set(), cls
