"""Encoder-only checkpoints, every form of each, against the stored results of their references."""

from typing import Any

import numpy as np
from oracles import TOLERANCE, numbered

NETWORK = "encoder_only"
HEADS = {"head_logits": "mlm", "nsp_logits": "nsp", "pooled": "pooled"}
"""Stored name -> our head."""


def inputs(opened: Any) -> tuple[list[str], list[list[int]], list[list[int]]]:
    """Numbers, ids and token types of what is stored."""
    numbers = numbered(opened.stored, "ids")
    ids, types = (
        [opened.stored[f"{n}_{k}"].tolist() for k in numbers] for n in ("ids", "token_type")
    )
    assert any(1 in row for row in types)
    return numbers, ids, types


def test_states_and_heads(opened: Any) -> None:
    numbers, ids, types = inputs(opened)
    states = opened.model.hidden(ids, token_types=types)
    found = {"last_hidden": states, "mean_pool": [rows.mean(axis=0) for rows in states]}
    found |= {name: opened.model.head(head, ids, token_types=types) for name, head in HEADS.items()}
    for name, results in found.items():
        for k, result in zip(numbers, results, strict=True):
            expected = opened.stored[f"{name}_{k}"]
            assert result.shape == expected.shape
            assert np.abs(result - expected).max() <= TOLERANCE, (name, k)


def test_hidden_states_of_every_layer(opened: Any) -> None:
    numbers, ids, types = inputs(opened)
    layers = len(opened.model.plan.model.layers)
    for k in numbered(opened.stored, "hidden"):
        expected, at = opened.stored[f"hidden_{k}"], numbers.index(k)
        assert len(expected) == layers + 1
        for layer, states in enumerate(expected):
            (found,) = opened.model.hidden([ids[at]], token_types=[types[at]], layer=layer)
            assert np.abs(found - states).max() <= TOLERANCE, layer


def test_rows_of_a_batch(opened: Any) -> None:
    """The reference pads to the right; here sequences lie ragged beside each other."""
    masks = opened.stored["batch_mask"].astype(bool)
    ids = [row[mask].tolist() for row, mask in zip(opened.stored["batch_ids"], masks, strict=True)]
    assert len({len(one) for one in ids}) > 1
    found = {"last_hidden": opened.model.hidden(ids), "head_logits": opened.model.head("mlm", ids)}
    for name, results in found.items():
        batch = zip(results, opened.stored[f"batch_{name}"], masks, strict=True)
        for row, (result, expected, mask) in enumerate(batch):
            assert np.abs(result - expected[mask]).max() <= TOLERANCE, (name, row)
