"""Both sources keep the conformance suite."""

from inferflow_core.testing import SourceSuite


class TestLocal(SourceSuite):
    name = "local"
    absent = "local:surely/not/there"
    bad_references = ("", "local:", "surely/not/there")


class TestPyPI(SourceSuite):
    name = "pypi"
    absent = "pypi:surely-not-there==0.0.0"
    bad_references = ("", "pypi:package", "pypi:package>=1.0", "pypi:../x==1", "pypi:-r file==1")
