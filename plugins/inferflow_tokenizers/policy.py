"""Which tokens go before and after a text: the files' answer, then the spec's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

from tokenizers import Tokenizer as Native

from inferflow_core.errors import Problem, SpecError, nearest
from inferflow_tokenizers.facts import Facts

PROBE = "a"


class Vocabulary(Protocol):
    bos: int | None
    eos: int | None

    def token_id(self, token: str) -> int | None: ...


@dataclass(frozen=True)
class Policy:
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]

    @classmethod
    def of(
        cls, vocabulary: Vocabulary, native: Native, facts: Facts, options: Mapping[str, Any]
    ) -> Self:
        """The post-processor's tokens; over them the files' add_bos/add_eos; over these the spec's
        `prefix`, `suffix`, `bos`, `eos`. Raises SpecError for tokens that do not exist."""
        prefix, suffix = _post_processor(native)
        prefix = _with(prefix, vocabulary.bos, facts.add_bos, at_start=True)
        suffix = _with(suffix, vocabulary.eos, facts.add_eos, at_start=False)
        if (names := options.get("prefix")) is not None:
            prefix = _ids(vocabulary, native, "prefix", names)
        if (names := options.get("suffix")) is not None:
            suffix = _ids(vocabulary, native, "suffix", names)
        for key, id in (("bos", vocabulary.bos), ("eos", vocabulary.eos)):
            if options.get(key) is True and id is None:
                problem = Problem(f"tokenizer.{key}", f"{facts.path} names no {key} token")
                raise SpecError("tokenizer", [problem])
        prefix = _with(prefix, vocabulary.bos, options.get("bos"), at_start=True)
        suffix = _with(suffix, vocabulary.eos, options.get("eos"), at_start=False)
        return cls(prefix, suffix)


def _post_processor(native: Native) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What the library's post-processor puts around a text, whichever kind it is."""
    bare = native.encode(PROBE, add_special_tokens=False).ids
    full = native.encode(PROBE, add_special_tokens=True).ids
    if not bare:
        return tuple(full), ()
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return tuple(full[:start]), tuple(full[start + len(bare) :])
    return (), ()


def _with(
    ids: tuple[int, ...], id: int | None, wanted: bool | None, *, at_start: bool
) -> tuple[int, ...]:
    if wanted is None or id is None or wanted == (id in ids):
        return ids
    if not wanted:
        return tuple(other for other in ids if other != id)
    return (id, *ids) if at_start else (*ids, id)


def _ids(vocabulary: Vocabulary, native: Native, key: str, names: Sequence[str]) -> tuple[int, ...]:
    found = {name: vocabulary.token_id(name) for name in names}
    unknown = [name for name, id in found.items() if id is None]
    if unknown:
        special = [t.content for t in native.get_added_tokens_decoder().values() if t.special]
        raise SpecError(
            "tokenizer",
            [
                Problem(f"tokenizer.{key}", f"no token {name!r}.{nearest(name, special)}")
                for name in unknown
            ],
        )
    return tuple(id for name in names if (id := found[name]) is not None)
