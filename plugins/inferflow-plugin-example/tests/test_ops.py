"""The two ops keep their suite, on every backend, and the kernel its own."""

from collections.abc import Mapping
from typing import Any, ClassVar

from inferflow_core.testing import KernelSuite, OpSuite


class TestScale(OpSuite):
    name = "example.scale"
    attrs: ClassVar[Mapping[str, Any]] = {"factor": 1.5}


class TestSoftsign(OpSuite):
    name = "example.softsign"


class TestScaleKernel(KernelSuite):
    name = "example.scale@cpu"
    attrs: ClassVar[Mapping[str, Any]] = {"factor": 1.5}
