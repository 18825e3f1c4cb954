"""`plugins check`: what it finds of a good plugin, and of each way not to be one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from inferflow_server.cli.plugin_findings import requirement

BLOCK = """
from dataclasses import dataclass
from inferflow_core.block import FFN, Norm
"""
GOOD = f"""{BLOCK}
@dataclass(frozen=True, kw_only=True)
class Good(Norm):
    \"\"\"Leaves x as it is.\"\"\"
    eps: float = 1.0
    def forward(self, ops, w, x, ctx):
        return x
"""
NUMPY = f"import numpy{GOOD}"
LOOSE = f"""{BLOCK}
class Good(Norm):
    def forward(self, ops, w, x):
        return x
"""
ANY_FIELD = GOOD.replace("eps: float", "eps: object")
OTHER_KIND = GOOD.replace("(Norm)", "(FFN)")
OLD = GOOD.replace("eps: float", "api = 99; eps: float")
SAMPLER = """
class Good:
    api = 1
    def check(self, values): return ""
"""
FORMAT = """
class Good:
    \"\"\"Nothing.\"\"\"
    api = 1
    name, block, block_bytes = "other", 0, 1
    def unpack(self, data): ...
    def pack(self, values): ...
"""
NOISY = "print('hello', end='')" + GOOD
MODULES = {
    "norm": {
        "good": GOOD,
        "numpyish": NUMPY,
        "loose": LOOSE,
        "any_field": ANY_FIELD,
        "other_kind": OTHER_KIND,
        "old": OLD,
        "noisy": NOISY,
        "ends": "import os; os._exit(0)",
        "broken": "import no_such_module_of_ours",
        "absent": None,
    },
    "sampler": {"half": SAMPLER},
    "format": {"strange": FORMAT},
}


@pytest.fixture
def found(
    inferflow: Any,
    installs: Callable[[Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., dict[str, list[str]]]:
    """found(modules): what is said of each entry of a distribution made of them."""

    def found(modules: dict[str, dict[str, str | None]]) -> dict[str, list[str]]:
        lines = ["[project]", 'name = "xyz-plugins"', 'version = "1"', "[project.entry-points]"]
        (tmp_path / "xyz_plugins").mkdir()
        for kind, each in modules.items():
            group = "inferflow.blocks.norm" if kind == "norm" else f"inferflow.{kind}s"
            lines.append(f'[project.entry-points."{group}"]')
            for name, source in each.items():
                lines.append(f'"xyz.{name}" = "xyz_plugins.{name}:Good"')
                if source is not None:
                    (tmp_path / "xyz_plugins" / f"{name}.py").write_text(source)
        (tmp_path / "pyproject.toml").write_text("\n".join(lines))
        installs(tmp_path)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path))
        done = inferflow("plugins", "check", "xyz", "--json")
        said: dict[str, list[str]] = {}
        for each in json.loads(done.out):
            said.setdefault(each["name"], []).append(f"{each['level']}: {each['message']}")
        levels = [line.partition(":")[0] for lines in said.values() for line in lines]
        assert done.code == (4 if "problem" in levels else 0)
        return said

    return found


def test_what_is_found(found: Any) -> None:
    said = found(MODULES)
    assert "problem: does not require inferflow-core: add a requirement with bounds" in said[""]
    assert {line.partition(":")[0] for line in said["xyz.good"]} == {"ok"}
    assert "ok: Leaves x as it is." in said["xyz.good"]

    def problems(name: str) -> str:
        return "; ".join(line for line in said[f"xyz.{name}"] if not line.startswith("ok"))

    assert "problem: a block computes with `ops`, and this one imports numpy" in problems(
        "numpyish"
    )
    assert "is no frozen dataclass" in problems("loose")
    assert "cannot be called as forward(self, ops" in problems("loose")
    assert "warning: is missing" in problems("loose")
    assert "no spec can fill a field of type" in problems("any_field")
    assert "is no subclass of the block kind 'norm'" in problems("other_kind")
    assert "written for plugin interface 99" in problems("old")
    assert problems("noisy") == "warning: prints when it is imported: 'hello'"
    assert "exit code 0" in problems("ends")
    assert "No module named 'no_such_module_of_ours'" in problems("broken")
    assert "No module named 'xyz_plugins.absent'" in problems("absent")
    assert "has no __call__(self, logits" in problems("half")
    assert "is no frozen dataclass" in problems("half")
    assert "says that its name is 'other'" in problems("strange")
    assert "block = 0; it must be" in problems("strange")
    assert "cannot be called as unpack(self, data" in problems("strange")


def test_good_plugins_are_no_error(inferflow: Any, found: Any) -> None:
    said = found({"norm": {"good": GOOD}})
    assert said.keys() == {"", "xyz.good"}
    text = inferflow("plugins", "check", "xyz-plugins")
    assert text.code == 4, "it requires no inferflow-core"
    assert "norm xyz.good" in text.out
    assert "1 plugin: 1 problem, 0 warnings" in text.err


def test_nothing_of_that_name(inferflow: Any) -> None:
    done = inferflow("plugins", "check", "xyy")
    assert (done.code, done.out) == (4, "")
    assert "no plugin of 'xyy' is installed" in done.err


@pytest.mark.parametrize(
    ("requires", "level"),
    [
        (["inferflow-core>=0.1,<0.2"], "ok"),
        (["numpy>=1", "Inferflow_Core (>=0.1,<1)"], "ok"),
        (["inferflow-core~=0.1"], "ok"),
        (["inferflow-core[hub]==0.1.0"], "ok"),
        (["inferflow-core>=0.1"], "warning"),
        (["inferflow-core"], "warning"),
        (["inferflow-core>=0.2,<0.3"], "problem"),
        (["inferflow-core<0.1"], "problem"),
        (["inferflow-core!=0.1.0,<1"], "problem"),
        (["inferflow>=0.1,<0.2"], "problem"),
        (["inferflow-core>=0.1,<0.2; extra == 'test'"], "problem"),
        ([], "problem"),
    ],
)
def test_requirements(requires: list[str], level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inferflow_server.cli.plugin_findings.__version__", "0.1.0")
    assert requirement(requires)[0] == level
