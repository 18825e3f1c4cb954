"""How OpenVINO GenAI is asked for each part."""

import json
import os
import subprocess
from pathlib import Path

from processes import (
    BATCH_GEN,
    BATCH_PROMPT,
    BATCHES,
    BESIDE,
    GEN,
    PROMPT,
    Figures,
    stream,
)


class OpenVINO:
    """OpenVINO GenAI on the same GGUF, in a Python of its own that keeps the model loaded."""

    name = "OpenVINO"

    def __init__(self, python: Path) -> None:
        self._python = python
        self._file: Path | None = None
        self._worker: subprocess.Popen[str] | None = None

    def close(self) -> None:
        if self._worker:
            self._worker.kill()
            self._worker.wait()
        self._worker = None

    def single(self, file: Path) -> Figures:
        prefill, decode = self._ask(file, PROMPT, GEN, 1)
        return {"prefill 512": prefill, "decode at 512": decode}

    def batch(self, file: Path) -> Figures:
        sizes = (BATCH_PROMPT, BATCH_GEN)
        return {f"decode, {n} sequences": self._ask(file, *sizes, n)[1] for n in BATCHES}

    def _ask(self, file: Path, prompt: int, gen: int, batch: int) -> tuple[float, float]:
        if self._worker is None or self._file != file:
            self.close()
            threads = str(len(os.sched_getaffinity(0)))
            command = [str(self._python), str(BESIDE / "openvino_worker.py"), str(file), threads]
            pipe = subprocess.PIPE
            self._worker = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
            )
            self._file = file
        print(prompt, gen, batch, file=stream(self._worker.stdin), flush=True)
        for line in stream(self._worker.stdout):
            if line.startswith("["):
                return json.loads(line)
        self.close()
        raise RuntimeError(f"OpenVINO does not run {file.name}")
