"""Texts for the heads of an encoder: which ids they become, and what the files say about that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from inferflow_core.errors import RequestError, nearest
from inferflow_core.interfaces import Tokenizer


@dataclass(frozen=True)
class TextFacts:
    """What a checkpoint says of the texts that its heads read and of the labels that they give."""

    prompts: Mapping[str, str]
    """What may stand before a text that is embedded, by name."""
    prompt: str | None
    """The name of the prompt that stands there unless another is asked for."""
    lower_case: bool
    """Whether a text is embedded in small letters."""
    labels: Mapping[int, str]
    problem: str | None
    """`problem_type` of config.json."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        prompts, labels = config.get("embedding_prompts"), config.get("id2label")
        return cls(
            prompts={str(name): str(text) for name, text in _items(prompts)},
            prompt=config.get("embedding_prompt"),
            lower_case=config.get("embedding_lower_case") is True,
            labels={int(key): str(label) for key, label in _items(labels) if str(key).isdecimal()},
            problem=config.get("problem_type"),
        )

    def label(self, index: int) -> str:
        return self.labels.get(index, f"LABEL_{index}")

    def before(self, prompt: str | None) -> str:
        """What stands before a text: the prompt of this name, or the usual one. Raises
        RequestError."""
        name = self.prompt if prompt is None else prompt
        if name is None:
            return ""
        if name not in self.prompts:
            known = ", ".join(sorted(self.prompts)) or "none"
            raise RequestError(
                f"there is no prompt {name!r}; the model has: {known}."
                f"{nearest(name, self.prompts)}",
                param="prompt_name",
            )
        return self.prompts[name]


def _items(table: Any) -> list[tuple[Any, Any]]:
    return [*table.items()] if isinstance(table, Mapping) else []


def text_ids(
    texts: Sequence[str | Sequence[int]],
    tokenizer: Tokenizer,
    facts: TextFacts,
    *,
    limit: int,
    prompt: str | None,
    truncate: bool | int,
) -> list[list[int]]:
    """See `interfaces.LoadedModel.text_ids`; `limit` is the longest that the model reads."""
    before = facts.before(prompt)
    most = limit if truncate is True else min(limit, truncate) if truncate else None
    found: list[list[int]] = []
    for place, text in enumerate(texts):
        if isinstance(text, str):
            text = before + (text.lower() if facts.lower_case else text)
            ids = tokenizer.encode(text)
            if most is not None and len(ids) > most:
                ids = _cut(ids, tokenizer.encode(text, special=False), most)
        else:
            ids = [*text[:most]]
        if len(ids) > limit:
            raise RequestError(
                f"text {place} has {len(ids)} tokens; this model reads at most {limit} at once",
                param="input",
                hint="split the text, or ask for its beginning alone (truncate)",
            )
        found.append(ids)
    return found


def _cut(ids: list[int], bare: list[int], most: int) -> list[int]:
    """At most so many of a text's ids, among them all that the tokenizer puts around a text."""
    around = len(ids) - len(bare)
    if most <= around:
        raise RequestError(
            f"{most} tokens hold nothing of a text: {around} stand around each",
            param="truncate_prompt_tokens",
        )
    first = start_of(bare, ids)
    return ids[: first + most - around] + ids[first + len(bare) :]


def start_of(bare: list[int], ids: list[int]) -> int:
    """Where among a text's ids those of its own words begin."""
    starts = (at for at in range(len(ids)) if ids[at : at + len(bare)] == bare)
    return next(starts, 0)
