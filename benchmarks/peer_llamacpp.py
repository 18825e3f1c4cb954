"""How llama.cpp is asked for each part."""

import json
import os
from pathlib import Path

from processes import (
    BATCH_GEN,
    BATCH_PROMPT,
    BATCHES,
    GEN,
    LONG,
    LONG_GEN,
    PROMPT,
    TEXT,
    Figures,
    Hog,
    first_byte,
    output,
    peak,
)


class LlamaCpp:
    """By its own tools, built for this processor: evaluation without sampling.

    Flash attention as is faster there: on for prefill, off for decoding.
    """

    name = "llama.cpp"

    def __init__(self, folder: Path) -> None:
        processors = os.sched_getaffinity(0)
        mask = hex(sum(1 << number for number in processors))
        self._folder = folder
        self._pinned = ["-t", str(len(processors)), "-C", mask, "--cpu-strict", "1"]

    def close(self) -> None: ...

    def single(self, file: Path) -> Figures:
        prefill = self._bench(file, "-fa", "1", "-p", str(PROMPT), "-n", "0")
        return {"prefill 512": prefill, "decode at 512": self._decode(file, PROMPT, GEN)}

    def hog(self, file: Path) -> Figures:
        with Hog():
            return {"decode at 512, a core taken": self._decode(file, PROMPT, GEN)}

    def long(self, file: Path) -> Figures:
        return {"decode at 8k": self._decode(file, LONG, LONG_GEN)}

    def batch(self, file: Path) -> Figures:
        context = max(BATCHES) * (BATCH_PROMPT + BATCH_GEN)
        lines = output(self._batched(file, context, BATCH_PROMPT, BATCH_GEN, *BATCHES)).splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return {f"decode, {each['pl']} sequences": each["speed_tg"] for each in found}

    def start(self, file: Path) -> Figures:
        command = [str(self._folder / "llama-completion"), "-m", str(file), "-p", TEXT, "-n", "1"]
        command += ["-no-cnv", "--no-display-prompt", "--no-warmup", *self._pinned]
        return {"first token, s": first_byte(command)}

    def memory(self, file: Path) -> Figures:
        return {"peak memory, GB": peak(self._batched(file, 2048, PROMPT, 16, 1))}

    def _decode(self, file: Path, context: int, gen: int) -> float:
        return self._bench(file, "-fa", "0", "-p", "0", "-n", str(gen), "-d", str(context))

    def _bench(self, file: Path, *options: str) -> float:
        command = [str(self._folder / "llama-bench"), "-m", str(file), "-r", "1", "-o", "jsonl"]
        return json.loads(output([*command, *self._pinned, *options]))["avg_ts"]

    def _batched(self, file: Path, context: int, prompt: int, gen: int, *batches: int) -> list[str]:
        command = [str(self._folder / "llama-batched-bench"), "-m", str(file), *self._pinned]
        command += ["-fa", "off", "-c", str(context), "-npp", str(prompt), "-ntg", str(gen)]
        sizes = ",".join(map(str, batches))
        return [*command, "-npl", sizes, "--output-format", "jsonl"]
