"""Embeddings of all-MiniLM-L6-v2 on the backend cpu and by torch and transformers, in turns.

`OMP_NUM_THREADS=2 taskset -c 0,1 python benchmarks/embeddings.py FOLDER`, where FOLDER is that of
the model's files (in what `inferflow pull all-minilm-l6-v2` prints), gives for short and long texts
the medians by wall and by processor time. torch gets texts sorted by length, 32 at a time.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from transformers import AutoModel

import inferflow_core

THREADS = int(os.environ.get("OMP_NUM_THREADS", "2"))
ROUNDS = 5
Ids = Sequence[Sequence[int]]


def main() -> None:
    numbers = np.random.default_rng(0)
    first = list(range(1000, 1600))
    short = [first[i : i + int(n)] for i, n in enumerate(numbers.integers(8, 40, 64))]
    torch.set_num_threads(THREADS)
    options = {"run.threads": THREADS}
    with inferflow_core.load(
        "all-minilm-l6-v2", backend="cpu", set=options, pull=lambda *_: None
    ) as model:
        reference = AutoModel.from_pretrained(sys.argv[1]).eval()
        for ids in (short, [first[i : i + 256] for i in range(8)]):
            tokens = sum(map(len, ids))
            off = np.abs(model.embed(ids) - by_torch(reference, ids)).max()
            print(f"{len(ids)} texts, {tokens} tokens; largest difference {off:.1e}")
            ways = {"cpu": lambda ids=ids: model.embed(ids)}
            ways["torch"] = lambda ids=ids: by_torch(reference, ids)
            times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
            for _ in range(ROUNDS):
                for name, way in ways.items():
                    times[name].append(measured(way))
            for name, both in times.items():
                wall, processor = np.median(both, axis=0)
                print(f"  {name}: {len(ids) / wall:.1f} texts/s, {tokens / processor:.0f} tokens/s")


def measured(work: Callable[[], Any]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def by_torch(model: Any, ids: Ids) -> Any:
    """Means at length 1."""
    order = sorted(range(len(ids)), key=lambda place: len(ids[place]))
    found: dict[int, Any] = {}
    for at in range(0, len(ids), 32):
        some = order[at : at + 32]
        longest = max(len(ids[place]) for place in some)
        padded = torch.zeros(len(some), longest, dtype=torch.long)
        mask = torch.zeros(len(some), longest, dtype=torch.long)
        for row, place in enumerate(some):
            padded[row, : len(ids[place])] = torch.tensor(ids[place])
            mask[row, : len(ids[place])] = 1
        with torch.no_grad():
            states = model(input_ids=padded, attention_mask=mask).last_hidden_state
        means = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        found |= zip(some, torch.nn.functional.normalize(means).numpy(), strict=True)
    return np.stack([found[place] for place in range(len(ids))])


if __name__ == "__main__":
    main()
