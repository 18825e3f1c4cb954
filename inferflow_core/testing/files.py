"""Suites of loaders, name maps and specs."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import ClassVar

from inferflow_core.errors import ModelFileError
from inferflow_core.interfaces import Loader
from inferflow_core.spec import check, read_spec
from inferflow_core.spec.names_reader import read_names
from inferflow_core.testing.registered import EntrySuite


class LoaderSuite(EntrySuite):
    """Give `name` and `write`, which makes a small valid model in a folder.

    `header_bytes` says how much of its main file describes the rest.
    """

    kind: ClassVar[str] = "loader"

    def make(self) -> Loader:
        return self.entry()()

    def write(self, folder: Path) -> Path:
        """Writes a model; returns what a user would name: its file or folder."""
        raise NotImplementedError

    def header(self, path: Path) -> tuple[Path, int]:
        """The file that has the header, and the header's size."""
        raise NotImplementedError

    def test_recognises_its_own_and_nothing_else(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "model").mkdir()
            path = self.write(folder / "model")
            assert self.make().recognises(path)
            (folder / "other.txt").write_text("nothing")
            assert not self.make().recognises(folder / "other.txt")
            assert not self.make().recognises(folder / "absent")

    def test_every_tensor_reads(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            checkpoint = self.make().open(self.write(Path(name)))
            assert checkpoint.tensors
            assert checkpoint.config
            for info in checkpoint.tensors.values():
                assert checkpoint.read(info.name).nbytes == info.nbytes
                self.catalog().get("format", info.format)
            checkpoint.close()

    def test_a_cut_header_is_an_error(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            path = self.write(Path(name))
            file, size = self.header(path)
            data = file.read_bytes()
            for length in range(0, size, max(1, size // 64)):
                file.write_bytes(data[:length])
                try:
                    self.make().open(path).close()
                except ModelFileError:
                    continue
                raise AssertionError(f"cut at byte {length}, the file still opens")


class NamesSuite(EntrySuite):
    """Give `name`: the map reads without a problem."""

    kind: ClassVar[str] = "names"

    def test_reads(self) -> None:
        catalog = self.catalog()
        assert read_names(self.name, lambda name: catalog.get("names", name)).rules


class SpecSuite(EntrySuite):
    """Give `name`: all that can be checked of the spec without a checkpoint is right."""

    kind: ClassVar[str] = "spec"

    def test_checks(self) -> None:
        check(read_spec(self.name, self.catalog()), self.catalog())
