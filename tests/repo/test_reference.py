"""docs/reference.md is what the installed entries and hooks say of themselves."""

import subprocess
import sys

import pytest


@pytest.mark.installed
def test_the_reference_is_up_to_date(checkout):
    made = subprocess.run(
        [sys.executable, str(checkout / "docs" / "reference.py")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert made.stdout == (checkout / "docs" / "reference.md").read_text("utf-8"), (
        "run `make docs` and commit what changes"
    )
