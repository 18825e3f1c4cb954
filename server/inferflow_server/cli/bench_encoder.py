"""What `bench` measures of an encoder: how fast it reads."""

import time
from collections.abc import Sequence

from inferflow_core.interfaces import LoadedModel

COLUMNS = ("batch", "read_tokens_per_s", "texts_per_s", "total_s")
ROUNDS = 3


def measure_reading(model: LoadedModel, prompts: Sequence[Sequence[int]]) -> dict[str, float]:
    """The best of some rounds, since nothing is random in them but the machine."""
    output = "embedding" if "embedding" in model.outputs else "hidden"
    seconds: list[float] = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        model.engine.evaluate(prompts, output)
        seconds.append(time.perf_counter() - start)
    best = min(seconds)
    return {
        "read_tokens_per_s": sum(map(len, prompts)) / best,
        "texts_per_s": len(prompts) / best,
        "total_s": best,
    }
