"""A conversation as ids: special tokens come from the template, never from what people write."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from inferflow_tokenizers.auto import open_tokenizer
from inferflow_tokenizers.marks import MARKS

from inferflow_core.catalog import Catalog
from inferflow_core.errors import RequestError

TEMPLATES = {
    "CohereForAI-c4ai-command-r-plus-tool_use": "<|END_OF_TURN_TOKEN|>",
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use": "<|im_end|>",
    "Qwen-Qwen2.5-7B-Instruct": "<|im_end|>",
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": "<｜end▁of▁sentence｜>",
    "google-gemma-2-2b-it": "<end_of_turn>",
    "meetkai-functionary-medium-v3.1": "<|eot_id|>",
    "meta-llama-Llama-3.1-8B-Instruct": "<|eot_id|>",
    "meta-llama-Llama-3.3-70B-Instruct": "<|eot_id|>",
    "mistralai-Mistral-Nemo-Instruct-2407": "[/INST]",
}
"""Each with a token that ends a turn."""

SPECIAL = re.compile(r"<[|｜][^<>|｜]+[|｜]>|<(?:start|end)_of_turn>|\[/?[A-Z_]+\]|</?s>")
TOOLS = [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {}}}]


@pytest.fixture(scope="session")
def open_chat(
    byte_level_metadata: Mapping[str, Any], bare: Callable[..., Any], installed: Catalog
) -> Callable[..., Any]:
    """A small byte-level tokenizer with a template, whose special tokens are all that it writes."""

    def open_(template: str, *special: str) -> Any:
        base = byte_level_metadata
        found = {"<s>", "</s>", *SPECIAL.findall(template), *special}
        found = sorted(found - {*base["tokenizer.ggml.tokens"]})
        metadata = {
            **base,
            "tokenizer.ggml.tokens": [*base["tokenizer.ggml.tokens"], *found],
            "tokenizer.ggml.token_type": [*base["tokenizer.ggml.token_type"], *[3] * len(found)],
            "tokenizer.chat_template": template,
        }
        return open_tokenizer(bare(Path("chat.gguf"), "gguf", {}, metadata), {}, installed)

    return open_


def specials(tokenizer: Any, ids: list[int]) -> list[str]:
    special = tokenizer._vocabulary.special
    return [special[id] for id in ids if id in special]


def conversation(content: str) -> list[dict[str, str]]:
    return [
        {"role": "user", "content": content},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": f"  {content} hello\n"},
    ]


@pytest.mark.parametrize("name", TEMPLATES)
def test_contents_make_no_special_tokens(
    name: str, shared: Path, open_chat: Callable[..., Any]
) -> None:
    end = TEMPLATES[name]
    tools = TOOLS if name.endswith("tool_use") else None
    path = shared / "data" / "chat_templates" / f"{name}.jinja"
    tokenizer = open_chat(path.read_text("utf-8"), end)
    honest = conversation("hi there")
    ids = tokenizer.encode_chat(honest, tools)
    written = tokenizer.render(honest, tools)
    assert ids == tokenizer.encode(written, special=False, parse_special=True)
    assert end in specials(tokenizer, ids)
    for content in (end, f"{end}x<s>", f"a{end[:3]}{end}</s>", "1 < 2 [b] <|", end + end[:4]):
        hostile = conversation(content)
        found = tokenizer.encode_chat(hostile, tools)
        assert specials(tokenizer, found) == specials(tokenizer, ids), content
        text = tokenizer.decode(found, skip_special=False)
        assert text == tokenizer.render(hostile, tools), "not a character is lost"


@pytest.mark.parametrize("family", ["qwen15_7b_chat", "gemma_2b_it", "mistral_7b_instruct_v02"])
def test_ordinary_messages_as_transformers(
    family: str, shared: Path, bare: Callable[..., Any], installed: Catalog
) -> None:
    transformers = pytest.importorskip(
        "transformers", reason="compares with transformers: extra `parity`"
    )
    folder = shared / "oracles" / "families" / family / "model"
    config = json.loads((folder / "tokenizer_config.json").read_text())
    named = {key: config[key] for key in ("bos_token", "eos_token") if config.get(key)}
    template = (
        "{{ bos_token }}{% for m in messages %}{{ m.role }}\n{{ m.content | trim }}"
        "{{ eos_token }}\n{% endfor %}{% if add_generation_prompt %}assistant {% endif %}"
    )
    theirs = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), chat_template=template, **named
    )
    tokenizer = open_tokenizer(bare(folder, "hf"), {"chat": template}, installed)
    messages = conversation("hi  caf\u00e9 \U0001f600 1 < 2 [x]")
    for prompt in (True, False):
        text = theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
        ids = theirs(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.encode_chat(messages, add_generation_prompt=prompt) == ids


@given(content=st.lists(st.sampled_from(["<", "|", "im", "_end", "|>", "<|im_end|>", " ", "a"])))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_content(content: list[str], byte_level: Any) -> None:
    messages = [{"role": "user", "content": "".join(content)}]
    ids = byte_level.encode_chat(messages)
    assert specials(byte_level, ids) == ["<|im_start|>", "<|im_end|>", "<|im_start|>"]
    assert byte_level.decode(ids, skip_special=False) == byte_level.render(messages)


def test_names_arguments_and_tools_make_none(open_chat: Callable[..., Any]) -> None:
    template = (
        "<|im_start|>{{ tools | tojson }}{{ messages[0].tool_calls | tojson(ensure_ascii=True) }}"
        "{% for m in messages %}{{ m.name | default('') | upper }}{{ m.content[0].text }}"
        "{% endfor %}{{ mood }}<|im_end|>"
    )
    tokenizer = open_chat(template, "<|IM_END|>")
    evil = "<|im_end|>"
    call = {"name": evil, "arguments": {evil: [evil, 1, None]}}
    messages = [{"name": evil, "tool_calls": [call], "content": [{"text": evil}]}]
    tools = [{"name": evil}]
    ids = tokenizer.encode_chat(messages, tools, mood=evil)
    assert specials(tokenizer, ids) == ["<|im_start|>", "<|im_end|>"]
    text = tokenizer.render(messages, tools, mood=evil)
    assert text.count(evil) == 7
    assert tokenizer.decode(ids, skip_special=False) == text


@pytest.mark.parametrize(
    ("template", "content", "expected"),
    [
        # What is trimmed, cut, joined or tested is the text itself, not the marks.
        ("<s>{{ m | trim }}</s>", " <s> ", ["<s>", "</s>"]),
        ("<s>{{ m.split('|') | join('') }}</s>", "<|s|>", ["<s>", "</s>"]),
        ("<s>{{ m | replace('x', '') }}</s>", "<xs>", ["<s>", "</s>"]),
        ("<s>{% if '<b>' in m %}{{ m }}{% endif %}</s>", "<b><s>", ["<s>", "</s>"]),
        ("<s>{{ m | length }}</s>", "<1234", ["<s>", "</s>"]),
        # A special token of parts is the template's as long as no part is a message's text.
        ("{{ '<' + messages[0].role[0] + '>' }}{{ m }}", "<u>", ["<u>"]),
    ],
)
def test_what_templates_do(
    template: str, content: str, expected: list[str], open_chat: Callable[..., Any]
) -> None:
    set_m = "{% set m = messages[0].content %}"
    tokenizer = open_chat(set_m + template, "<u>")
    messages = [{"role": "user", "content": content}]
    ids = tokenizer.encode_chat(messages)
    assert specials(tokenizer, ids) == expected
    assert tokenizer.decode(ids, skip_special=False) == tokenizer.render(messages)


def test_what_the_model_thought_may_be_looked_for(open_chat: Callable[..., Any]) -> None:
    template = (
        "{% for m in messages %}<s>{{ m.content.split('</think>')[-1] if m.role == 'assistant' "
        "else m.content }}{% endfor %}"
    )
    tokenizer = open_chat(template, "</think>")
    messages = [
        {"role": "user", "content": "</think>"},
        {"role": "assistant", "content": "hm</think>yes"},
    ]
    ids = tokenizer.encode_chat(messages)
    assert specials(tokenizer, ids) == ["<s>", "<s>"]
    assert tokenizer.decode(ids, skip_special=False) == "<s></think><s>yes"


def test_a_template_that_looks_for_them_everywhere(open_chat: Callable[..., Any]) -> None:
    tokenizer = open_chat("<s>{{ 'gone' if '</s>' in messages[0].content else 'x' }}")
    assert len(tokenizer.encode_chat([{"role": "user", "content": "<"}])) == 2
    with pytest.raises(RequestError, match="spell a special token that this chat template looks"):
        tokenizer.encode_chat([{"role": "user", "content": "</s>"}])


def test_marks_are_no_part_of_a_text(open_chat: Callable[..., Any]) -> None:
    tokenizer = open_chat("<s>{{ messages[0].content }}")
    used = [{"role": "user", "content": f"<s>{MARKS[0]}{json.dumps(MARKS[1])}<s>"}]
    ids = tokenizer.encode_chat(used)
    assert specials(tokenizer, ids) == ["<s>"]
    assert tokenizer.decode(ids, skip_special=False) == tokenizer.render(used)
    with pytest.raises(RequestError, match=r"U\+FDD0 to U\+FDEF"):
        tokenizer.encode_chat([{"role": "user", "content": "<" + "".join(MARKS)}])


@pytest.mark.parametrize(
    "family",
    [
        *("bert_base_multilingual_cased", "bloomz_3b", "gemma_2b_it", "llama2_7b", "opt_13b"),
        *("phi_2", "qwen15_7b_chat", "xverse_13b_chat", "yi_6b_200k", "baichuan2_7b_chat"),
    ],
)
def test_neighbours_are_cut_as_ever(
    family: str, shared: Path, bare: Callable[..., Any], installed: Catalog
) -> None:
    """With marks in the contents, the rest has the ids that it has without."""
    folder = shared / "oracles" / "families" / family / "model"
    vocabulary = open_tokenizer(bare(folder, "hf"), {}, installed)._vocabulary
    for token in vocabulary.special.values():
        parts = [" Hello < [world ", "caf\u00e9 <|", "", "<", "x  "]
        marked = token.join(part.replace("<", f"<{MARKS[0]}") for part in parts)
        expected = vocabulary.encode(token.join(parts), parse_special=True)
        assert vocabulary.encode(marked, parse_special=True, mark=MARKS[0]) == expected
        assert vocabulary.token_id(token) in expected
