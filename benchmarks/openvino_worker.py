"""OpenVINO GenAI as a worker of `peers.py`: `PYTHON openvino_worker.py FILE.gguf THREADS`.

Runs in a Python that has `openvino-genai`. A line "PROMPT GEN BATCH" is answered by a line
"[prefill, decode]" in tokens/s: of BATCH sequences of random ids, none of them met before.
"""

import json
import sys
import time

import numpy as np
import openvino as ov
import openvino_genai as genai


def main(file: str, threads: str) -> None:
    options = {"INFERENCE_NUM_THREADS": int(threads)}
    pipeline = genai.ContinuousBatchingPipeline(file, genai.SchedulerConfig(), "CPU", options)
    generator = np.random.default_rng(0)

    def seconds(prompt: int, gen: int, batch: int) -> float:
        wanted = genai.GenerationConfig(
            max_new_tokens=gen, min_new_tokens=gen, ignore_eos=True, do_sample=False
        )
        ids = [ov.Tensor(generator.integers(100, 30000, (1, prompt))) for _ in range(batch)]
        start = time.perf_counter()
        pipeline.generate(ids, [wanted] * batch)
        return time.perf_counter() - start

    for line in sys.stdin:
        prompt, gen, batch = map(int, line.split())
        seconds(prompt, 2, 1)  # the first run of a shape prepares it
        first = seconds(prompt, 1, batch)
        rest = seconds(prompt, gen, batch) - first
        print(json.dumps([batch * prompt / first, batch * (gen - 1) / rest]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
