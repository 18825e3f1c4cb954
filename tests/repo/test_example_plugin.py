"""A third party's distribution, installed by plain pip: whole, and broken on purpose."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.installed]

COMMAND = "from inferflow_server.cli import main; main()"
BITS = """
import sys
import inferflow_core
with inferflow_core.load(sys.argv[1]) as model:
    print(model.logits([[1, 9, 33, 70, 2, 5]])[0].tobytes().hex())
    events = model.generate(ids=[1, 9, 33], max_tokens=24, temperature=0, ignore_stop_ids=True)
    print(*(event.token for event in events if event.token is not None))
"""
NAMED = """
spec = 1
name = "named"
extends = "llama"
[model]
norm = {{ use = "example.scaled_norm", eps = "${{config.norm_eps}}", scale = {scale} }}
[weights]
path = "{path}"
[run]
samplers = [{{ use = "example.no_repeat", no_repeat = {size} }}, {{ use = "temperature" }}]
"""
ENTRIES = {
    ("norm", "example.scaled_norm"),
    ("norm", "example.squash_norm"),
    ("sampler", "example.no_repeat"),
    ("op", "example.scale"),
    ("op", "example.softsign"),
    ("kernel", "example.scale@cpu"),
}


class Environment:
    """A fresh virtual environment that sees the packages of the one that runs the tests."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=True)
        self.python = folder / "bin" / "python"
        (site,) = folder.glob("lib/python*/site-packages")
        below = sysconfig.get_path("purelib")
        (site / "below.pth").write_text(f"import site; site.addsitedir({below!r})\n")

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [self.python, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=300)

    def output(self, *arguments: str | Path) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def install(self, source: Path, work: Path) -> None:
        """From a copy: building leaves nothing in the checkout."""
        shutil.copytree(source, work, ignore=shutil.ignore_patterns("build", "*.egg-info"))
        self.output("-m", "pip", "install", "-q", work)

    def plugins(self) -> dict[tuple[str, str], str]:
        rows = json.loads(self.output("-c", COMMAND, "plugins", "list", "--json"))
        assert len(rows) > 30
        return {(row["kind"], row["name"]): row["status"] for row in rows}


@pytest.fixture(scope="module")
def source(checkout):
    return checkout / "plugins" / "inferflow-plugin-example"


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    environment = Environment(folder / "venv")
    environment.install(source, folder / "copy")
    return environment


@pytest.fixture(scope="module")
def broken(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("broken")
    environment = Environment(folder / "venv")
    copy = folder / "source"
    shutil.copytree(source, copy)
    (copy / "inferflow_plugin_example" / "__init__.py").write_text(
        'raise ImportError("broken on purpose")\n'
    )
    environment.install(copy, folder / "copy")
    return environment


@pytest.fixture(scope="module")
def story(shared):
    return shared / "data" / "stories260K" / "stories260K.bin"


@pytest.fixture
def named(tmp_path, story):
    """named(scale, size): a spec file that names the plugin's norm and sampler."""

    def named(scale: float, size: int) -> Path:
        path = tmp_path / f"named-{scale}-{size}.toml"
        path.write_text(NAMED.format(path=story, scale=scale, size=size))
        return path

    return named


@pytest.fixture(scope="module")
def without(story):
    """What comes out where the plugin is not installed."""
    done = subprocess.run(
        [sys.executable, "-c", BITS, story], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_whole_it_is_listed_and_passes_its_own_suites(whole, source, tmp_path):
    statuses = whole.plugins()
    assert {entry: statuses[entry] for entry in ENTRIES} == dict.fromkeys(ENTRIES, "ok")
    tests = tmp_path / "tests"
    shutil.copytree(source / "tests", tests)
    report = whole.output("-m", "pytest", "-q", "-p", "no:cacheprovider", tests)
    assert " passed" in report
    assert "skipped" not in report


def test_installed_but_not_named_it_changes_no_bit(whole, story, without):
    assert whole.output("-c", BITS, story) == without


def test_named_it_takes_part(whole, named, without):
    neutral = whole.output("-c", BITS, named(1.0, 0))
    assert neutral == without
    assert len(set(neutral.splitlines()[1].split())) < 24
    logits, tokens = whole.output("-c", BITS, named(1.25, 1)).splitlines()
    assert logits != without.splitlines()[0]
    assert len(tokens.split()) == 24
    assert len(set(tokens.split())) == len(tokens.split())


def test_broken_it_breaks_nothing_that_does_not_name_it(broken, story, without):
    assert broken.output("-c", BITS, story) == without
    assert "inferflow" in broken.output("-c", COMMAND, "--help")
    statuses = broken.plugins()
    for entry in ENTRIES:
        assert "ImportError: broken on purpose" in statuses.pop(entry)
    assert set(statuses.values()) == {"ok"}


def test_broken_a_spec_that_names_it_says_why(broken, named):
    done = broken.run("-c", COMMAND, "run", named(1.0, 0), "Once")
    assert done.returncode == 3, done.stderr
    assert "inferflow-plugin-example" in done.stderr
    assert "broken on purpose" in done.stderr
    assert "Traceback" not in done.stderr


def test_not_installed_a_spec_that_names_it_says_what_to_install(named):
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "run", named(1.0, 0), "Once"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == 3, done.stderr
    assert "pip install inferflow-plugin-example" in " ".join(done.stderr.split())
