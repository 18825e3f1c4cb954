"""Which tokens go before and after a text: the files' answer, then the spec's."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from inferflow_core.errors import Problem, SpecError, nearest
from inferflow_tokenizers.facts import Facts
from inferflow_tokenizers.vocabulary import Vocabulary


@dataclass(frozen=True)
class Policy:
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]

    @classmethod
    def of(
        cls,
        vocabulary: Vocabulary,
        bos: int | None,
        eos: int | None,
        facts: Facts,
        options: Mapping[str, Any],
    ) -> Self:
        """The vocabulary's own tokens; over them the files' add_bos/add_eos; over these the spec's
        `prefix`, `suffix`, `bos`, `eos`. Raises SpecError for tokens that do not exist."""
        prefix, suffix = vocabulary.around
        prefix = _with(prefix, bos, facts.add_bos, at_start=True)
        suffix = _with(suffix, eos, facts.add_eos, at_start=False)
        if (names := options.get("prefix")) is not None:
            prefix = _ids(vocabulary, "prefix", names)
        if (names := options.get("suffix")) is not None:
            suffix = _ids(vocabulary, "suffix", names)
        for key, id in (("bos", bos), ("eos", eos)):
            if options.get(key) is True and id is None:
                problem = Problem(f"tokenizer.{key}", f"{facts.path} names no {key} token")
                raise SpecError("tokenizer", [problem])
        prefix = _with(prefix, bos, options.get("bos"), at_start=True)
        suffix = _with(suffix, eos, options.get("eos"), at_start=False)
        return cls(prefix, suffix)

    def in_language(self, id: int, languages: Collection[int]) -> Self:
        """With `id` where another language's token stands; before a text where none does."""
        prefix, suffix = (
            tuple(id if other in languages else other for other in ids)
            for ids in (self.prefix, self.suffix)
        )
        return type(self)(prefix if id in (*prefix, *suffix) else (id, *prefix), suffix)


def _with(
    ids: tuple[int, ...], id: int | None, wanted: bool | None, *, at_start: bool
) -> tuple[int, ...]:
    if wanted is None or id is None or wanted == (id in ids):
        return ids
    if not wanted:
        return tuple(other for other in ids if other != id)
    return (id, *ids) if at_start else (*ids, id)


def _ids(vocabulary: Vocabulary, key: str, names: Sequence[str]) -> tuple[int, ...]:
    found = {name: vocabulary.token_id(name) for name in names}
    unknown = [name for name, id in found.items() if id is None]
    if unknown:
        special = vocabulary.special.values()
        raise SpecError(
            "tokenizer",
            [
                Problem(f"tokenizer.{key}", f"no token {name!r}.{nearest(name, special)}")
                for name in unknown
            ],
        )
    return tuple(id for name in names if (id := found[name]) is not None)
