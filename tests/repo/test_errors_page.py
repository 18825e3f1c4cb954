"""docs/errors.md has every class of error, at its exit code."""

import inspect
import re
from pathlib import Path

from inferflow_core import errors


def test_the_page_knows_every_error(checkout: Path) -> None:
    page = (checkout / "docs" / "errors.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \|.*\| (.*) \|$", page, re.MULTILINE)
    said = {name: int(code) for code, cell in rows for name in re.findall(r"`(\w+)`", cell)}
    classes = dict(inspect.getmembers(errors, inspect.isclass))
    parents = {parent for error in classes.values() for parent in error.__bases__}
    raised = {
        name: error.exit_code
        for name, error in classes.items()
        if issubclass(error, errors.InferflowError) and error not in parents
    }
    assert said == raised
