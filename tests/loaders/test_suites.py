"""Every loader keeps the conformance suite."""

from pathlib import Path

import pytest

from inferflow_core.testing import LoaderSuite

CONFIG = '{"model_type": "llama", "hidden_size": 32}'


class OneFile(LoaderSuite):
    """A loader on the sample of conftest.py; `header_bytes` is what comes before its data."""

    sample: str
    file: str
    header_bytes: int

    @pytest.fixture(autouse=True)
    def _data(self, samples: dict[str, tuple[str, bytes]]) -> None:
        self.data = samples[self.sample][1]

    def write(self, folder: Path) -> Path:
        (folder / self.file).write_bytes(self.data)
        if self.name in ("safetensors", "pickle"):
            (folder / "config.json").write_text(CONFIG)
            return folder
        return folder / self.file

    def header(self, path: Path) -> tuple[Path, int]:
        return (path / self.file if path.is_dir() else path), self.header_bytes


class TestSafetensors(OneFile):
    name, sample, file, header_bytes = "safetensors", "safetensors", "model.safetensors", 150


class TestPickle(OneFile):
    name, sample, file, header_bytes = "pickle", "torch_zip", "pytorch_model.bin", 200


class TestGGUF(OneFile):
    name, sample, file, header_bytes = "gguf", "gguf_v3", "model.gguf", 300


class TestLlama2c(OneFile):
    name, sample, file, header_bytes = "llama2c", "llama2c_v0", "model.bin", 28
