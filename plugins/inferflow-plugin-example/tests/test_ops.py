"""The two ops keep their suite, on every backend."""

from collections.abc import Mapping
from typing import Any, ClassVar

from inferflow_core.testing import OpSuite


class TestScale(OpSuite):
    name = "example.scale"
    attrs: ClassVar[Mapping[str, Any]] = {"factor": 1.5}


class TestSoftsign(OpSuite):
    name = "example.softsign"
