"""Inferflow against llama.cpp on one GGUF file, in turns: prefill of 512 and decode behind it.

    python benchmarks/llamacpp.py FILE.gguf [--peer PYTHON] [--rounds 5] [--threads 2]

PEER is a Python that has llama-cpp-python, built for this processor (CMAKE_ARGS=-DGGML_NATIVE=ON);
default: this one. Ours goes through the whole engine (`inferflow bench`, greedy); llama.cpp's
figure is evaluation alone, without sampling. Both are pinned to the same processors.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np

PEER = """
import sys, time, json
from llama_cpp import Llama
file, threads, prompt, gen = sys.argv[1], *map(int, sys.argv[2:])
model = Llama(model_path=file, n_ctx=1024, n_batch=512, n_ubatch=512, n_threads=threads,
              n_threads_batch=threads, verbose=False)
model.eval(list(range(5, 21)))
model.reset()
start = time.perf_counter()
model.eval(list(range(5, 5 + prompt)))
prefilled = time.perf_counter()
for token in range(gen):
    model.eval([7 + token])
done = time.perf_counter()
print(json.dumps({"prefill": prompt / (prefilled - start), "decode": gen / (done - prefilled)}))
"""


def ours(file: str, threads: int, prompt: int, gen: int) -> dict[str, float]:
    program = str(Path(sys.executable).with_name("inferflow"))
    command = [program, "bench", file, "--backend", "cpu", "--json", "--batch", "1"]
    command += ["--prompt", str(prompt), "--gen", str(gen), "--set", "run.context=1024"]
    command += ["--set", f"run.threads={threads}"]
    result = json.loads(output(command))
    figures = result["results"][0]
    return {
        "prefill": figures["prefill_tokens_per_s"],
        "decode": figures["decode_tokens_per_s"],
    }


def theirs(peer: str, file: str, threads: int, prompt: int, gen: int) -> dict[str, float]:
    arguments = [peer, "-c", PEER, file, *map(str, (threads, prompt, gen))]
    return json.loads(output(arguments).splitlines()[-1])


def output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def bandwidth(threads: int) -> float:
    """GB/s of reading memory far larger than the caches, on all threads."""
    blocks = [np.ones(25_000_000) for _ in range(threads)]

    def read() -> None:
        workers = [threading.Thread(target=block.sum) for block in blocks]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    read()
    start = time.perf_counter()
    for _ in range(3):
        read()
    return 3 * sum(block.nbytes for block in blocks) / (time.perf_counter() - start) / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file")
    parser.add_argument("--peer", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--gen", type=int, default=64)
    given = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: given.threads])
    sizes = (given.threads, given.prompt, given.gen)
    mine: list[dict[str, float]] = []
    peers: list[dict[str, float]] = []
    for number in range(given.rounds):
        speed = bandwidth(given.threads)
        mine.append(ours(given.file, *sizes))
        peers.append(theirs(given.peer, given.file, *sizes))
        print(
            f"round {number + 1}: read {speed:.0f} GB/s; prefill {mine[-1]['prefill']:.0f} / "
            f"{peers[-1]['prefill']:.0f}; decode {mine[-1]['decode']:.1f} / "
            f"{peers[-1]['decode']:.1f} tokens/s (ours / llama.cpp)",
            flush=True,
        )
    for what in ("prefill", "decode"):
        a, b = (statistics.median(run[what] for run in runs) for runs in (mine, peers))
        ratios = sorted(x[what] / y[what] for x, y in zip(mine, peers, strict=True))
        print(
            f"{what}: medians {a:.1f} / {b:.1f} tokens/s = {a / b:.2f}x; ratio within a round: "
            f"median {statistics.median(ratios):.2f}x, {ratios[0]:.2f} to {ratios[-1]:.2f}"
        )


if __name__ == "__main__":
    main()
