"""The vocabulary inside a GGUF file."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tokenizers import AddedToken

from inferflow_core.errors import ModelFileError, nearest
from inferflow_core.interfaces import Checkpoint, Tokenizer
from inferflow_tokenizers.charsmap import Charsmap
from inferflow_tokenizers.definitions import NO_FLAGS, byte_bpe, wordpiece
from inferflow_tokenizers.facts import Facts
from inferflow_tokenizers.gguf_metadata import Metadata
from inferflow_tokenizers.library_vocabulary import LibraryVocabulary
from inferflow_tokenizers.piece_model import PieceModel, PieceType
from inferflow_tokenizers.piece_normalizer import PieceNormalizer
from inferflow_tokenizers.piece_vocabulary import PieceVocabulary
from inferflow_tokenizers.pre_tokenizers import PRE_TOKENIZERS
from inferflow_tokenizers.text_tokenizer import TextTokenizer
from inferflow_tokenizers.vocabulary import Vocabulary

PREFIX = "tokenizer.ggml."

NAMED = {
    "bos_token": "bos_token_id",
    "eos_token": "eos_token_id",
    "unk_token": "unknown_token_id",
    "sep_token": "seperator_token_id",
    "pad_token": "padding_token_id",
    "cls_token": "cls_token_id",
    "mask_token": "mask_token_id",
}
"""Names in chat templates -> keys of the file (one of them misspelt by its inventors)."""

LATER = {"rwkv": "RWKV", "plamo2": "PLaMo-2"}

TURN_ENDS = frozenset(
    {"<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<end_of_turn>", "<|endoftext|>"}
)
"""Many files name only the end of a text; a control token of such a name that the chat template
itself writes ends a turn."""


class GGUFVocab:
    """Byte-level BPE (`gpt2`), SentencePiece's BPE (`llama`) and unigram (`t5`), WordPiece
    (`bert`)."""

    @classmethod
    def open(cls, checkpoint: Checkpoint, options: Mapping[str, Any]) -> Tokenizer | None:
        """None where the checkpoint is no GGUF or carries no vocabulary. Raises ModelFileError."""
        raw: Mapping[str, Any] | None = getattr(checkpoint, "metadata", None)
        if checkpoint.source != "gguf" or raw is None or f"{PREFIX}model" not in raw:
            return None
        data = Metadata(checkpoint.path, raw)
        tokens = _unique(data)
        types = data.numbers(f"{PREFIX}token_type", len(tokens), int, PieceType.NORMAL)
        templates = _templates(data)
        named = {
            name: tokens[id]
            for name, key in NAMED.items()
            if (id := data.id(PREFIX + key, len(tokens))) is not None
        }
        facts = Facts(
            path=checkpoint.path,
            named=named,
            stop_ids=_stop_ids(data, tokens, types, templates),
            add_bos=_flag(data, "add_bos_token"),
            add_eos=_flag(data, "add_eos_token"),
            templates=templates,
        )
        model = data.text(f"{PREFIX}model")
        match model:
            case "gpt2":
                vocabulary, facts = _byte_level(data, tokens, types, facts)
            case "llama" | "t5":
                vocabulary, facts = _pieces(data, tokens, types, facts)
            case "bert":
                vocabulary, facts = _wordpiece(data, tokens, types, facts)
            case _:
                kind = f" ({LATER[model]})" if model in LATER else ""
                raise ModelFileError(
                    checkpoint.path,
                    f"vocabulary of type {model!r}{kind}; gpt2, llama, t5 and bert are read",
                )
        return TextTokenizer(vocabulary, facts, options)


def _unique(data: Metadata) -> list[str]:
    """The tokens; an empty one gets a name that no text can spell."""
    key = f"{PREFIX}tokens"
    tokens = [text or f"[EMPTY_{id}]" for id, text in enumerate(data.texts(key))]
    seen: set[str] = set()
    for token in tokens:
        if token in seen:
            raise ModelFileError(data.path, f"{key}: {token[:40]!r} stands there twice")
        seen.add(token)
    return tokens


def _byte_level(
    data: Metadata, tokens: list[str], types: list[int], facts: Facts
) -> tuple[Vocabulary, Facts]:
    name = data.text(f"{PREFIX}pre", "default")
    pre = PRE_TOKENIZERS.get(name)
    if pre is None:
        raise ModelFileError(
            data.path,
            f"pre-tokenizer {name!r} is unknown.{nearest(name, PRE_TOKENIZERS)}",
            hint=f"known: {', '.join(sorted(PRE_TOKENIZERS))}",
        )
    merges: list[tuple[str, str]] = []
    for merge in data.texts(f"{PREFIX}merges"):
        cut = merge.find(" ", 1)
        merges.append((merge[:cut], merge[cut + 1 :]))
    vocab = {token: id for id, token in enumerate(tokens)}
    definition = byte_bpe(vocab, merges, pre, _added(tokens, types))
    facts = _with_habits(facts, bos=pre.add_bos)
    return LibraryVocabulary(definition, facts), facts


def _pieces(
    data: Metadata, tokens: list[str], types: list[int], facts: Facts
) -> tuple[Vocabulary, Facts]:
    """`llama` is BPE, with BOS; `t5` unigram, with EOS."""
    bpe = data.text(f"{PREFIX}model") == "llama"
    user_defined = [
        token for token, kind in zip(tokens, types, strict=True) if kind == PieceType.USER_DEFINED
    ]
    charsmap = data.bytes(f"{PREFIX}precompiled_charsmap")
    model = PieceModel(
        path=data.path,
        algorithm="bpe" if bpe else "unigram",
        pieces=tokens,
        scores=data.numbers(f"{PREFIX}scores", len(tokens), float),
        types=types,
        normalizer=PieceNormalizer(
            charsmap=Charsmap(data.path, charsmap) if charsmap else None,
            user_defined=() if bpe else user_defined,
            add_dummy_prefix=data.flag(f"{PREFIX}add_space_prefix", True),
            remove_extra_whitespaces=data.flag(f"{PREFIX}remove_extra_whitespaces", not bpe),
        ),
        byte_fallback="<0x00>" in tokens,
    )
    facts = _with_habits(facts, bos=bpe, eos=not bpe)
    if bpe:  # llama.cpp finds these before it cuts, and begins anew after each
        added = {
            id: AddedToken(token, normalized=False)
            for id, (token, kind) in enumerate(zip(tokens, types, strict=True))
            if kind == PieceType.USER_DEFINED
        }
        facts = replace(facts, added=added)
    return PieceVocabulary(model, facts), facts


def _wordpiece(
    data: Metadata, tokens: list[str], types: list[int], facts: Facts
) -> tuple[Vocabulary, Facts]:
    """The file marks the beginnings of words, BERT's own spelling what continues them."""
    spelt = [
        token[1:]
        if token.startswith("▁")
        else token
        if kind != PieceType.NORMAL or (token[0], token[-1]) == ("[", "]")
        else f"##{token}"
        for token, kind in zip(tokens, types, strict=True)
    ]
    named = {
        name: spelt[id]
        for name, key in NAMED.items()
        if (id := data.id(PREFIX + key, len(tokens))) is not None
    }
    lowercase = data.flag(f"{PREFIX}normalizer.lowercase", True)
    definition = wordpiece(
        data.path,
        {token: id for id, token in enumerate(spelt)},
        _added(spelt, types),
        unknown=named.get("unk_token", "[UNK]"),
        first=named.get("cls_token", named.get("bos_token")),
        last=named.get("sep_token", named.get("eos_token")),
        lowercase=lowercase,
        strip_accents=data.flag(f"{PREFIX}normalizer.strip_accents", lowercase),
    )
    facts = replace(facts, named=named)
    return LibraryVocabulary(definition, facts), facts


def _with_habits(facts: Facts, *, bos: bool = False, eos: bool = False) -> Facts:
    """`facts` with this kind's answers where the file has none."""
    return replace(
        facts,
        add_bos=bos if facts.add_bos is None else facts.add_bos,
        add_eos=eos if facts.add_eos is None else facts.add_eos,
    )


def _added(tokens: list[str], types: list[int]) -> list[dict[str, Any]]:
    return [
        {"id": id, "content": token, "special": kind != PieceType.USER_DEFINED, **NO_FLAGS}
        for id, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if kind in (PieceType.UNKNOWN, PieceType.CONTROL, PieceType.USER_DEFINED)
    ]


def _flag(data: Metadata, key: str) -> bool | None:
    return data.flag(PREFIX + key, False) if PREFIX + key in data.raw else None


def _stop_ids(
    data: Metadata, tokens: list[str], types: list[int], templates: Mapping[str, str]
) -> frozenset[int]:
    written = (data.id(f"{PREFIX}{key}_token_id", len(tokens)) for key in ("eos", "eot", "eom"))
    turn_ends = (
        id
        for id, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if kind == PieceType.CONTROL
        and token in TURN_ENDS
        and any(token in template for template in templates.values())
    )
    return frozenset(id for id in (*written, *turn_ends) if id is not None)


def _templates(data: Metadata) -> dict[str, str]:
    """`tokenizer.chat_template`, and named ones under `tokenizer.chat_template.NAME`."""
    key = "tokenizer.chat_template"
    found = {
        name.removeprefix(f"{key}."): data.text(name)
        for name in data.raw
        if name.startswith(f"{key}.")
    }
    return {**found, "default": data.text(key)} if key in data.raw else found
