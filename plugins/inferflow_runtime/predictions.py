"""From an encoder's heads to what they say: vectors, fills for a mask, labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from inferflow_core.errors import RequestError
from inferflow_core.interfaces import Fill, Tokenizer, TokenLabel
from inferflow_runtime.texts import TextFacts

Array = np.ndarray[Any, np.dtype[Any]]

EMBEDDING, LABELS, MASKS = "embedding", "labels", "mlm"
"""The heads that are asked for by name."""

INSTEAD: Mapping[str, str] = {
    EMBEDDING: "encoders have one; a spec may give one to another encoder_only model",
    LABELS: "a checkpoint that was trained to label has one",
    MASKS: "a checkpoint that was trained on masked words, and saved with that head, has one",
}


def require(head: str, outputs: Mapping[str, bool], *, whole: bool | None = None) -> None:
    """Raises RequestError unless there is such a head; `whole`: one for the whole text, or for
    each of its tokens."""
    if head not in outputs:
        named = sorted(name for name in outputs if not name.startswith("hidden."))
        raise RequestError(
            f"this model has no head {head!r}; what it gives for a text is: {', '.join(named)}",
            hint=INSTEAD[head],
        )
    if whole is not None and outputs[head] is not whole:
        raise RequestError(
            "this model labels each token of a text: classify_tokens"
            if whole
            else "this model labels a whole text, not its tokens: classify"
        )


def shortened(vectors: Array, dimensions: int | None) -> Array:
    """[n, width] -> [n, dimensions]: the first numbers of each vector, scaled to the length of the
    whole (Kusupati et al. 2022 train models for that). Raises RequestError."""
    width = vectors.shape[-1]
    if dimensions is None or dimensions == width:
        return vectors
    if not 1 <= dimensions <= width:
        raise RequestError(
            f"dimensions is {dimensions}; this model's vectors have {width}", param="dimensions"
        )
    kept = vectors[:, :dimensions]
    return kept * (_length(vectors) / np.maximum(_length(kept), np.float32(1e-12)))


def _length(vectors: Array) -> Array:
    return np.sqrt((vectors * vectors).sum(axis=-1, keepdims=True))


def fills(logits: Array, ids: Sequence[int], tokenizer: Tokenizer, top: int) -> list[list[Fill]]:
    """logits [len, vocab] -> the best tokens for each mask among `ids`."""
    found: list[list[Fill]] = []
    for row in np.flatnonzero(np.array(ids) == tokenizer.mask):
        probabilities = softmax(logits[row])
        best = np.argsort(-probabilities, kind="stable")[:top]
        found.append(
            [
                Fill(int(id), tokenizer.decode([id], skip_special=False), float(probabilities[id]))
                for id in map(int, best)
            ]
        )
    return found


def mask_ids(text: str, tokenizer: Tokenizer) -> list[int]:
    """The ids of a text with masks. Raises RequestError where it has none."""
    if tokenizer.mask is None:
        raise RequestError("this model's tokenizer has no mask token")
    ids = tokenizer.encode(text, parse_special=True)
    if tokenizer.mask not in ids:
        mask = tokenizer.token(tokenizer.mask)
        raise RequestError(f"the text has no {mask}: write it where a token is to be guessed")
    return ids


def labelled(scores: Array, facts: TextFacts) -> dict[str, float]:
    """scores [classes] -> label: probability, the likeliest first. Several labels may hold at once
    where the checkpoint says so; a regression's one number stays as it is."""
    if facts.problem == "regression":
        values = scores
    elif facts.problem == "multi_label_classification" or len(scores) == 1:
        values = 1 / (1 + np.exp(-scores.astype(np.float64)))
    else:
        values = softmax(scores)
    order = np.argsort(-values, kind="stable")
    return {facts.label(int(index)): float(values[index]) for index in order}


def token_labels(
    scores: Array, ids: Sequence[int], tokenizer: Tokenizer, facts: TextFacts
) -> list[TokenLabel]:
    """scores [len, classes] -> the likeliest label of each token."""
    probabilities = softmax(scores)
    best = probabilities.argmax(axis=-1)
    return [
        TokenLabel(id, tokenizer.token(id), facts.label(int(label)), float(row[label]))
        for id, label, row in zip(ids, best, probabilities, strict=True)
    ]


def softmax(scores: Array) -> Array:
    """float64, over the last axis."""
    weights = np.exp(scores.astype(np.float64) - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)
