"""tokenizer.json: exact against the families' references, policy of BOS/EOS, hostile files."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inferflow_tokenizers.auto import open_tokenizer
from inferflow_tokenizers.limits import MAX_TEXT

from inferflow_core.catalog import Catalog
from inferflow_core.errors import InferflowError, ModelFileError, RequestError, SpecError

FAMILIES = (
    *("bert_base_multilingual_cased", "bloomz_3b", "deepseek_moe_16b_base", "falcon_40b_instruct"),
    *("falcon_7b_instruct", "gemma_2b_it", "llama2_13b_chat", "llama2_7b", "minicpm_2b_dpo"),
    *("mistral_7b_instruct_v02", "mistral_7b_v01_swa", "mixtral_8x7b", "phi_2"),
    *("qwen15_05b_chat", "qwen15_7b_chat", "xverse_13b_chat", "yi_34b_chat", "yi_6b_200k"),
)

PARSED = ("bloomz_3b", "deepseek_moe_16b_base", "xverse_13b_chat")
"""References made by a program that reads special tokens inside of a text."""


@pytest.mark.parametrize("family", FAMILIES)
def test_family_is_exact(family: str, family_is_exact: Callable[..., None]) -> None:
    family_is_exact(family, "tokenizer_json", family in PARSED)


def test_ids_that_stop(open_real: Callable[[str], Any]) -> None:
    llama = open_real("family:llama2_7b")
    assert (llama.bos, llama.eos, llama.stop_ids) == (1, 2, frozenset({2}))
    falcon = open_real("family:falcon_7b_instruct")  # BOS only as an id of the configuration
    assert (falcon.bos, falcon.eos, falcon.stop_ids) == (3, 3, frozenset({3}))


@pytest.mark.parametrize(
    ("config", "options", "ids"),
    [
        ({}, {}, [1, 3, 4]),
        ({"add_bos_token": False}, {}, [3, 4]),
        ({"add_bos_token": True, "add_eos_token": True}, {}, [1, 3, 4, 2]),
        ({"add_bos_token": False}, {"bos": True}, [1, 3, 4]),
        ({}, {"bos": False, "eos": True}, [3, 4, 2]),
        ({}, {"prefix": ["b", "</s>"], "suffix": ["c"]}, [4, 2, 3, 4, 5]),
        ({}, {"prefix": ["b"], "bos": True}, [1, 4, 3, 4]),
    ],
)
def test_policy(
    folder: Callable[..., Any],
    word_definition: dict[str, Any],
    installed: Catalog,
    config: dict[str, Any],
    options: dict[str, Any],
    ids: list[int],
) -> None:
    named = {"bos_token": "<s>", "eos_token": {"content": "</s>"}}
    checkpoint = folder(tokenizer_json=word_definition, tokenizer_config_json={**named, **config})
    tokenizer = open_tokenizer(checkpoint, options, installed)
    assert tokenizer.encode("a b") == ids
    assert tokenizer.encode("a b", special=False) == [3, 4]


def test_policy_names_the_unknown_token(
    folder: Callable[..., Any], word_definition: dict[str, Any], installed: Catalog
) -> None:
    checkpoint = folder(tokenizer_json=word_definition)
    with pytest.raises(SpecError, match=r"tokenizer.prefix +no token '<S>'. Did you mean '<s>'"):
        open_tokenizer(checkpoint, {"prefix": ["<S>"]}, installed)
    with pytest.raises(SpecError, match=r"tokenizer.bos .*names no bos token"):
        open_tokenizer(checkpoint, {"bos": True}, installed)


def test_special_text_is_parsed_only_where_asked(
    folder: Callable[..., Any], word_definition: dict[str, Any], installed: Catalog
) -> None:
    tokenizer = open_tokenizer(folder(tokenizer_json=word_definition), {}, installed)
    assert tokenizer.encode("a</s>b", special=False, parse_special=True) == [3, 2, 4]
    assert 2 not in tokenizer.encode("a</s>b", special=False)


def test_tokens_of_other_files_are_added(
    folder: Callable[..., Any], word_definition: dict[str, Any], installed: Catalog
) -> None:
    added = {"7": {"content": "<x>", "special": True}, "1": {"content": "<s>", "special": True}}
    checkpoint = folder(
        tokenizer_json=word_definition,
        tokenizer_config_json={"added_tokens_decoder": added, "additional_special_tokens": ["c"]},
        added_tokens_json={"<w>": 6},
    )
    tokenizer = open_tokenizer(checkpoint, {}, installed)
    assert tokenizer.encode("<x><w>c", special=False, parse_special=True) == [7, 6, 5]
    assert tokenizer.vocab_size == 8
    assert tokenizer.decode([3, 7, 5, 6]) == "a <w>"  # <x> and c are special
    checkpoint = folder(tokenizer_config_json={}, added_tokens_json={"<w>": 60})
    with pytest.raises(ModelFileError, match=r"'<w>' should have id 60, but .* gives it 6"):
        open_tokenizer(checkpoint, {}, installed)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"tokenizer_config_json": {"chat_template": "one"}}, {"default": "one"}),
        (
            {
                "tokenizer_config_json": {
                    "chat_template": [
                        {"name": "default", "template": "one"},
                        {"name": "tool_use", "template": "two"},
                    ]
                }
            },
            {"default": "one", "tool_use": "two"},
        ),
        (
            {"tokenizer_config_json": {"chat_template": "one"}, "chat_template_jinja": "file"},
            {"default": "file"},
        ),
    ],
)
def test_chat_templates(
    folder: Callable[..., Any],
    word_definition: dict[str, Any],
    installed: Catalog,
    files: dict[str, Any],
    expected: dict[str, str],
) -> None:
    checkpoint = folder(tokenizer_json=word_definition, **files)
    tokenizer: Any = open_tokenizer(checkpoint, {}, installed)
    assert tokenizer.chat_templates == expected
    assert tokenizer.chat_template == expected["default"]


def test_texts_are_bounded(byte_level: Any) -> None:
    with pytest.raises(RequestError, match=f"{MAX_TEXT + 1} characters is too long"):
        byte_level.encode("a" * (MAX_TEXT + 1))
    with pytest.raises(RequestError, match="half of a surrogate pair"):
        byte_level.encode("a\ud800")


def test_unknown_ids_are_nothing(byte_level: Any) -> None:
    for id in (-1, byte_level.vocab_size, 2**31, 2**40):
        assert byte_level.token(id) == ""
        assert byte_level.decode([id]) == ""


def test_panic_becomes_an_error(
    folder: Callable[..., Any], word_definition: dict[str, Any], installed: Catalog
) -> None:
    word_definition["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}
    with pytest.raises(ModelFileError, match=r"tokenizer\.json: tokenizer: PanicException"):
        open_tokenizer(folder(tokenizer_json=word_definition), {}, installed)


@pytest.mark.parametrize("content", ["", "[]", "nul", "{", "[" * 100_000, '{"model": 3}'])
@pytest.mark.parametrize("name", ["tokenizer_json", "tokenizer_config_json"])
def test_malformed_json(
    folder: Callable[..., Any],
    word_definition: dict[str, Any],
    installed: Catalog,
    name: str,
    content: str,
) -> None:
    files = {"tokenizer_json": word_definition, name: content}
    if name == "tokenizer_config_json" and content == '{"model": 3}':
        return
    with pytest.raises(ModelFileError, match=name.replace("_json", ".json")):
        open_tokenizer(folder(**files), {}, installed)


JUNK = st.sampled_from([None, True, -1, 2**40, 0.5, "", "x", [], {}, ["x"], {"type": "Nope"}])


@given(data=st.data())
@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_fuzzed_definition_is_an_error_or_works(
    data: st.DataObject,
    folder: Callable[..., Any],
    word_definition: dict[str, Any],
    installed: Catalog,
) -> None:
    definition = copy.deepcopy(word_definition)
    node: Any = definition
    while True:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        key = data.draw(st.sampled_from(list(keys)))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans()):
            break
        node = node[key]
    node[key] = data.draw(JUNK)
    try:
        tokenizer = open_tokenizer(folder(tokenizer_json=definition), {}, installed)
        tokenizer.decode(tokenizer.encode("a b <s>", parse_special=True))
    except InferflowError:
        return
