"""docs/python.md names every argument of the doors it describes."""

import inspect
from pathlib import Path

import inferflow_core
from inferflow_core.interfaces import LoadedModel


def test_the_page_names_every_argument(checkout: Path) -> None:
    page = (checkout / "docs" / "python.md").read_text("utf-8")
    for function in (inferflow_core.load, LoadedModel.logits, LoadedModel.hidden):
        for name in inspect.signature(function).parameters:
            assert name in ("self", "chunk") or name in page, name
