"""What the engine refuses before it queues anything."""

from collections.abc import Iterable, Mapping, Sequence

from inferflow_core.errors import RequestError
from inferflow_core.interfaces import ProgramEntry, Request

Entries = Mapping[str, ProgramEntry]


def check_request(
    request: Request, entries: Entries, *, context: int, vocab: int, text: bool
) -> None:
    """Raises RequestError. `text`: whether the engine has a tokenizer."""
    if "logits" not in entries["step"].outputs:
        has = _listed(entries["step"].outputs)
        raise RequestError(f"this model writes no text; what it gives for a text is: {has}")
    _check_ids(request.ids, vocab)
    _check_source([request.source] if request.source else None, 1, entries, context, vocab)
    if len(request.ids) >= context:
        raise RequestError(
            f"the prompt has {len(request.ids)} tokens; the context of {context} must hold it and "
            f"at least one more",
            param="ids",
        )
    if request.max_tokens < 1:
        raise RequestError(f"max_tokens is {request.max_tokens}; at least 1", param="max_tokens")
    if request.logprobs is not None and not 0 <= request.logprobs <= vocab:
        raise RequestError(f"logprobs is {request.logprobs}; 0 to {vocab}", param="logprobs")
    if not all(request.stop):
        raise RequestError("a stop string is empty", param="stop")
    if request.stop and not text:
        raise RequestError("stop strings need a tokenizer; this model has none", param="stop")


def check_rows(
    ids: Sequence[Sequence[int]],
    source: Sequence[Sequence[int]] | None,
    token_types: Sequence[Sequence[int]] | None,
    output: str,
    chunk: int | None,
    *,
    context: int,
    vocab: int,
    entries: Entries,
    entry: str,
) -> None:
    """Raises RequestError unless all sequences can be evaluated."""
    if entry not in entries:
        raise RequestError(f"this model has no {entry!r}; it has: {', '.join(sorted(entries))}")
    outputs = entries[entry].outputs
    if output not in outputs:
        raise RequestError(f"this model has no output {output!r}; it has: {_listed(outputs)}")
    if chunk is not None and chunk < 1:
        raise RequestError(f"chunk is {chunk}; at least 1", param="chunk")
    if entry == "step":
        _check_source(source, len(ids), entries, context, vocab)
    elif source is not None:
        raise RequestError(f"the entry {entry!r} reads no source", param="source")
    for one in ids:
        _check_ids(one, vocab)
        if len(one) > context:
            raise RequestError(
                f"a sequence has {len(one)} tokens; the context is {context}", param="ids"
            )
    if token_types is not None and [len(t) for t in token_types] != [len(one) for one in ids]:
        raise RequestError("token_types must be as long as ids", param="token_types")
    known = entries[entry].token_types
    for kind in (kind for one in token_types or () for kind in one):
        if known is not None and not 0 <= kind < known:
            raise RequestError(
                f"token type {kind} is outside of 0..{known - 1}", param="token_types"
            )


def _listed(outputs: Iterable[str]) -> str:
    """Outputs for a message; those of the layers as a range."""
    layers = sum(name.startswith("hidden.") for name in outputs)
    named = sorted(name for name in outputs if not name.startswith("hidden."))
    return ", ".join([*named, *([f"hidden.0 to hidden.{layers - 1}"] if layers else [])])


def _check_source(
    source: Sequence[Sequence[int]] | None,
    count: int,
    entries: Entries,
    context: int,
    vocab: int,
) -> None:
    """What an encoder reads is there for each sequence exactly where there is an encoder."""
    if "encode" not in entries:
        if source is not None:
            raise RequestError("this model has no encoder, so there is no source", param="source")
        return
    if source is None or len(source) != count:
        raise RequestError(
            "this model writes what it makes of a source: give one for each sequence",
            param="source",
        )
    for one in source:
        _check_ids(one, vocab, "source")
        if len(one) > context:
            raise RequestError(
                f"a source has {len(one)} tokens; the context is {context}", param="source"
            )


def _check_ids(ids: Sequence[int], vocab: int, param: str = "ids") -> None:
    if not ids:
        raise RequestError("the prompt is empty: there is no token to start from", param=param)
    low, high = min(ids), max(ids)
    if low < 0 or high >= vocab:
        bad = low if low < 0 else high
        raise RequestError(f"token id {bad} is outside of 0..{vocab - 1}", param=param)
