"""How a byte-level BPE vocabulary cuts text before merging, by GGUF's name for it
(`tokenizer.ggml.pre`). The expressions are facts of the models' own tokenizers.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class PreTokenizer:
    """`splits` are applied one after the other; what matches none of them stays in one piece."""

    splits: tuple[str, ...]
    nfc: bool = False
    whole_words: bool = False
    """A word that is a token is taken as it is, merges or not."""
    add_bos: bool = False
    """The habit where the file does not say."""


GPT2_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
PUNCTUATION = r"[\p{P}\$\+<=>\^~\|`]+"
THREE_DIGITS = "[0-9][0-9][0-9]"


def _tiktoken_words(digits: str) -> str:
    """The expression of cl100k and its heirs, which differ in how many digits make a word."""
    return (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
        + digits
        + r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


GPT2 = PreTokenizer((GPT2_WORDS,))
STARCODER = PreTokenizer((r"\p{N}", GPT2_WORDS))
LLAMA3 = PreTokenizer((_tiktoken_words(r"\p{N}{1,3}"),), whole_words=True, add_bos=True)
QWEN2 = PreTokenizer((_tiktoken_words(r"\p{N}"),), nfc=True)
BLOOM = PreTokenizer((" ?[^(\\s|[.,!?…。，、।۔،])]+",))

PRE_TOKENIZERS: Mapping[str, PreTokenizer] = {
    "default": PreTokenizer((r"[\p{P}\$\+<=>\^~\|]+", GPT2_WORDS, r"\p{N}+", THREE_DIGITS)),
    "falcon": PreTokenizer((PUNCTUATION, GPT2_WORDS, THREE_DIGITS)),
    **dict.fromkeys(("gpt-2", "phi-2", "mpt", "olmo", "jais"), GPT2),
    **dict.fromkeys(("starcoder", "refact", "command-r", "smollm", "codeshell"), STARCODER),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3"), LLAMA3),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen"), QWEN2),
    **dict.fromkeys(("bloom", "poro-chat", "gpt3-finnish"), BLOOM),
}
