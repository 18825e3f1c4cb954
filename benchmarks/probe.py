"""How fast two pinned threads read memory: `python benchmarks/probe.py` prints GB/s.

Each thread sums 1.25 GB of its own by vector loads, far more than any cache holds; the median of
five passes. Where a step reads its weights once, tokens/s times their bytes cannot exceed this.
"""

import os
import statistics
import sys
import threading
import time

import numpy as np
from numba import njit

BYTES = 1_250_000_000
"""Of each thread."""


@njit("int64(int64[::1])", nogil=True)  # integers: LLVM may add them in any order, so in vectors
def total(values: np.ndarray) -> int:
    result = 0
    for index in range(values.size):
        result += values[index]
    return result


def main(passes: int = 5) -> None:
    processors = sorted(os.sched_getaffinity(0))[:2]
    rates: list[float] = []
    together = threading.Barrier(len(processors))

    def read(processor: int) -> None:
        os.sched_setaffinity(0, {processor})  # of this thread
        values = np.full(BYTES // 8, 1, np.int64)
        for _ in range(passes):
            together.wait()
            start = time.perf_counter()
            total(values)
            together.wait()
            if processor == processors[0]:
                rates.append(len(processors) * BYTES / (time.perf_counter() - start) / 1e9)

    threads = [threading.Thread(target=read, args=(processor,)) for processor in processors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{statistics.median(rates):.1f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
