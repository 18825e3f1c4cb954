"""Suite of sources."""

from __future__ import annotations

from typing import ClassVar

from inferflow_core.errors import SourceError
from inferflow_core.interfaces import Source
from inferflow_core.testing.registered import EntrySuite


class SourceSuite(EntrySuite):
    """Give `name`, a well-formed reference to nothing, and references that must be refused."""

    kind: ClassVar[str] = "source"
    absent: ClassVar[str]
    bad_references: ClassVar[tuple[str, ...]] = ("",)

    def make(self) -> Source:
        return self.entry()()

    def test_what_is_not_there_is_not_located(self) -> None:
        assert self.make().locate(self.absent) is None

    def test_bad_references_are_refused(self) -> None:
        for reference in self.bad_references:
            try:
                self.make().pull(reference, sha256=None, progress=lambda done, total: None)
            except SourceError:
                continue
            raise AssertionError(f"{reference!r} was not refused")
