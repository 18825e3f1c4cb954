"""What tokenizer classes of Hugging Face do beyond their SentencePiece file: facts of their code,
since no file says them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TokenizerClass:
    bos: bool = False
    eos: bool = False
    """Whether BOS is put before a text and EOS after it, where the files do not say."""
    prefix: tuple[str, ...] = ()
    """Tokens before every text."""
    layout: Literal["pieces", "fairseq", "vocab_json"] = "pieces"
    """Where ids come from: the place of a piece; that place after fairseq's first four tokens; a
    vocab.json."""
    last: tuple[str, ...] = ()
    """Tokens after the vocabulary's own."""


LLAMA = TokenizerClass(bos=True)
T5 = TokenizerClass(eos=True, last=tuple(f"<extra_id_{number}>" for number in reversed(range(100))))
CLASSES: Mapping[str, TokenizerClass] = {
    "T5Tokenizer": T5,
    "MT5Tokenizer": T5,
    "ChatGLMTokenizer": TokenizerClass(
        prefix=("[gMASK]", "sop"), last=("[MASK]", "[gMASK]", "[sMASK]", "sop", "eop")
    ),
    "XLMRobertaTokenizer": TokenizerClass(bos=True, eos=True, layout="fairseq", last=("<mask>",)),
    "M2M100Tokenizer": TokenizerClass(eos=True, layout="vocab_json"),
}
"""By `tokenizer_class`; others are as Llama's if their model is BPE, else as T5's without its
extra tokens."""

UNREAD = frozenset(
    f"{name}Tokenizer"
    for name in (
        *("Albert", "Barthez", "Bartpho", "BigBird", "Camembert", "Cpm", "DebertaV2", "FNet"),
        *("LayoutXLM", "MBart", "MBart50", "Marian", "Nllb", "PLBart", "Pegasus", "Reformer"),
        *("RemBert", "SeamlessM4T", "Speech2Text", "XGLM", "XLNet", "XLMProphetNet"),
    )
)
"""Classes that number their tokens, or change texts, in ways that are not done here."""

FAIRSEQ = ("<s>", "<pad>", "</s>", "<unk>")


def class_of(name: str, algorithm: str) -> TokenizerClass:
    return CLASSES.get(name, LLAMA if algorithm == "bpe" else TokenizerClass(eos=True))


def fairseq_ids(pieces: Sequence[str]) -> dict[str, int]:
    """The four tokens first; the model's own first three (unknown, BOS, EOS) have no other id."""
    return {
        **{token: id for id, token in enumerate(FAIRSEQ)},
        **{piece: at + 1 for at, piece in enumerate(pieces) if at >= 3},
    }
