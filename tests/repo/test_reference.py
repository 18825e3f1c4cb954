"""The pages that are made from the code are what the installed code says of itself."""

import subprocess
import sys

import pytest


@pytest.mark.installed
@pytest.mark.parametrize("name", ["reference", "cli", "models"])
def test_the_page_is_up_to_date(checkout, name):
    made = subprocess.run(
        [sys.executable, str(checkout / "docs" / f"{name}.py")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert made.stdout == (checkout / "docs" / f"{name}.md").read_text("utf-8"), (
        "run `make docs` and commit what changes"
    )


@pytest.mark.installed
def test_the_pages_of_the_kinds_are_up_to_date(checkout, tmp_path):
    script = str(checkout / "docs" / "kinds.py")
    subprocess.run([sys.executable, script, str(tmp_path)], check=True, timeout=60)
    made, kept = (
        {page.name: page.read_text("utf-8") for page in folder.glob("*.md")}
        for folder in (tmp_path, checkout / "docs" / "kinds")
    )
    assert made == kept, "run `make docs` and commit what changes"
