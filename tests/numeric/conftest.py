"""Fixtures of whole models against stored results."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import oracles
import pytest

import inferflow_core


@pytest.fixture(scope="module")
def opened(
    request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """`model` and `stored` of a (name, form, backend): the form alone, in a folder of its own."""
    name, form, backend = request.param
    if backend == "cpu":
        pytest.importorskip("numba", reason="the cpu backend needs numba")
    source = shared / "oracles" / "families" / name / "model"
    folder = oracles.link_form(source, form, tmp_path_factory.mktemp(name))
    with inferflow_core.load(folder, backend=backend, set={"run.threads": 1}) as model:
        stored = oracles.results(shared, name)
        yield SimpleNamespace(model=model, stored=stored, name=name, backend=backend)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`opened` goes over every form of every checkpoint of the module's NETWORK, on each
    backend."""
    if "opened" not in metafunc.fixturenames:
        return
    cases = [
        pytest.param(
            (name, form, backend),
            id=f"{name}-{oracles.suffix_of(form)}-{backend}",
            marks=[] if backend == "numpy" or name in oracles.FIRST else pytest.mark.slow,
        )
        for name, form in oracles.of_network(vars(metafunc.module)["NETWORK"])
        for backend in ("numpy", "cpu")
    ]
    metafunc.parametrize("opened", cases, indirect=True)
