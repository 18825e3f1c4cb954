"""How a byte-level BPE vocabulary cuts text before merging, by GGUF's name for it
(`tokenizer.ggml.pre`). The expressions are facts of the models' own tokenizers; which name means
which of them, and what goes with it, are facts of llama.cpp.
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
BLOOM_WORDS = " ?[^(\\s|[.,!?…。，、।۔،])]+"
PUNCTUATION = r"[\p{P}\$\+<=>\^~\|`]+"
THREE_DIGITS = "[0-9][0-9][0-9]"
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
HAN_TO_HANGUL = "[一-龥ࠀ-一가-\ud7ff]+"

UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"

CASED = (
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅ"
    "ὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄ"
    "Ⰰ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
)
"""DeepSeek's letters with case."""


def _tiktoken_words(digits: str, *, letters: str = r"\p{L}", spaces: str = r"\s+(?!\S)|\s+") -> str:
    """The expression of cl100k and its heirs, which differ in how many digits make a word, in what
    a letter is, and in how a run of spaces is cut."""
    return (
        rf"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?{_class(letters)}+|{digits}"
        rf"| ?[^\s{letters}\p{{N}}]+[\r\n]*|\s*[\r\n]+|{spaces}"
    )


def _class(letters: str) -> str:
    return letters if letters == r"\p{L}" else f"[{letters}]"


def _o200k_words(digits: str, contractions: str) -> str:
    """The expression of o200k and its heirs: words by upper and lower case."""
    return (
        rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{contractions}"
        rf"|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{contractions}"
        rf"|{digits}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


CL100K = _tiktoken_words(r"\p{N}{1,3}")
O200K = _o200k_words(r"\p{N}{1,3}", f"{CONTRACTIONS}?")
ONE_DIGIT = _tiktoken_words(r"\p{N}")
LONG_SPACES = "|".join(rf"\s{{{2**power}}}(?!\S)" for power in range(9, 1, -1))

GPT2 = PreTokenizer((GPT2_WORDS,))
GPT_NEOX = PreTokenizer((GPT2_WORDS,), nfc=True)
STARCODER = PreTokenizer((r"\p{N}", GPT2_WORDS))
LLAMA3 = PreTokenizer((CL100K,), whole_words=True, add_bos=True)
QWEN2 = PreTokenizer((ONE_DIGIT,), nfc=True)
BLOOM = PreTokenizer((BLOOM_WORDS,))
DEEPSEEK3 = PreTokenizer(
    (
        r"\p{N}{1,3}",
        "[一-龥\u3040-ゟ゠-ヿ]+",
        r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
        r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    )
)
BAILING = PreTokenizer(
    (
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*"
        r"|\s*[\r\n]|\s+(?!\S)|\s+",
    )
)
AYA = PreTokenizer((r"\d{1,3}(?=(?:\d{3})*\b)", O200K))

PRE_TOKENIZERS: Mapping[str, PreTokenizer] = {
    "default": PreTokenizer((r"[\p{P}\$\+<=>\^~\|]+", GPT2_WORDS, r"\p{N}+", THREE_DIGITS)),
    "falcon": PreTokenizer((PUNCTUATION, GPT2_WORDS, THREE_DIGITS)),
    **dict.fromkeys(("gpt-2", "phi-2", "jais", "exaone4", "trillion"), GPT2),
    **dict.fromkeys(("gigachat", "a.x-4.0", "mellum", "modern-bert", "granite-docling"), GPT2),
    **dict.fromkeys(("jina-es", "jina-de", "jina-v2-es", "jina-v2-de"), GPT2),
    **dict.fromkeys(("mpt", "olmo"), GPT_NEOX),
    "command-r": PreTokenizer(STARCODER.splits, nfc=True),
    **dict.fromkeys(("starcoder", "refact", "smollm", "codeshell"), STARCODER),
    **dict.fromkeys(("exaone", "minerva-7b", "mellum2"), STARCODER),
    **dict.fromkeys(("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1"), LLAMA3),
    **dict.fromkeys(("pixtral", "midm-2.0", "lfm2", "jina-v5-nano"), LLAMA3),
    **dict.fromkeys(("dbrx", "smaug-bpe", "chatglm-bpe", "glm4"), PreTokenizer((CL100K,))),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen"), QWEN2),
    **dict.fromkeys(("stablelm2", "megrez", "hunyuan", "grok-2"), PreTokenizer((ONE_DIGIT,))),
    **dict.fromkeys(("kormo", "f2llmv2", "solar-open"), PreTokenizer((ONE_DIGIT,))),
    "qwen35": PreTokenizer((_tiktoken_words(r"\p{N}", letters=r"\p{L}\p{M}"),), nfc=True),
    **dict.fromkeys(("bloom", "poro-chat", "gpt3-finnish"), BLOOM),
    "viking": PreTokenizer((BLOOM_WORDS, r"\p{N}")),
    "deepseek-llm": PreTokenizer(
        (
            r"[\r\n]",
            rf"\s?[{CASED}]+",
            r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
            r"\s+$",
            HAN_TO_HANGUL,
            r"\p{N}",
        )
    ),
    "deepseek-coder": PreTokenizer(
        (r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", HAN_TO_HANGUL, r"\p{N}")
    ),
    **dict.fromkeys(("deepseek-v3", "hunyuan-dense", "joyai-llm"), DEEPSEEK3),
    "tekken": PreTokenizer((_o200k_words(r"\p{N}", ""),), whole_words=True, add_bos=True),
    **dict.fromkeys(("gpt-4o", "llama4", "kanana2", "talkie"), PreTokenizer((O200K,))),
    "minimax-m2": PreTokenizer((O200K,)),
    **dict.fromkeys(("tiny_aya", "cohere2moe"), AYA),
    **dict.fromkeys(("bailingmoe", "bailingmoe2", "llada-moe"), BAILING),
    "jais-2": PreTokenizer(
        (_tiktoken_words(r"\p{N}{1,3}", spaces=rf"{LONG_SPACES}|\s{{1,2}}(?!\S)|\s{{1}}"),)
    ),
    "minicpm5": PreTokenizer((r"\p{N}{1,3}", _tiktoken_words(r"\p{N}+")), whole_words=True),
}
