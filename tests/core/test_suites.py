"""Suites that no entry of ours can show: of hooks and of kernels. Each can fail."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from inferflow_core.catalog import Catalog
from inferflow_core.hooks import hookimpl
from inferflow_core.optable import Op
from inferflow_core.shapes import same
from inferflow_core.testing import HookSuite, KernelSuite


class Commands:
    """Adds a command."""

    @hookimpl
    def inferflow_cli_commands(self) -> Mapping[str, Any]:
        return {"mine": print}


class Fails:
    """Fails when it is asked."""

    @hookimpl
    def inferflow_http_routes(self) -> list[Any]:
        raise OSError("no routes today")


class TestHook(HookSuite):
    name = "xyz.commands"
    plugin: ClassVar[Any] = Commands()

    def catalog(self) -> Catalog:
        catalog = Catalog()
        catalog.add("hook", self.name, self.plugin)
        return catalog


def test_a_hook_that_fails_does_not_keep_the_suite() -> None:
    suite = TestHook()
    suite.plugin = Fails()  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(AssertionError):
        suite.test_commands_and_routes_are_given_without_trouble()


class NeverTakesIt(KernelSuite):
    name = "xyz.twice@cpu"

    def catalog(self) -> Catalog:
        catalog = Catalog()
        catalog.add("op", "xyz.twice", Op(same, reference=lambda x: x * 2))
        catalog.add("kernel", "xyz.twice@cpu", lambda low, node: False)
        return catalog


def test_a_kernel_that_never_takes_its_op_does_not_keep_the_suite() -> None:
    pytest.importorskip("numba", reason="the cpu backend needs numba")
    suite = NeverTakesIt()
    suite.test_equals_the_reference()
    with pytest.raises(AssertionError):
        suite.test_the_backend_takes_it()
