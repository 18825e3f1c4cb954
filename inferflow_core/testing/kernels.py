"""Suite of kernels: an op of a backend's own making."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from typing import Any, ClassVar
from unittest import SkipTest, mock

from inferflow_core.block import Model
from inferflow_core.catalog import Catalog
from inferflow_core.testing.ops import SEQUENCES, OpModel
from inferflow_core.testing.registered import EntrySuite


class KernelSuite(EntrySuite):
    """Give `name` (`xyz.op@backend`), and how many inputs [tokens, 32] and which attributes to
    try it with. Where the backend does not work, the tests are skipped, and say why."""

    kind: ClassVar[str] = "kernel"
    inputs: ClassVar[int] = 1
    attrs: ClassVar[Mapping[str, Any]] = {}
    tolerance: ClassVar[float] = 1e-5
    """Largest difference from the reference, as a share of the largest number."""

    def model(self) -> Model:
        """ids -> random vectors -> the op."""
        op, attrs = self.name.rpartition("@")[0], dict(self.attrs)
        return OpModel(hidden=32, vocab=30, op=op, inputs=self.inputs, attrs=attrs)

    def run(self, catalog: Catalog, backend: str, **how: Any) -> list[bytes]:
        """The op's results for each sequence. Raises SkipTest."""
        made = catalog.get("backend", backend)(catalog)
        if reason := made.available():
            raise SkipTest(f"backend {backend!r} does not work here: {reason}")
        prober = catalog.get("backend", "numpy")(catalog).prober(made)
        return prober.run(self.model(), SEQUENCES, **how)

    def test_the_backend_takes_it(self) -> None:
        """Asked for the op, it says yes: what is compared here is the kernel, not the reference."""
        catalog, answers = self.catalog(), list[Any]()
        get, kernel = catalog.get, self.entry()

        def asked(*arguments: Any, **named: Any) -> Any:
            answers.append(kernel(*arguments, **named))
            return answers[-1]

        def watched(kind: str, name: str) -> Any:
            return asked if (kind, name) == (self.kind, self.name) else get(kind, name)

        with mock.patch.object(catalog, "get", watched):
            self.run(catalog, self.name.rpartition("@")[2])
        assert answers
        assert all(answers)

    def test_equals_the_reference(self) -> None:
        """It gives what the op's numpy reference gives, within `tolerance`."""
        expected = array("f", b"".join(self.run(self.catalog(), "numpy")))
        found = array("f", b"".join(self.run(self.catalog(), self.name.rpartition("@")[2])))
        worst = max(abs(a - b) for a, b in zip(expected, found, strict=True))
        assert worst <= self.tolerance * max(1.0, max(map(abs, expected)))

    def test_numeric_law(self) -> None:
        """The same bits alone, in chunks, and with pages anywhere."""
        together = self.run(self.catalog(), self.name.rpartition("@")[2])
        assert (
            self.run(self.catalog(), self.name.rpartition("@")[2], chunk=5, shuffle_pages=True)
            == together
        )
