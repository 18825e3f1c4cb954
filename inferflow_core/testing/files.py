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
    """Give `name`; `write`, which makes a small valid model in a folder; and `header`, which says
    how much of its main file describes the rest."""

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
        """It knows its own files by name and magic, and no other, nor what is not there."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "model").mkdir()
            path = self.write(folder / "model")
            assert self.make().recognises(path)
            (folder / "other.txt").write_text("nothing")
            assert not self.make().recognises(folder / "other.txt")
            assert not self.make().recognises(folder / "absent")

    def test_every_tensor_reads(self) -> None:
        """Each tensor has as many bytes as it says, in a format that exists; there is a config."""
        with tempfile.TemporaryDirectory() as name:
            checkpoint = self.make().open(self.write(Path(name)))
            assert checkpoint.tensors
            assert checkpoint.config
            for info in checkpoint.tensors.values():
                assert checkpoint.read(info.name).nbytes == info.nbytes
                self.catalog().get("format", info.format)
            checkpoint.close()

    def test_a_cut_header_is_an_error(self) -> None:
        """Cut anywhere within its header, a file is a ModelFileError, and nothing else."""
        with tempfile.TemporaryDirectory() as name:
            path = self.write(Path(name))
            file, size = self.header(path)
            data, loader = file.read_bytes(), self.make()
            for length in range(0, size, max(1, size // 64)):
                file.write_bytes(data[:length])
                try:
                    loader.open(path).close()
                except ModelFileError:
                    continue
                raise AssertionError(f"cut at byte {length}, the file still opens")

    def test_a_changed_header_opens_or_is_an_error(self) -> None:
        """With any byte of its header changed, a file opens and reads within bounds, or is a
        ModelFileError; nothing else comes out."""
        with tempfile.TemporaryDirectory() as name:
            path = self.write(Path(name))
            file, size = self.header(path)
            data, loader = file.read_bytes(), self.make()
            for place in range(0, size, max(1, size // 64)):
                for change in (0x01, 0x80, 0xFF):
                    changed = bytearray(data)
                    changed[place] ^= change
                    file.write_bytes(changed)
                    try:
                        checkpoint = loader.open(path)
                    except ModelFileError:
                        continue
                    for info in checkpoint.tensors.values():
                        assert checkpoint.read(info.name).nbytes == info.nbytes
                    checkpoint.close()


class NamesSuite(EntrySuite):
    """Give `name`, the name of the map."""

    kind: ClassVar[str] = "names"

    def test_reads(self) -> None:
        """The map reads without a problem, and has a rule."""
        catalog = self.catalog()
        assert read_names(self.name, lambda name: catalog.get("names", name)).rules


class SpecSuite(EntrySuite):
    """Give `name`: all is checked that can be without a checkpoint."""

    kind: ClassVar[str] = "spec"

    def test_checks(self) -> None:
        """Names, keys and types are right in all its branches."""
        check(read_spec(self.name, self.catalog()), self.catalog())
