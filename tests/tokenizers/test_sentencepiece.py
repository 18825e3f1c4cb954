"""SentencePiece files: exact against the families' references and the sentencepiece program itself,
habits of tokenizer classes, hostile files."""

import io
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inferflow_tokenizers.auto import open_tokenizer
from inferflow_tokenizers.charsmap import Charsmap
from inferflow_tokenizers.protobuf import fields

from inferflow_core.catalog import Catalog
from inferflow_core.errors import InferflowError, ModelFileError, RequestError

FAMILIES = (
    *("baichuan2_13b_chat", "baichuan2_7b_chat", "chatglm2_6b", "fusellm_7b", "gemma_2b_it"),
    *("internlm_7b_bias", "internlm_chat_20b", "llama2_13b_chat", "llama2_7b", "m2m100_418m"),
    *("minicpm_2b_dpo", "mistral_7b_instruct_v02", "mistral_7b_v01_swa", "mixtral_8x7b"),
    *("open_llama_3b", "orion_14b_chat", "yi_34b_chat", "yi_6b_200k"),
)
MODELS = (
    "llama2_tokenizer/tokenizer.model",
    "tokenizers/internlm_20b/tokenizer.model",
    "tokenizers/netra_nmt_spm32k/spm_32k.model",
)
ODD = (
    "  aeinostTHE.,!?0123456789\n\t中文日本語éñüßﬁ½①Ａ\u3000\xa0\u200b\u0301\u0300가나مرحباпривет"
    "😀👍🏽\u200d\0\x01\x7f▁<s></s><unk><0x41>"
)
TEXTS = st.one_of(st.text(max_size=60), st.text(alphabet=ODD, max_size=60))


def open_model(data: bytes, folder: Callable[..., Any], installed: Catalog, **files: Any) -> Any:
    return open_tokenizer(folder(tokenizer_model=data, **files), {}, installed)


def program(data: bytes) -> Any:
    sentencepiece = pytest.importorskip(
        "sentencepiece", reason="compares with the sentencepiece program: extra `parity`"
    )
    return sentencepiece.SentencePieceProcessor(model_proto=data)


@cache
def some_texts(shared: Path, count: int) -> tuple[str, ...]:
    """Parts of an article, runs of a character, and characters of all scripts."""
    wiki = (shared / "data" / "wiki.test.raw").read_text("utf-8")
    draw = random.Random(1)
    texts = [wiki[at : at + draw.randrange(300)] for at in range(0, len(wiki), len(wiki) // count)]
    texts += [unit * length for unit in (" ", "a", "ab", "\n", "=") for length in range(1, 40)]
    for _ in range(count):
        texts.append("".join(draw.choices(ODD, k=draw.randrange(40))))
        plane = draw.choice([(0x20, 0x250), (0x300, 0xD7FF), (0xE000, 0x2FFFF)])
        texts.append("".join(chr(draw.randrange(*plane)) for _ in range(20)))
    return tuple(texts)


@pytest.mark.parametrize("family", FAMILIES)
def test_family_is_exact(family: str, family_is_exact: Callable[..., None]) -> None:
    family_is_exact(family, "sentencepiece")


@pytest.mark.parametrize("name", MODELS)
def test_equals_the_program(
    name: str, shared: Path, folder: Callable[..., Any], installed: Catalog
) -> None:
    data = (shared / "data" / name).read_bytes()
    theirs, ours = program(data), open_model(data, folder, installed)
    unknown = theirs.unk_id()
    for text in some_texts(shared, 200):
        ids = theirs.encode(text)
        assert ours.encode(text, special=False) == ids, text
        if unknown not in ids:  # which the program writes as a sign of its own
            assert ours.decode(ids) == theirs.decode(ids), text

    @given(text=TEXTS)
    @settings(max_examples=100, deadline=None)
    def any_text(text: str) -> None:
        assert ours.encode(text, special=False) == theirs.encode(text)

    any_text()


CONFIGURATIONS: list[dict[str, Any]] = [
    {"model_type": "bpe"},
    {"model_type": "unigram"},
    {
        "model_type": "bpe",
        "byte_fallback": True,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "user_defined_symbols": ["<sep>", "the", "  ", "a b", "▁of"],
    },
    {
        "model_type": "unigram",
        "byte_fallback": True,
        "normalization_rule_name": "nmt_nfkc_cf",
        "user_defined_symbols": ["<sep>", "the", "  ", "a b", "Of", "①"],
    },
    {"model_type": "unigram", "treat_whitespace_as_suffix": True},
    {"model_type": "bpe", "treat_whitespace_as_suffix": True, "split_by_whitespace": False},
    {"model_type": "bpe", "split_by_whitespace": False, "add_dummy_prefix": False},
    {
        "model_type": "unigram",
        "split_by_whitespace": False,
        "add_dummy_prefix": False,
        "remove_extra_whitespaces": False,
        "normalization_rule_name": "nfkc",
    },
    {
        "model_type": "bpe",
        "normalization_rule_name": "nfkc_cf",
        "control_symbols": ["<ctl>"],
        "user_defined_symbols": ["<x>", " ", "é"],
    },
]


@pytest.mark.slow
@pytest.mark.parametrize("unused", [0, 60])
@pytest.mark.parametrize("options", CONFIGURATIONS, ids=str)
def test_equals_the_program_however_trained(
    options: dict[str, Any],
    unused: int,
    shared: Path,
    proto: Callable[..., bytes],
    folder: Callable[..., Any],
    installed: Catalog,
) -> None:
    """`unused`: how many pieces are marked so, which serve on the way to others only."""
    sentencepiece = pytest.importorskip(
        "sentencepiece", reason="trains with the sentencepiece program: extra `parity`"
    )
    written = io.BytesIO()
    lines = (shared / "data" / "wiki.test.raw").read_text("utf-8").split("\n")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line for line in lines if line.strip()][:700]),
        model_writer=written,
        vocab_size=700,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    data = with_unused(proto, written.getvalue(), unused)
    theirs, ours = program(data), open_model(data, folder, installed)
    for text in some_texts(shared, 200):
        assert ours.encode(text, special=False) == theirs.encode(text), text


def with_unused(proto: Callable[..., bytes], data: bytes, count: int) -> bytes:
    """The model with every n-th of its normal pieces unused."""
    parts = list(fields(data))
    normal = [
        at
        for at, (number, piece) in enumerate(parts)
        if number == 1 and isinstance(piece, bytes) and 3 not in dict(fields(piece))
    ]
    for at in normal[:: len(normal) // count] if count else ():
        number, piece = parts[at]
        assert isinstance(piece, bytes)
        parts[at] = (number, piece + proto((3, 5)))
    return proto(*parts)


@pytest.mark.parametrize(
    ("config", "ids"),
    [
        ({}, [1, 9, 2]),
        ({"tokenizer_class": "LlamaTokenizerFast"}, [1, 9, 2]),
        ({"tokenizer_class": "SomeTokenizer", "add_bos_token": False}, [9, 2]),
        ({"add_eos_token": True}, [1, 9, 2, 2]),
        ({"tokenizer_class": "T5Tokenizer"}, [9, 2, 2]),
        ({"tokenizer_class": "ChatGLMTokenizer"}, [12, 14, 9, 2]),
        ({"tokenizer_class": "XLMRobertaTokenizer"}, [0, 10, 2, 2]),
    ],
)
def test_habits_of_classes(
    folder: Callable[..., Any],
    sentencepiece_file: Callable[..., bytes],
    installed: Catalog,
    config: dict[str, Any],
    ids: list[int],
) -> None:
    data = sentencepiece_file()
    tokenizer = open_model(data, folder, installed, tokenizer_config_json=config)
    assert tokenizer.encode("ab</s>", parse_special=True) == ids
    assert 2 not in tokenizer.encode("ab</s>", special=False)


def test_extra_tokens_of_t5(
    folder: Callable[..., Any], sentencepiece_file: Callable[..., bytes], installed: Catalog
) -> None:
    config = {"tokenizer_class": "T5Tokenizer"}
    tokenizer = open_model(sentencepiece_file(), folder, installed, tokenizer_config_json=config)
    assert (tokenizer.token_id("<extra_id_99>"), tokenizer.token_id("<extra_id_0>")) == (11, 110)
    assert tokenizer.vocab_size == 111


@pytest.mark.parametrize(
    ("token", "config", "text", "ids"),
    [
        ({}, {}, "ab <x> ab", [9, 3, 11, 3, 9]),
        ({"lstrip": True, "rstrip": True}, {}, "ab <x> ab", [9, 11, 9]),
        ({"single_word": True}, {}, "a<x>a <x>", [8, 0, 4, 3, 11]),
        ({}, {"legacy": False}, "<x>ab", [11, 7]),
        ({}, {"legacy": True}, "<x>ab", [11, 9]),
    ],
)
def test_added_tokens(
    folder: Callable[..., Any],
    sentencepiece_file: Callable[..., bytes],
    installed: Catalog,
    token: dict[str, Any],
    config: dict[str, Any],
    text: str,
    ids: list[int],
) -> None:
    added = {"11": {"content": "<x>", **token}}
    files = {"tokenizer_config_json": {"added_tokens_decoder": added, **config}}
    tokenizer = open_model(sentencepiece_file(), folder, installed, **files)
    assert tokenizer.encode(text, special=False) == ids
    clash = {"added_tokens_json": {"<y>": 4}}
    with pytest.raises(ModelFileError, match=r"'<y>' should have id 4, which is 'a'"):
        open_model(sentencepiece_file(), folder, installed, **clash)


def test_streaming(
    folder: Callable[..., Any], sentencepiece_file: Callable[..., bytes], installed: Catalog
) -> None:
    tokenizer = open_model(sentencepiece_file(), folder, installed)
    ids = tokenizer.encode("ab  bc", special=False)
    stream = tokenizer.stream()
    assert [stream.push(id) for id in ids] == ["ab", " ", " ", "bc"]
    assert tokenizer.decode([3, 3, 7]) == " ab"


@pytest.mark.parametrize(
    ("pieces", "trainer", "rules", "message"),
    [
        ([], None, None, "it has no pieces"),
        ([("a", 1), ("a", 1)], None, None, "'a' stands there twice"),
        ([("", 1)], None, None, "a token is empty"),
        ([("a" * 257, 1)], None, None, "has 257 characters; at most 256"),
        ([("a", 1)], None, None, "neither an unknown token nor one a byte"),
        (None, [(3, 3)], None, "of type word; unigram and bpe are read"),
        (None, [(35, 1)], None, "the token <0x00> is missing"),
        (None, None, [(2, b"\x04\0\0")], "precompiled_charsmap: a trie of 4 bytes in 3"),
        (None, None, [(2, 7)], "found the number 7, expected bytes"),
    ],
)
def test_what_is_wrong_is_said(
    folder: Callable[..., Any],
    sentencepiece_file: Callable[..., bytes],
    installed: Catalog,
    pieces: list[tuple[str, int]] | None,
    trainer: list[tuple[int, Any]] | None,
    rules: list[tuple[int, Any]] | None,
    message: str,
) -> None:
    with pytest.raises(ModelFileError, match=rf"tokenizer.model: .*{message}"):
        open_model(sentencepiece_file(pieces, trainer, rules), folder, installed)


def test_what_is_not_done_is_refused(
    folder: Callable[..., Any],
    proto: Callable[..., bytes],
    sentencepiece_file: Callable[..., bytes],
    installed: Catalog,
) -> None:
    denormalizer = sentencepiece_file(None, None, None, (5, proto((2, b"x"))))
    with pytest.raises(ModelFileError, match="maps texts on decoding"):
        open_model(denormalizer, folder, installed)
    with pytest.raises(ModelFileError, match="not a SentencePiece model"):  # tiktoken's
        open_model(b"IQ== 0\nIg== 1\n", folder, installed)
    config = {"tokenizer_class": "NllbTokenizer"}
    with pytest.raises(ModelFileError, match=r"class NllbTokenizer .* tokenizer\.json only"):
        open_model(sentencepiece_file(), folder, installed, tokenizer_config_json=config)


def test_truncated_anywhere(
    folder: Callable[..., Any],
    proto: Callable[..., bytes],
    sentencepiece_file: Callable[..., bytes],
    installed: Catalog,
) -> None:
    data = sentencepiece_file()
    whole = {sum(len(proto(part)) for part in [*fields(data)][:count]) for count in range(1, 14)}
    for length in range(len(data)):
        if length in whole:
            continue
        with pytest.raises(ModelFileError):
            open_model(data[:length], folder, installed)


@given(changes=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), max_size=4))
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_fuzzed_file_is_an_error_or_works(
    changes: list[tuple[int, int]],
    folder: Callable[..., Any],
    sentencepiece_file: Callable[..., bytes],
    installed: Catalog,
) -> None:
    data = bytearray(sentencepiece_file(None, [(3, 1), (24, 1)], [(3, 1), (4, 1)]))
    for at, value in changes:
        data[at % len(data)] = value
    try:
        tokenizer = open_model(bytes(data), folder, installed)
        tokenizer.decode(tokenizer.encode("ab  é </s>", parse_special=True))
    except InferflowError:
        return


def test_fuzzed_map_is_an_error_or_works(shared: Path) -> None:
    """Units that point anywhere: lookups end, and stay inside."""
    model = (shared / "data" / MODELS[2]).read_bytes()
    rules = dict(fields(dict(fields(model))[3]))  # type: ignore[arg-type]
    data, draw = rules[2], random.Random(1)
    assert isinstance(data, bytes)
    assert Charsmap(Path("m"), data).longest("①".encode(), 0) == (3, b"1")
    size = int.from_bytes(data[:4], "little")
    for _ in range(20):
        changed = bytearray(data)
        for at in draw.sample(range(4, size), 5000):
            changed[at] = draw.randrange(256)
        charsmap = Charsmap(Path("m"), bytes(changed))
        for at in range(0, len(ODD.encode())):
            charsmap.longest(ODD.encode(), at)


def test_texts_do_not_grow_without_bound(
    folder: Callable[..., Any],
    sentencepiece_file: Callable[..., bytes],
    installed: Catalog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from inferflow_tokenizers import piece_normalizer

    monkeypatch.setattr(piece_normalizer, "MAX_NORMALIZED", 10)
    data = sentencepiece_file(None, None, [(4, 1)])
    with pytest.raises(RequestError, match="grows beyond 10 bytes"):
        open_model(data, folder, installed).encode("a" * 11)
