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
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from gguf import GGUFReader
from ours import Inferflow
from peer_llamacpp import LlamaCpp
from peer_openvino import OpenVINO
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
ONE_AT_A_TIME = ("decode at 512", "decode at 8k")
"""Where weights are read once a token: the rate times their bytes is a share of the memory's."""
LESS_IS_BETTER = ("first token, s", "peak memory, GB")
Engine = Inferflow | LlamaCpp | OpenVINO
Row = dict[str, Any]


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
            except (RuntimeError, ValueError, KeyError, subprocess.SubprocessError) as error:
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


def tables(found: list[Row]) -> str:
    """A table of medians and one of raw runs, in markdown."""
    values: dict[tuple[str, str], dict[str, dict[int, float]]] = {}
    for row in found:
        for figure, value in row["figures"].items():
            by_engine = values.setdefault((figure, row["model"]), {})
            by_engine.setdefault(row["engine"], {})[row["round"]] = value
    reads = {(row["part"], row["model"], row["round"]): row["read"] for row in found}
    parts = {figure: row["part"] for row in found for figure in row["figures"]}
    weights = {row["model"]: row["weights"] for row in found}
    names = [engine.name for engine in (Inferflow, LlamaCpp, OpenVINO)]
    medians = [f"| figure | model | {' | '.join(names)} | ratio to the best peer | share of read |"]
    medians += ["|---" * (len(names) + 4) + "|"]
    raw = ["| figure | model | round | read, GB/s | " + " | ".join(names) + " |"]
    raw += ["|---" * (len(names) + 4) + "|"]
    for (figure, model), engines in values.items():
        middle = {name: statistics.median(each.values()) for name, each in engines.items()}
        less = figure in LESS_IS_BETTER
        ours, share = engines.get(Inferflow.name, {}), ""
        speeds = {number: reads[parts[figure], model, number] for number in ours}
        if figure in ONE_AT_A_TIME and ours:
            part = [weights[model] * ours[number] / speeds[number] / 1e9 for number in ours]
            share = f"{statistics.median(part):.0%} of {statistics.median(speeds.values()):.0f}"
        cells = [spelled(middle.get(name)) for name in names]
        cells += [ratio(ours, engines, middle, less), share]
        medians.append(f"| {figure} | {model} | {' | '.join(cells)} |")
        for number in sorted({number for each in engines.values() for number in each}):
            cells = [spelled(engines.get(name, {}).get(number)) for name in names]
            read = reads[parts[figure], model, number]
            raw.append(f"| {figure} | {model} | {number} | {read:.0f} | {' | '.join(cells)} |")
    return "\n".join([*medians, "", *raw])


def ratio(
    ours: dict[int, float],
    engines: dict[str, dict[int, float]],
    middle: dict[str, float],
    less: bool,
) -> str:
    """The median of the rounds, and the least and the greatest."""
    peers = {name: value for name, value in middle.items() if name != Inferflow.name}
    if not ours or not peers:
        return ""
    best = (min if less else max)(peers, key=lambda name: peers[name])
    theirs = engines[best]
    found = sorted(ours[n] / theirs[n] for n in ours.keys() & theirs.keys())
    if not found:
        return ""
    middle_one = statistics.median(found)
    return f"{middle_one:.2f}x {best} ({found[0]:.2f} to {found[-1]:.2f})"


def spelled(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
