"""What every entry must keep, of whatever kind."""

from __future__ import annotations

from typing import Any, ClassVar

from inferflow_core.catalog import API, Catalog
from inferflow_core.testing.probe import Prober


class EntrySuite:
    """Base of the suites: the catalog, and the test that the entry is in it."""

    kind: ClassVar[str]
    name: ClassVar[str]

    def catalog(self) -> Catalog:
        return Catalog()

    def prober(self) -> Prober:
        """The reference backend's: it runs models on random weights and makes arrays."""
        catalog = self.catalog()
        return catalog.get("backend", "numpy")(catalog).prober()

    def entry(self) -> Any:
        """What is registered under the name."""
        return self.catalog().get(self.kind, self.name)

    def test_is_registered_and_loads(self) -> None:
        assert self.entry() is not None

    def test_is_written_for_this_interface(self) -> None:
        assert getattr(self.entry(), "api", API) == API

    def test_says_what_it_is(self) -> None:
        """Classes have a docstring: `inferflow plugins show` prints it."""
        entry = self.entry()
        assert not isinstance(entry, type) or (entry.__doc__ or "").strip()
