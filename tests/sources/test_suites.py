"""The sources keep the conformance suite."""

from pathlib import Path

import pytest

from inferflow_core.testing import SourceSuite
from inferflow_core.testing.sources import Sample


class TestLocal(SourceSuite):
    name = "local"
    absent = "local:surely/not/there"
    bad_references = ("", "local:", "surely/not/there")


class TestPyPI(SourceSuite):
    name = "pypi"
    absent = "pypi:surely-not-there==0.0.0"
    absent_sha256 = "ab" * 32
    bad_references = ("", "pypi:package", "pypi:package>=1.0", "pypi:../x==1", "pypi:-r file==1")

    @pytest.fixture(autouse=True)
    def index(self, links: Path, wheel_sha256: str) -> None:
        self.wheel = Sample("pypi:tiny-model==1.0", wheel_sha256)

    def sample(self) -> Sample:
        return self.wheel
