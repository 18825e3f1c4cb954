"""What every entry must keep, of whatever kind."""

from __future__ import annotations

from typing import Any, ClassVar

from inferflow_core.catalog import API, Catalog
from inferflow_core.testing.interface import interface_problems
from inferflow_core.testing.probe import Prober


class EntrySuite:
    """Base of all suites. Every suite is given `name`, the name of the entry."""

    kind: ClassVar[str]
    name: ClassVar[str]

    def catalog(self) -> Catalog:
        """What is installed. Override it to test something that is not: `Catalog.add`."""
        return Catalog()

    def prober(self) -> Prober:
        """The reference backend's: it runs models on random weights and makes arrays."""
        catalog = self.catalog()
        return catalog.get("backend", "numpy")(catalog).prober()

    def entry(self) -> Any:
        """What is registered under the name."""
        return self.catalog().get(self.kind, self.name)

    def test_is_registered_and_loads(self) -> None:
        """The name is registered under the kind, and its module imports."""
        assert self.entry() is not None

    def test_is_written_for_this_interface(self) -> None:
        """Its `api`, where it says one, is that of the installed inferflow-core."""
        assert getattr(self.entry(), "api", API) == API

    def test_has_the_interface_of_its_kind(self) -> None:
        """Methods are there and take what callers pass; fields are what a spec can say."""
        wrong = interface_problems(self.kind, self.name, self.entry(), self.catalog())
        assert list(wrong) == []

    def test_says_what_it_is(self) -> None:
        """A class has a docstring: `inferflow plugins show` prints it."""
        entry = self.entry()
        assert not isinstance(entry, type) or (entry.__doc__ or "").strip()
