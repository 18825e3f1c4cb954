"""The checkpoints of ../shared/oracles/families, as families.toml lists them."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Oracle:
    """A row of the table; its comment says what the columns are."""

    name: str
    family: str
    network: str
    reference: str
    forms: tuple[str, ...]
    derived: bool = False
    parsed: bool = False


TABLE = tomllib.loads(Path(__file__).with_name("families.toml").read_text("utf-8"))
TOLERANCE: float = TABLE["tolerance"]
ORACLES = {
    name: Oracle(name, **{**row, "forms": tuple(row["forms"])})
    for name, row in TABLE["checkpoints"].items()
}
FIRST = {oracle.family: oracle.name for oracle in reversed(ORACLES.values())}.values()
"""One checkpoint of each family; what is slow of the others is not in `make fast`."""


def of_network(network: str) -> list[tuple[str, str]]:
    """(name, form) of every form of every checkpoint of a kind of network."""
    return [(o.name, form) for o in ORACLES.values() if o.network == network for form in o.forms]


def suffix_of(form: str) -> str:
    """`bin, sharded` -> `bin`"""
    return form.partition(",")[0]


def link_form(source: Path, form: str, folder: Path) -> Path:
    """A folder of links to a checkpoint's files without the weights of its other forms."""
    others = {"safetensors", "bin"} - {suffix_of(form)}
    for path in source.iterdir():
        if path.name.removesuffix(".index.json").rpartition(".")[2] not in others:
            (folder / path.name).symlink_to(path)
    return folder


def results(shared: Path, name: str) -> dict[str, Array]:
    """The stored arrays, by name."""
    path = shared / "oracles" / "families" / name / "ref" / "reference.npz"
    with np.load(path) as stored:
        return dict(stored)


def numbered(stored: dict[str, Array], prefix: str) -> list[str]:
    """The numbers K of the arrays `prefix_K`. There are some: a test without any shows nothing."""
    found = [key.removeprefix(f"{prefix}_") for key in stored if key.startswith(f"{prefix}_")]
    numbers = sorted(key for key in found if key.isdigit())
    assert numbers, f"no {prefix}_K"
    return numbers
