"""How far our logits are from stored reference results, family by family.

    python benchmarks/families.py FAMILIES [--backend numpy] [--backend cpu]

FAMILIES has a folder for each, with `model/` and `ref/reference.npz`: ids (`ids_K`, or `enc_ids_K`
and `dec_ids_K`) and what a reference implementation makes of them. Prints the largest absolute
difference of logits (of an encoder: of its last states), and how large the reference's numbers are.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import inferflow_core

Array = np.ndarray[Any, np.dtype[Any]]


def pairs(model: Any, reference: Any) -> Iterator[tuple[Array, Array]]:
    """Ours and the reference's, for each sequence."""
    for key in reference:
        kind, _, number = key.rpartition("_")
        ids = [reference[key].tolist()]
        if kind == "enc_ids":
            ours = model.logits([reference[f"dec_ids_{number}"].tolist()], encoder=ids)
        elif kind == "ids" and f"last_hidden_{number}" in reference:
            types = [reference[f"token_type_{number}"].tolist()]
            yield model.hidden(ids, token_types=types)[0], reference[f"last_hidden_{number}"]
            continue
        elif kind == "ids":
            ours = model.logits(ids)
        else:
            continue
        first = int(reference.get(f"logits_{number}_from", 0))
        yield ours[0][first:], reference[f"logits_{number}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("families", type=Path)
    parser.add_argument("--backend", action="append", choices=("numpy", "cpu"))
    arguments = parser.parse_args()
    backends = arguments.backend or ["numpy", "cpu"]
    print("| family | largest number | " + " | ".join(backends) + " |")
    print("|---" * (2 + len(backends)) + "|")
    worst = dict.fromkeys(backends, 0.0)
    for folder in sorted(arguments.families.iterdir()):
        reference = np.load(folder / "ref" / "reference.npz")
        largest = 0.0
        for backend in backends:
            with inferflow_core.load(folder / "model", backend=backend) as model:
                compared = list(pairs(model, reference))
            found = max(float(np.abs(ours - theirs).max()) for ours, theirs in compared)
            largest = max(float(np.abs(theirs).max()) for _, theirs in compared)
            worst[backend] = max(worst[backend], found)
            print(f"| {folder.name} | {largest:.1f} " if backend == backends[0] else "", end="")
            print(f"| {found:.1e} ", end="", flush=True)
        print("|")
    print("| worst | | " + " | ".join(f"{worst[backend]:.1e}" for backend in backends) + " |")


if __name__ == "__main__":
    main()
