"""Encoder-decoder checkpoints against the stored results of their references."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from oracles import TOLERANCE, numbered

from inferflow_core.interfaces import Request

NETWORK = "encoder_decoder"


def test_states_of_the_encoder_and_logits(opened: Any) -> None:
    stored = opened.stored
    numbers = numbered(stored, "enc_ids")
    sources, ids = ([stored[f"{n}_ids_{k}"].tolist() for k in numbers] for n in ("enc", "dec"))
    found = {
        "enc_hidden": opened.model.encode(sources),
        "logits": opened.model.logits(ids, encoder=sources),
    }
    for name, results in found.items():
        for k, result in zip(numbers, results, strict=True):
            expected = stored[f"{name}_{k}"]
            assert result.shape == expected.shape
            assert np.abs(result - expected).max() <= TOLERANCE, (name, k)


def test_hidden_states_of_every_layer(opened: Any) -> None:
    """Stored are the embeddings, the states after each layer but the last, and those after the
    last norm, of both stacks."""
    stored, model = opened.stored, opened.model
    for k in numbered(stored, "enc_hidden_all"):
        source, ids = ([stored[f"{n}_ids_{k}"].tolist()] for n in ("enc", "dec"))
        expected = stored[f"enc_hidden_all_{k}"]
        assert len(expected) == len(model.plan.model.encoder.layers) + 1
        found = [model.encode(source, layer=i)[0] for i in range(len(expected) - 1)]
        assert np.abs([*found, model.encode(source)[0]] - expected).max() <= TOLERANCE
        expected = stored[f"dec_hidden_all_{k}"]
        assert len(expected) == len(model.plan.model.decoder.layers) + 1
        found = [model.hidden(ids, encoder=source, layer=i)[0] for i in range(len(expected) - 1)]
        last = model.hidden(ids, encoder=source)[0]
        assert np.abs([*found, last] - expected).max() <= TOLERANCE


def test_rows_of_a_batch(opened: Any) -> None:
    """The reference pads sources to the right; here they lie ragged beside each other."""
    masks = opened.stored["batch_mask"].astype(bool)
    sources = zip(opened.stored["batch_enc_ids"], masks, strict=True)
    encoder = [row[mask].tolist() for row, mask in sources]
    assert len({len(one) for one in encoder}) > 1
    found = opened.model.logits(opened.stored["batch_dec_ids"].tolist(), encoder=encoder)
    assert np.abs(np.array(found) - opened.stored["batch_logits"]).max() <= TOLERANCE


def test_greedy_tokens(opened: Any, shared: Path) -> None:
    """All at once, each with a source of its own length, after the prefix with the language."""
    told = shared / "oracles" / "families" / opened.name / "ref" / "reference.json"
    prefixes = [run["decoder_prefix"] for run in json.loads(told.read_text("utf-8"))["generation"]]
    sources = [
        opened.stored[f"gen_prompt_{k}"].tolist() for k in numbered(opened.stored, "gen_prompt")
    ]
    runs = [
        opened.model.engine.submit(
            Request(
                ids=tuple(prefix),
                source=tuple(source),
                max_tokens=32,
                sampling={"temperature": 0.0},
                ignore_stop_ids=True,
            )
        )
        for prefix, source in zip(prefixes, sources, strict=True)
    ]
    for k, run in enumerate(runs):
        assert [event.token for event in run] == opened.stored[f"gen_{k}"].tolist(), k
