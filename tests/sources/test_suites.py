"""The sources keep the conformance suite."""

import hashlib
from pathlib import Path

import pytest
from hub import COMMIT, StubHub
from web_server import WebServer

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


class TestHTTPS(SourceSuite):
    name = "https"
    absent = "https://127.0.0.1:9/m.gguf"
    absent_sha256 = "ab" * 32
    bad_references = ("", "https:", "https://host", "https://u:p@host/m.gguf", "https://h/m.py")

    @pytest.fixture(autouse=True)
    def served(self, web: WebServer) -> None:
        web.file("/m.gguf", b"GGUF" * 1000)
        digest = hashlib.sha256(b"GGUF" * 1000).hexdigest()
        self.file = Sample(f"{web.url}/m.gguf", digest)

    def sample(self) -> Sample:
        return self.file


class TestHub(SourceSuite):
    name = "hf"
    absent = f"hf:owner/nothing@{COMMIT}"
    bad_references = ("", "hf:", "hf:name", "hf:owner/..", "hf:owner/name:../x.gguf")

    @pytest.fixture(autouse=True)
    def served(self, hub: StubHub) -> None:
        hub.add("owner/name", {"config.json": b"{}", "model.safetensors": b"x" * 5000})

    def sample(self) -> Sample:
        return Sample(f"hf:owner/name@{COMMIT}", None)
