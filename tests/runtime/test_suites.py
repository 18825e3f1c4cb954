"""The engine keeps the conformance suite."""

from inferflow_core.testing import EngineSuite


class TestContinuous(EngineSuite):
    name = "continuous"
