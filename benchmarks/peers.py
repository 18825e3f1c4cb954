"""Inferflow's `cpu` backend beside its peers, in turns, on the same files and processors.

    python benchmarks/peers.py FOLDER --llamacpp BUILD/bin [--openvino PYTHON] [--runs runs.jsonl]

FOLDER holds what `models.py` writes. Each round reads the memory's speed, then asks one engine
after the other; each figure goes to a line of `--runs` at once, and a line that is there is not
measured again, so that an interrupted run goes on. At the end, or alone with `--table`, the
tables of RESULTS.md: medians, and ratios to the best peer within a round.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from gguf import GGUFReader
from ours import Inferflow
from peer_llamacpp import LlamaCpp
from peer_openvino import OpenVINO
from peer_tables import Row, tables
from processes import BESIDE, output

ALL = ("smol-q4_0", "smol-q4_1", "smol-q8_0", "llama1b-q4_0", "llama1b-q8_0", "llama1b-bf16")
FAST = ("smol-q4_0", "llama1b-q4_0")
PARTS = {
    "single": ALL,
    "batch": FAST,
    "hog": FAST,
    "start": FAST,
    "http": ("smol-q4_0",),
    "memory": ("llama1b-q4_0",),
    "long": ("llama1b-q4_0",),
}
"""The models of each part, where none are named."""
FAILURES = (RuntimeError, ValueError, KeyError, OSError, subprocess.SubprocessError)
Engine = Inferflow | LlamaCpp | OpenVINO


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--llamacpp", type=Path, help="folder of llama-bench and its like")
    parser.add_argument("--openvino", type=Path, help="a Python that has openvino-genai")
    parser.add_argument("--runs", type=Path, default=Path("peers.jsonl"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default=",".join(PARTS), help=", ".join(PARTS))
    parser.add_argument("--models", help=f"instead of each part's: {', '.join(ALL)}")
    parser.add_argument("--set", action="append", default=[], help="of inferflow's spec")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    given = parser.parse_args()
    if not given.table:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: given.threads])
        engines: list[Engine] = [Inferflow(given.set)]
        if given.llamacpp:
            engines.append(LlamaCpp(given.llamacpp))
        if given.openvino:
            engines.append(OpenVINO(given.openvino))
        chosen = given.models.split(",") if given.models else None
        for model in chosen or ALL:
            for part in given.only.split(","):
                if chosen or model in PARTS[part]:
                    measure(part, given.folder / f"{model}.gguf", engines, given.rounds, given.runs)
            for engine in engines:
                engine.close()
    print(tables(rows(given.runs)))


def measure(part: str, file: Path, engines: list[Engine], rounds: int, runs: Path) -> None:
    able = [engine for engine in engines if hasattr(engine, part)]
    weights = bytes_a_token(file)
    for number in range(1, rounds + 1):
        key = {"part": part, "model": file.stem, "round": number}
        have = {row["engine"] for row in rows(runs) if key.items() <= row.items()}
        missing = [engine for engine in able if engine.name not in have]
        if not missing:
            continue
        read = float(output([sys.executable, str(BESIDE / "probe.py")]))
        for engine in missing:
            row: Row = {**key, "engine": engine.name, "read": read, "weights": weights}
            row["load"], start = os.getloadavg()[0], time.perf_counter()
            try:
                row["figures"] = getattr(engine, part)(file)
                row["seconds"] = round(time.perf_counter() - start, 1)
            except FAILURES as error:
                print(f"{key} {engine.name}: {error}", file=sys.stderr, flush=True)
                continue
            with runs.open("a") as lines:
                lines.write(json.dumps(row) + "\n")
            print(json.dumps(row), file=sys.stderr, flush=True)


def rows(runs: Path) -> list[Row]:
    return [json.loads(line) for line in runs.read_text().splitlines()] if runs.exists() else []


def bytes_a_token(file: Path) -> int:
    """Of the weights that one step reads: all but an embedding that is not the head too."""
    sizes = {tensor.name: int(tensor.n_bytes) for tensor in GGUFReader(file).tensors}
    untied = "output.weight" in sizes
    return sum(sizes.values()) - untied * sizes["token_embd.weight"]


if __name__ == "__main__":
    main()
