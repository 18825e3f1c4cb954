"""Decoder-only checkpoints, every form of each, against the stored results of their references."""

from typing import Any

import numpy as np
import pytest
from oracles import TOLERANCE, numbered

NETWORK = "decoder_only"
GREEDY: dict[str, Any] = {"temperature": 0.0, "ignore_stop_ids": True}


def test_logits(opened: Any) -> None:
    stored = opened.stored
    numbers = numbered(stored, "ids")
    found = opened.model.logits([stored[f"ids_{k}"].tolist() for k in numbers])
    for k, logits in zip(numbers, found, strict=True):
        expected = stored[f"logits_{k}"]
        logits = logits[int(stored.get(f"logits_{k}_from", 0)) :]
        assert logits.shape == expected.shape
        assert np.abs(logits - expected).max() <= TOLERANCE, k


def test_hidden_states_of_every_layer(opened: Any) -> None:
    """Stored are the embeddings, the states after each layer but the last, and those after the
    last norm."""
    if opened.name == "opt_350m":
        pytest.skip("its reference stores no hidden states; tests/parity compares them")
    stored = opened.stored
    for k in numbered(stored, "hidden"):
        ids, expected = [stored[f"ids_{k}"].tolist()], stored[f"hidden_{k}"]
        assert len(expected) == len(opened.model.plan.model.layers) + 1
        for layer, states in enumerate(expected[:-1]):
            (found,) = opened.model.hidden(ids, layer=layer)
            assert np.abs(found - states).max() <= TOLERANCE, layer
        (found,) = opened.model.hidden(ids)
        assert np.abs(found - expected[-1]).max() <= TOLERANCE


def test_rows_of_a_batch(opened: Any) -> None:
    """The reference pads to the left; here sequences lie ragged beside each other."""
    masks = opened.stored["batch_mask"].astype(bool)
    ids = [row[mask].tolist() for row, mask in zip(opened.stored["batch_ids"], masks, strict=True)]
    assert len({len(one) for one in ids}) > 1
    batch = zip(opened.model.logits(ids), opened.stored["batch_logits"], masks, strict=True)
    for row, (logits, expected, mask) in enumerate(batch):
        assert np.abs(logits - expected[mask]).max() <= TOLERANCE, row


def test_greedy_tokens(opened: Any) -> None:
    stored, numbers = opened.stored, numbered(opened.stored, "gen_prompt")
    runs = [
        opened.model.generate(ids=stored[f"gen_prompt_{k}"].tolist(), max_tokens=32, **GREEDY)
        for k in numbers
    ]
    for k, run in zip(numbers, runs, strict=True):
        assert [event.token for event in run] == stored[f"gen_{k}"].tolist(), k
