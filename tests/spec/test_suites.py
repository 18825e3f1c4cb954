"""Every spec and name map of the package keeps the conformance suite."""

from inferflow_core.catalog import Catalog
from inferflow_core.testing import NamesSuite, SpecSuite

OURS = [e for e in Catalog().entries() if e.distribution == "inferflow-core"]


def suite(base: type, name: str) -> type:
    return type(f"Test_{name}", (base,), {"name": name})


globals().update({f"TestSpec_{e.name}": suite(SpecSuite, e.name) for e in OURS if e.kind == "spec"})
globals().update(
    {f"TestNames_{e.name}": suite(NamesSuite, e.name) for e in OURS if e.kind == "names"}
)
