"""`inferflow doctor`: what it finds, what it calls a problem, what it keeps to itself."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from inferflow_server.cli import doctor, doctor_install

from inferflow_core.catalog import Catalog, Entry
from inferflow_core.interfaces import Finding


@pytest.fixture
def findings(inferflow: Any) -> Any:
    """findings(*options) -> exit code, {what: finding}."""

    def call(*options: str) -> Any:
        done = inferflow("doctor", "--json", *options)
        report = json.loads(done.out)
        found = {each["what"]: each for each in report["findings"]}
        assert report["ok"] == (done.code == 0)
        assert {each["state"] for each in found.values()} <= {"ok", "warning", "problem"}
        return done.code, found

    return call


def test_a_good_installation(findings: Any) -> None:
    code, found = findings()
    assert code == 0
    assert found["backend numpy"]["state"] == "ok"
    assert found["backend = auto"]["facts"]["backend"] in ("cpu", "numpy")
    assert found["python"]["text"].endswith(sys.executable)
    assert found["libraries"]["facts"]["numpy"]
    assert found["memory"]["facts"]["free"] > 0


def test_as_text(inferflow: Any) -> None:
    done = inferflow("doctor")
    assert done.code == 0
    assert any(line.split()[:3] == ["ok", "backend", "numpy"] for line in done.out.splitlines())
    assert done.err.endswith(" 0 problems\n")


def test_secrets_are_hidden(findings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERFLOW_API_KEY", "sesame")
    monkeypatch.setenv("HF_TOKEN", "hf_sesame")
    monkeypatch.setenv("HF_ENDPOINT", "https://me:sesame@example.org")
    _, found = findings()
    assert found["variable INFERFLOW_API_KEY"]["text"] == "(hidden)"
    assert "sesame" not in json.dumps(found)
    assert found["variable HF_ENDPOINT"]["text"] == "https://(hidden)@example.org"


def test_a_misspelt_variable_is_a_warning(findings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERFLOW_OFLINE", "1")
    code, found = findings()
    assert code == 0
    assert found["variable INFERFLOW_OFLINE"]["state"] == "warning"
    assert "'INFERFLOW_OFFLINE'" in found["variable INFERFLOW_OFLINE"]["text"]


def test_a_wrong_file_of_settings_is_a_problem(
    findings: Any, inferflow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[serve]\nprot = 1\n", "utf-8")
    monkeypatch.setenv("INFERFLOW_CONFIG", str(path))
    code, found = findings()
    assert code == 8
    assert found["settings"]["state"] == "problem"
    assert "serve.prot" in found["settings"]["text"]
    assert "1 problem: settings" in inferflow("doctor").err


def test_a_cache_that_is_a_file_is_a_problem(
    findings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("not a folder", "utf-8")
    monkeypatch.setenv("INFERFLOW_CACHE", str(tmp_path / "cache" / "models"))
    code, found = findings()
    assert code == 8
    assert found["model cache"]["state"] == "problem"


def test_a_broken_plugin_is_a_warning_and_names_its_distribution() -> None:
    entry = Entry("norm", "acme.poly", "no_such_module:Poly", "acme-plugin", "1.0")
    first, broken = doctor_install.plugins(Catalog([entry]))
    assert first.text == "1 entries of 1 other distributions, 1 broken"
    assert (broken.what, broken.state) == ("plugin acme.poly", "warning")
    assert "no_such_module" in broken.text
    assert "INFERFLOW_DISABLE=acme-plugin" in broken.help


def test_a_backend_that_raises_keeps_no_other_from_being_examined(installed: Catalog) -> None:
    class Raises:
        def __init__(self, catalog: Catalog) -> None:
            raise OSError("no driver")

    catalog = Catalog([each for each in installed.entries() if "." not in each.name])
    catalog.add("backend", "acme.raises", Raises)
    found = {f.what: f for f in installed.get("engine", "continuous").examine(catalog)}
    assert found["backend acme.raises"].state == "warning"
    assert "no driver" in found["backend acme.raises"].text
    assert found["backend numpy"].state == "ok"


def test_the_read_speed_is_measured_only_when_asked(
    findings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "memory: read speed" not in findings()[1]
    bandwidth = SimpleNamespace(read_bytes_per_s=lambda: 2.5e9)
    monkeypatch.setitem(sys.modules, "inferflow_server.cli.bandwidth", bandwidth)
    assert findings("--measure")[1]["memory: read speed"]["text"].startswith("2.5 GB/s")


def test_more_than_one_problem_is_counted(inferflow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = [Finding(name, "problem", "is gone") for name in ("one", "two")]
    monkeypatch.setattr(doctor, "installation", lambda: bad)
    done = inferflow("doctor")
    assert done.code == 8
    assert "2 problems: one, two" in done.err


def test_bad_input(inferflow: Any) -> None:
    assert inferflow("doctor", "--mesure").code == 2
