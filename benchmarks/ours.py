"""How Inferflow is asked for each part."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from processes import (
    BATCH_GEN,
    BATCH_PROMPT,
    BATCHES,
    BESIDE,
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
    stream,
)


class Inferflow:
    """The whole engine: `inferflow bench`, greedy sampling included; `run`, and `serve`."""

    name = "inferflow"

    def __init__(self, settings: list[str]) -> None:
        threads = f"run.threads={len(os.sched_getaffinity(0))}"
        self._options = [word for item in (threads, *settings) for word in ("--set", item)]

    def close(self) -> None: ...

    def single(self, file: Path) -> Figures:
        [result] = self._bench(file, PROMPT, GEN)
        return {
            "prefill 512": result["prefill_tokens_per_s"],
            "decode at 512": result["decode_tokens_per_s"],
        }

    def hog(self, file: Path) -> Figures:
        with Hog():
            [result] = self._bench(file, PROMPT, GEN)
        return {"decode at 512, a core taken": result["decode_tokens_per_s"]}

    def long(self, file: Path) -> Figures:
        [result] = self._bench(file, LONG, LONG_GEN)
        return {"decode at 8k": result["decode_tokens_per_s"]}

    def batch(self, file: Path) -> Figures:
        found = self._bench(file, BATCH_PROMPT, BATCH_GEN, *BATCHES)
        return {f"decode, {each['batch']} sequences": each["decode_tokens_per_s"] for each in found}

    def start(self, file: Path) -> Figures:
        command = [self._program(), "run", str(file), TEXT, "--raw", "--backend", "cpu"]
        command += ["--max-tokens", "1", "--temperature", "0", *self._options]
        return {"first token, s": first_byte(command)}

    def memory(self, file: Path) -> Figures:
        command = self._command(file, PROMPT, 16, "1", 2048)
        return {"peak memory, GB": peak(command)}

    def http(self, file: Path) -> Figures:
        """Of streaming over HTTP to some clients, over the same without HTTP."""
        context = f"run.context={PROMPT + GEN}"
        command = [self._program(), "serve", str(file), "--backend", "cpu", "--port", "0"]
        command += ["--json", "--set", context, *self._options]
        result: Figures = {}
        server = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            ready = json.loads(stream(server.stdout).readline())
            for clients in (1, 8):
                words = [ready["url"], ready["model"], str(clients), str(PROMPT), str(GEN)]
                rate = float(output([sys.executable, str(BESIDE / "streaming.py"), *words]))
                result[f"decode over HTTP, {clients} clients"] = rate
        finally:
            server.terminate()
            server.wait()
        for each in self._bench(file, PROMPT, GEN, 1, 8):
            clients = each["batch"]
            rate = result[f"decode over HTTP, {clients} clients"] / each["decode_tokens_per_s"]
            result[f"HTTP over bench, {clients} clients"] = rate
        return result

    def _bench(self, file: Path, prompt: int, gen: int, *batches: int) -> list[dict[str, Any]]:
        sizes = ",".join(map(str, batches or (1,)))
        return json.loads(output(self._command(file, prompt, gen, sizes)))["results"]

    def _command(
        self, file: Path, prompt: int, gen: int, batches: str, context: int | None = None
    ) -> list[str]:
        command = [self._program(), "bench", str(file), "--backend", "cpu", "--json"]
        command += ["--prompt", str(prompt), "--gen", str(gen), "--batch", batches]
        return [*command, "--set", f"run.context={context or prompt + gen}", *self._options]

    def _program(self) -> str:
        return str(Path(sys.executable).with_name("inferflow"))
