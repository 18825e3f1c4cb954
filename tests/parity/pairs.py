"""As `checkpoints.py`, for encoder-decoders and encoders."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from checkpoints import GREEDY, TOLERANCE, Array, listed, torch

import inferflow_core
from inferflow_core.interfaces import Request

Ids = Sequence[Sequence[int]]


def reference(model: Any, source: Sequence[int], ids: Sequence[int]) -> dict[str, Array]:
    """What the class says of one pair: `logits`, `hidden` of the decoder, `encoded`."""
    with torch.no_grad():
        out = model(
            input_ids=torch.tensor([[*source]]),
            decoder_input_ids=torch.tensor([[*ids]]),
            output_hidden_states=True,
            use_cache=False,
        )
    found = (out.logits, out.decoder_hidden_states[-1], out.encoder_last_hidden_state)
    names = ("logits", "hidden", "encoded")
    return {name: part[0].numpy() for name, part in zip(names, found, strict=True)}


def compare_pairs(
    folder: Path,
    model: Any,
    sources: Ids,
    prompts: Ids,
    *,
    start: int,
    backend: str = "numpy",
    tolerance: float = TOLERANCE,
    greedy: int = GREEDY,
) -> float:
    """Ours against an encoder-decoder of `transformers`: states of the encoder, states and logits
    of the decoder for all pairs in one call, then `greedy` tokens for each source from `start` on.

    Raises AssertionError; returns the largest difference.
    """
    pairs = list(zip(sources, prompts, strict=True))
    expected = [reference(model, *pair) for pair in pairs]
    assert max(one["logits"].std() for one in expected) > 0.5, "too small to tell anything"
    worst = 0.0
    with inferflow_core.load(folder, backend=backend) as ours:
        listed(ours.plan, model)
        assert ours.plan.generation["start"] == start
        found = {
            "logits": ours.logits(prompts, encoder=sources),
            "hidden": ours.hidden(prompts, encoder=sources),
            "encoded": ours.encode(sources),
        }
        for name, results in found.items():
            for got, wanted in zip(results, expected, strict=True):
                assert got.shape == wanted[name].shape
                worst = max(worst, float(np.abs(got - wanted[name]).max()))
        assert worst <= tolerance
        requests = [
            Request(
                ids=(start,),
                source=tuple(source),
                max_tokens=greedy,
                sampling={"temperature": 0.0},
                ignore_stop_ids=True,
            )
            for source in sources
        ]
        for source, run in zip(sources, list(map(ours.engine.submit, requests)), strict=True):
            tokens = [event.token for event in run]
            assert len(tokens) == greedy
            logits = reference(model, source, [start, *tokens])["logits"][:-1]
            chosen = np.take_along_axis(logits, np.array(tokens)[:, None], axis=-1)[:, 0]
            assert (chosen >= logits.max(axis=-1) - 2 * tolerance).all()
    return worst
