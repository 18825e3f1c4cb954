"""Families against the classes of `transformers`: see `checkpoints.py`."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("checkpoints")


HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A family's first size on numpy is fast; other sizes and backends take their time with the
    slow tests."""
    for item in items:
        if HERE in item.path.parents and isinstance(item, pytest.Function):
            chosen = getattr(getattr(item, "callspec", None), "params", {})
            if chosen.get("backend") == "cpu" or chosen.get("seed"):
                item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of tests share a machine, and threads that spin there wait for each other. How
    many there are makes no difference to a bit: tests/numeric/test_law.py."""
    monkeypatch.setattr("inferflow_backends.cpu.threads.default_threads", lambda: 1)


@pytest.fixture(params=["numpy", "cpu"])
def backend(request: pytest.FixtureRequest) -> str:
    if request.param == "cpu":
        pytest.importorskip("numba", reason="the cpu backend needs numba")
    return request.param
