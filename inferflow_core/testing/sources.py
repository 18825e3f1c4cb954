"""Suite of sources."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, NamedTuple
from unittest import mock

from inferflow_core.errors import SourceError
from inferflow_core.interfaces import Source
from inferflow_core.testing.network import no_network
from inferflow_core.testing.registered import EntrySuite


class Sample(NamedTuple):
    """Something small that a test can really pull, from a server of its own."""

    reference: str
    """A pinned one."""
    sha256: str | None
    """What `pull` takes beside it; None where the reference itself says all."""


class SourceSuite(EntrySuite):
    """What every source keeps.

    * `locate` and `pinned` never touch the network and start no process; what has not been pulled
      is not there.
    * A reference that is malformed is refused with a SourceError, and what cannot be fetched fails
      with one; afterwards nothing is there that was not before.
    * What was pulled is located, under its hash too, and pulling it again touches no network. A
      pull tells its progress, never going back and never beyond the whole.
    * A wrong hash is refused, and leaves nothing that could be taken for the model.

    Give `name`, `absent`, a well-formed reference to nothing, and `bad_references`. The last two
    lines are tested if `sample` gives something to pull: override it, and serve it from the
    test itself (a loopback server, a local folder). Each test has a cache of its own.
    """

    kind: ClassVar[str] = "source"
    absent: ClassVar[str]
    absent_sha256: ClassVar[str | None] = None
    """For sources that pull nothing without a hash."""
    bad_references: ClassVar[tuple[str, ...]] = ("",)

    def make(self) -> Source:
        return self.entry()()

    def sample(self) -> Sample | None:
        """None: nothing can be pulled in a test."""
        return None

    def test_what_is_not_there_is_not_located(self) -> None:
        """What has not been pulled is not there; asking touches no network."""
        with own_cache(), no_network():
            assert self.make().locate(self.absent) is None
            assert self.make().pinned(self.absent) in (True, False)

    def test_bad_references_are_refused(self) -> None:
        """A malformed reference is a SourceError."""
        with own_cache():
            for reference in self.bad_references:
                assert refuses(self.make(), reference, None), f"{reference!r} was not refused"

    def test_what_cannot_be_fetched_leaves_nothing(self) -> None:
        """What cannot be fetched is a SourceError, and leaves nothing behind."""
        with own_cache():
            assert refuses(self.make(), self.absent, self.absent_sha256)
            assert self.make().locate(self.absent, sha256=self.absent_sha256) is None

    def test_what_was_pulled_is_there(self) -> None:
        """What was pulled is located, and pulling it again touches no network."""
        sample = self.sample()
        if sample is None:
            return
        told: list[tuple[int, int | None]] = []
        with own_cache():
            path = self.make().pull(
                sample.reference,
                sha256=sample.sha256,
                progress=lambda done, total: told.append((done, total)),
            )
            assert path.exists()
            with no_network():
                assert self.make().pinned(sample.reference)
                assert self.make().locate(sample.reference, sha256=sample.sha256) == path
                assert pull(self.make(), sample.reference, sample.sha256) == path
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert all(total is None or done <= total for done, total in told)

    def test_a_wrong_hash_is_refused(self) -> None:
        """A wrong hash is a SourceError, and leaves nothing that could be taken for the model."""
        sample = self.sample()
        if sample is None:
            return
        with own_cache():
            assert refuses(self.make(), sample.reference, "0" * 64)
            assert self.make().locate(sample.reference) is None


def pull(source: Source, reference: str, sha256: str | None) -> Path:
    return source.pull(reference, sha256=sha256, progress=lambda done, total: None)


def refuses(source: Source, reference: str, sha256: str | None) -> bool:
    try:
        pull(source, reference, sha256)
    except SourceError as error:
        return bool(error.message)
    return False


@contextmanager
def own_cache() -> Generator[Path]:
    """An empty cache until the end of the block."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict(os.environ, {"INFERFLOW_CACHE": folder}),
    ):
        yield Path(folder)
