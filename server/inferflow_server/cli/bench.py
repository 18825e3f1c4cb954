"""`inferflow bench MODEL`."""

import random
import sys
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import click

from inferflow_core.errors import EngineError, UsageError
from inferflow_core.interfaces import LoadedModel, Prompt, Request, TokenEvent
from inferflow_core.version import __version__
from inferflow_server.cli import bench_encoder
from inferflow_server.cli.bench_encoder import measure_reading
from inferflow_server.cli.bench_profile import Phases
from inferflow_server.cli.model import opened
from inferflow_server.cli.options import ModelOptions, json_option, model_argument, model_options
from inferflow_server.cli.output import note, print_columns, print_json

COLUMNS = ("batch", "prefill_tokens_per_s", "decode_tokens_per_s", "first_token_s", "total_s")


@click.command("bench")
@model_argument
@model_options
@click.option(
    "--prompt",
    "prompt_tokens",
    type=click.IntRange(1),
    default=512,
    show_default=True,
    help="Tokens of each prompt.",
)
@click.option(
    "--gen", type=click.IntRange(2), default=128, show_default=True, help="Tokens to generate."
)
@click.option("--batch", default="1", show_default=True, metavar="1,8", help="Sequences at once.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random prompts.")
@click.option("--profile", is_flag=True, help="Also show where prefill and decoding go, by op.")
@json_option
def command(
    options: ModelOptions,
    prompt_tokens: int,
    gen: int,
    batch: str,
    seed: int,
    profile: bool,
    as_json: bool,
) -> None:
    """Measure speed and memory on random prompts, with greedy sampling.

    An encoder is measured at reading: texts of --prompt tokens, or as long as it reads.

    Every sequence generates exactly --gen tokens: end tokens are ignored. Prompts differ and no
    prefix is reused. Prefill lasts until the last sequence has its first token, decoding from then
    on. An encoder-decoder reads the prompts as its sources.

    --profile sums the milliseconds of each kernel, of all layers together; it costs a few percent.
    `wait` is the first thread's waiting for the others.

    \b
    Example:
        inferflow bench model.gguf --prompt 128 --gen 32 --batch 1,8

    --json prints {"model", "backend", "version", "results"}; each result has "batch", "prompt",
    "gen", "prefill_tokens_per_s", "decode_tokens_per_s", "first_token_s" (the mean), "total_s",
    "load_s" and "peak_rss_bytes", the most memory the process has held so far (null where the
    system does not tell). Of an encoder "read_tokens_per_s" and "texts_per_s" instead. With
    --profile also "profile", with a list for "prefill" and "decode" (of an encoder "read"), each op
    with "op", "path", "calls", "seconds" and "share".
    """
    batches = parse_batches(batch)
    with opened(options) as (model, load_s):
        context, reads = model.engine.context, "logits" not in model.outputs
        if reads:
            prompt_tokens, gen = min(prompt_tokens, context), 0
        elif model.reads_source:
            if max(prompt_tokens, gen + 1) > context:
                raise UsageError(
                    f"{prompt_tokens} or 1 + {gen} tokens are beyond the context, {context}"
                )
        elif prompt_tokens + gen > context:
            raise UsageError(f"{prompt_tokens} + {gen} tokens are beyond the context, {context}")

        def measure(prompts: list[Prompt], gen: int, phases: Phases | None) -> dict[str, float]:
            if phases:
                phases.begin()
            if not reads:
                return _measure(model, prompts, gen, phases)
            result = measure_reading(model, [prompt.ids for prompt in prompts])
            if phases:
                phases.end("read")
            return result

        random_ids = random.Random(seed)
        measure(_prompts(model, random_ids, 1, min(prompt_tokens, 16)), 2, None)
        profiles = [Phases(model.engine) if profile else None for _ in batches]
        results: list[dict[str, Any]] = []
        for size, phases in zip(batches, profiles, strict=True):
            note(f"batch {size} …")
            prompts = _prompts(model, random_ids, size, prompt_tokens)
            results.append(
                {"batch": size, "prompt": prompt_tokens, "gen": gen}
                | measure(prompts, gen, phases)
                | {"load_s": load_s, "peak_rss_bytes": peak_rss_bytes()}
                | ({"profile": phases.taken} if phases else {})
            )
        report = {
            "model": model.name,
            "backend": model.backend_choice,
            "version": __version__,
            "results": results,
        }
    if as_json:
        print_json(report)
        return
    names = bench_encoder.COLUMNS if reads else COLUMNS
    rows = [[f"{result[key]:.4g}" for key in names] for result in results]
    print_columns([list(names), *rows])
    for size, phases in zip(batches, profiles, strict=True):
        if phases:
            phases.show(f"batch {size}: ")
    peak = results[-1]["peak_rss_bytes"]
    note(f"load {load_s:.2f} s" + (f" · peak memory {peak / 2**20:.0f} MiB" if peak else ""))


def parse_batches(text: str) -> list[int]:
    try:
        sizes = [int(part) for part in text.split(",")]
    except ValueError:
        sizes = [0]
    if min(sizes) < 1:
        raise UsageError(f"--batch {text!r}: write sizes as in 1,8")
    return sizes


def _prompts(
    model: LoadedModel, random_ids: random.Random, count: int, length: int
) -> list[Prompt]:
    vocab = model.plan.model.vocab
    all_ids = [[random_ids.randrange(vocab) for _ in range(length)] for _ in range(count)]
    return [model.prompt(ids, first=() if model.reads_source else None) for ids in all_ids]


@dataclass
class _Clock:
    """One request's times, written in the engine's thread."""

    done: threading.Event = field(default_factory=threading.Event)
    times: list[float] = field(default_factory=list[float])
    error: str | None = None

    def __call__(self, event: TokenEvent) -> None:
        if event.token is not None:
            self.times.append(time.perf_counter())
        if event.finish is not None:
            self.error = event.error if event.finish == "error" else None
            self.done.set()


def _measure(
    model: LoadedModel, prompts: list[Prompt], gen: int, phases: Phases | None
) -> dict[str, float]:
    """Prefill: until the last sequence has its first token. Decode: what comes after that."""
    clocks = [_Clock() for _ in prompts]

    def see(clock: _Clock, event: TokenEvent) -> None:
        clock(event)
        if phases and "prefill" not in phases.taken and all(each.times for each in clocks):
            phases.end("prefill")
        elif phases and event.finish is not None and all(each.done.is_set() for each in clocks):
            phases.end("decode")

    chain = {name for sampler in model.plan.run.samplers for name in vars(sampler)}
    greedy = {"temperature": 0.0} if "temperature" in chain else {}
    start = time.perf_counter()
    streams = [
        model.engine.submit(
            Request(
                ids=prompt.ids,
                source=prompt.source,
                max_tokens=gen,
                sampling=greedy,
                ignore_stop_ids=True,
                reuse_prefix=False,
            ),
            partial(see, clock),
        )
        for prompt, clock in zip(prompts, clocks, strict=True)
    ]
    try:
        for clock in clocks:
            while not clock.done.wait(1):
                if not model.engine.stats().alive:
                    raise EngineError("the engine has stopped")
            if clock.error:
                raise EngineError(clock.error)
    finally:
        for stream in streams:
            stream.cancel()
    firsts = [clock.times[0] for clock in clocks]
    prefilled, end = max(firsts), max(clock.times[-1] for clock in clocks)
    later = sum(1 for clock in clocks for moment in clock.times if moment > prefilled)
    return {
        "prefill_tokens_per_s": sum(prompt.given for prompt in prompts) / (prefilled - start),
        "decode_tokens_per_s": later / (end - prefilled) if end > prefilled else 0.0,
        "first_token_s": sum(firsts) / len(firsts) - start,
        "total_s": end - start,
    }


def peak_rss_bytes() -> int | None:
    """The most memory this process has held; None where the system does not tell.

    Linux keeps `ru_maxrss` across exec, so a child of a large process would report its parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
