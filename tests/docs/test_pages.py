"""Every page of the documentation is a session that works.

A page is a Markdown file of docs/, or one that stands beside the code, such as README.md; the work
folder of those is a copy of the checkout. Its fenced blocks, in order:

    ```toml title="my.toml"     any language with a title: written to that file of the work folder
    ```sh                       commands, run by `bash -eu` in the work folder; must end with 0
    ```sh fails="2"             … must end with this exit code
    ```sh skip="why"            not run; the reason must be in SKIPS
    ```python                   run, each block for itself
    ```toml, ```json            must parse
    ```text                     output or illustration
    ```text printed="above"     must be in the output of the block before; … stands for anything

The work folder holds `model.gguf` and `checkpoint/`, a tiny Llama, `translator/` and `text.txt`
(`python tests/tiny_llama.py FOLDER` and `python tests/tiny_m2m.py FOLDER/translator` make them, to
try a page by hand); `smollm2-135m-instruct` may be named. The folder and exported variables go on
from block to block. A line `inferflow serve …` stays in the background until the page ends or
serves on the same port again; it gets a free port, which 127.0.0.1:8000 and localhost:8000 (or the
line's own --port) then mean on that page. A page with `pip install` gets an environment of its own.
"""

import html
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fences import anchors, fences, links, pages
from session import Session, environment, make_environment

ROOT = Path(__file__).resolve().parents[2]
PAGES = {page.relative_to(ROOT).as_posix(): page for page in pages(ROOT)}
UNTITLED = {"sh": {"fails", "skip"}, "python": set[str](), "toml": set[str]()}
UNTITLED |= {"json": set[str](), "text": {"printed"}}
TITLED = {"python", "toml", "json", "text", "sh", "jinja"}
SKIPS: set[str] = {"CI does: .ci/run", "README does: README.md"}
"""The reasons why commands of a page are not run."""

pytestmark = pytest.mark.skipif(not PAGES, reason="these tests were copied out of their checkout")


@pytest.mark.parametrize("name", PAGES)
def test_every_block_is_understood(name: str) -> None:
    for fence in fences(PAGES[name].read_text("utf-8")):
        place = f"{name}:{fence.line}"
        if "title" in fence.options:
            assert fence.language in TITLED, place
            assert not Path(fence.options["title"]).is_absolute(), place
            assert fence.options.keys() == {"title"}, place
        else:
            assert fence.language in UNTITLED, f"{place}: {fence.language!r}"
            assert fence.options.keys() <= UNTITLED[fence.language], place
        assert fence.options.get("skip") in (None, *SKIPS), place
        if fence.language == "toml":
            tomllib.loads(fence.text)
        elif fence.language == "json":
            json.loads(fence.text)


def test_links_lead_somewhere() -> None:
    for name, page in PAGES.items():
        for link in links(page.read_text("utf-8")):
            target, _, anchor = link.partition("#")
            if target.startswith(("https:", "http:", "mailto:")):
                continue
            there = (page.parent / target).resolve() if target else page
            assert there.exists(), f"{name}: {link}"
            if name.startswith("docs/"):
                assert there.is_relative_to(ROOT / "docs"), f"{name}: {link} is not on the site"
            if anchor:
                assert anchor in anchors(there.read_text("utf-8")), f"{name}: {link}"


def test_tests_that_a_page_names_exist() -> None:
    named = {
        (name, *found)
        for name, page in PAGES.items()
        for found in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text("utf-8"))
    }
    assert len(named) > 30, "those of the security page"
    for page, file, function in named:
        code = (ROOT / file).read_text("utf-8")
        assert re.search(rf"^\s*def {function}\(", code, re.MULTILINE), (
            f"{page}: {file}::{function}"
        )


def test_the_recorded_session_is_that_of_the_script() -> None:
    """Its picture is embedded, and shows the commands that docs/record.py types."""
    spec = importlib.util.spec_from_file_location("record", ROOT / "docs" / "record.py")
    assert spec is not None
    assert spec.loader is not None
    record = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(record)
    assert "](assets/first-minutes.svg)" in PAGES["docs/index.md"].read_text("utf-8")
    picture = (ROOT / "docs" / "assets" / "first-minutes.svg").read_text("utf-8")
    text = html.unescape(re.sub(r"<[^>]*>", "", picture)).replace("\xa0", " ")
    for command in (*record.COMMANDS, record.SERVE):
        assert command in text, "run `make record`"


@pytest.mark.slow
def test_the_picture_of_a_network_is_what_is_drawn(tmp_path: Path, cache: Path) -> None:
    """`make record` has been run since the drawing has changed."""
    model, picture = "smollm2-135m-instruct", tmp_path / "network.svg"
    inferflow, env = Path(sys.executable).parent / "inferflow", environment(cache)
    subprocess.run([inferflow, "pull", model], check=True, timeout=600, env=env)
    subprocess.run([inferflow, "inspect", model, "--graph", picture], check=True, env=env)
    assert picture.read_text("utf-8") == (ROOT / "docs/assets/network.svg").read_text("utf-8")


@pytest.mark.slow
def test_the_recorded_session_can_be_recorded(tmp_path: Path) -> None:
    script, picture = ROOT / "docs" / "record.py", tmp_path / "new.svg"
    env = os.environ | {"INFERFLOW_SERVE_PORT": "0"}
    subprocess.run([sys.executable, str(script), str(picture)], check=True, timeout=600, env=env)
    assert "<svg" in picture.read_text("utf-8")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that a page fetches are there for the others."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def work(tiny: Path, tmp_path: Path) -> Path:
    shutil.copytree(tiny, tmp_path / "work")
    return tmp_path / "work"


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_the_page_works(name: str, work: Path, tmp_path: Path, cache: Path) -> None:
    if not name.startswith("docs/"):
        copy_of_the_checkout(work)
    blocks = [each for each in fences(PAGES[name].read_text("utf-8")) if "skip" not in each.options]
    programs = Path(sys.executable).parent
    if any("pip install" in block.text for block in blocks):
        programs = make_environment(tmp_path / "venv")
    with Session(name, work, tmp_path / "room", programs, environment(cache)) as session:
        for block in blocks:
            session.run(block)


def copy_of_the_checkout(folder: Path) -> None:
    """Who reads what stands beside the code has cloned the repository."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
