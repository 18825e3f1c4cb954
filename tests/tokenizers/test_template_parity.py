"""Chat templates, byte for byte as transformers renders them."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from inferflow_tokenizers.chat_template import TemplateRenderer

from inferflow_core.errors import TemplateError

TOKENS = {"bos_token": "<BOS>", "eos_token": "<EOS>"}
CALL = {
    "id": "call12345",
    "type": "function",
    "function": {"name": "weather", "arguments": {"place": "Zürich <b> & 'ß'", "days": 2.50}},
}
TEXT_CALL = {**CALL, "function": {"name": "weather", "arguments": '{"place": "Zürich"}'}}
CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "one": [{"role": "user", "content": "hi <b> & ü 😀\n"}],
    "system": [
        {"role": "system", "content": ' You are "terse".\n'},
        {"role": "user", "content": "  What's 1 < 2?  "},
    ],
    "turns": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nyes?"},
        {"role": "user", "content": "b\r\n\tc"},
        {"role": "assistant", "content": "done "},
        {"role": "user", "content": ""},
    ],
    "tool": [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "tool", "name": "weather", "content": '{"t": 1}', "tool_call_id": CALL["id"]},
        {"role": "assistant", "content": "cold"},
        {"role": "user", "content": "thanks"},
    ],
    "call": [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "name": "weather", "content": "12", "tool_call_id": CALL["id"]},
    ],
    "call of text": [
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": None, "tool_calls": [TEXT_CALL]},
        {"role": "tool", "name": "weather", "content": "12", "tool_call_id": CALL["id"]},
    ],
    "wrong": [{"role": "assistant", "content": "first"}, {"role": "assistant", "content": "x"}],
}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "The weather of a place — à la «carte».",
            "parameters": {
                "type": "object",
                "properties": {
                    "place": {"type": "string", "description": "where", "enum": ["Zürich", "<x>"]},
                    "days": {"type": "number", "default": 1.0, "description": ""},
                    "units": {"type": "array", "items": {"type": "string"}, "description": "u"},
                },
                "required": ["place"],
            },
            "return": {"type": "string", "description": "the weather"},
        },
    }
    for name in ("weather", "forecast")
]
DOCUMENTS = [{"title": "T", "text": "one"}, {"title": "U", "text": "two\n<b>"}]
TEMPLATES = {
    "CohereForAI-c4ai-command-r-plus-tool_use": 28,
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use": 28,
    "Qwen-Qwen2.5-7B-Instruct": 56,
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": 48,
    "google-gemma-2-2b-it": 16,
    "meetkai-functionary-medium-v3.1": 40,
    "meta-llama-Llama-3.1-8B-Instruct": 56,
    "meta-llama-Llama-3.3-70B-Instruct": 56,
    "mistralai-Mistral-Nemo-Instruct-2407": 48,
}
"""Each with how many of the 56 cases it takes; it refuses the others or needs tools."""


@pytest.fixture(scope="module")
def renderer() -> Iterator[TemplateRenderer]:
    renderer = TemplateRenderer()
    yield renderer
    renderer.close()


def expected(template: str, messages: Any, tools: Any, prompt: bool, **extra: Any) -> str | None:
    """As transformers renders it; None where it raises."""
    utils = pytest.importorskip(
        "transformers.utils.chat_template_utils",
        reason="compares with transformers: extra `parity`",
    )
    try:
        rendered, _ = utils.render_jinja_template(
            [messages],
            tools=tools,
            documents=extra.pop("documents", None),
            chat_template=template,
            add_generation_prompt=prompt,
            **extra,
        )
    except Exception:
        return None
    return rendered[0]


def ours(
    renderer: TemplateRenderer, template: str, messages: Any, tools: Any, prompt: bool, **extra: Any
) -> str | None:
    try:
        return renderer.render(template, messages, tools, prompt, **extra)
    except TemplateError:
        return None


@pytest.mark.parametrize("name", TEMPLATES)
def test_real_templates(name: str, shared: Path, renderer: TemplateRenderer) -> None:
    template = (shared / "data" / "chat_templates" / f"{name}.jinja").read_text("utf-8")
    rendered = 0
    cases = itertools.product(
        CONVERSATIONS.values(), (None, TOOLS), (True, False), ({}, {"documents": DOCUMENTS})
    )
    for messages, tools, prompt, extra in cases:
        text = expected(template, messages, tools, prompt, **TOKENS, **extra)
        assert ours(renderer, template, messages, tools, prompt, **TOKENS, **extra) == text
        rendered += text is not None
    assert rendered == TEMPLATES[name]


@pytest.mark.parametrize(
    "template",
    [
        "{% for m in messages %}{% if loop.index > 2 %}{% break %}{% endif %}{{ m.role }}"
        "{% endfor %}",
        "{% for m in messages %}{% if m.role == 'tool' %}{% continue %}{% endif %}{{ m.role }},"
        "{% endfor %}",
        "{% for m in messages %}{% generation %}{{ loop.first }}{{ m.role }}\n{% endgeneration %}\n"
        "{% endfor %}{%- generation -%} x {%- endgeneration -%} y",
        "{% generation %}{% set a = 1 %}{% endgeneration %}{{ a }}",
        "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}"
        "{{ ns.n }}",
        "{% set ns = namespace(_n=0) %}{{ ns._n }}",
        "{{ tools | tojson }}{{ messages | tojson(indent=2) }}{{ messages[2] | tojson(indent=4) }}",
        "{{ tools | tojson(ensure_ascii=True, sort_keys=True, separators=(',', ':')) }}",
        "{{ messages }}{{ documents }}{{ tools[0].function.parameters.properties.days }}",
        "{{ strftime_now('%Y-%m-%d') }}{{ strftime_now('%d %b %Y') }}",
        "{{ raise_exception('no') }}",
        "{{ bos_token + nothing }}",
        "{{ bos_token }}{{ nothing }}{{ pad_token }}{{ nothing is defined }}",
        "{{ messages[9].content.role }}",
        "  {% if true %}\n  a\n    {%- if true %} b {% endif +%}\n  {% endif %}\nc\n\n",
        "{# remark #}\n{% raw %}{{ x }}{% endraw %}\n",
        "{% macro f(x, y=2) -%} {{ x }}{{ y }}{{ caller() if caller }} {%- endmacro %}{{ f(1) }}"
        "{% call f(3) %}z{% endcall %}",
        "{{ dict(a=1, b=messages[0].role) }}{{ range(3) | list }}{{ [1, 2] | join('-') }}",
        "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list }}",
        "{{ messages[0].content.upper().strip()[:4] }}{{ 'a,b'.split(',') }}{{ '%s!' % 'x' }}"
        "{{ messages[0].items() | list }}{{ 'x' ~ 1 ~ None }}",
        "{{ messages | length }}{{ 7 // 2 }}{{ 2 ** 3 }}{{ 1.0 }}{{ 10000000000000000.0 }}"
        "{{ 1e-7 }}",
        "{{ '<b>' | e }}{{ '<b>' | safe }}{{ '&lt;' | string }}{{ 'a b' | title | trim }}",
        "{{ messages.append(1) }}",
        "{{ ''.__class__ }}",
        "{% include 'x' %}",
        "{{ mood }}{{ 'y' if add_generation_prompt else 'n' }}{{ lipsum is defined }}",
    ],
)
def test_what_templates_use(template: str, renderer: TemplateRenderer) -> None:
    given = {**TOKENS, "documents": DOCUMENTS, "mood": "good"}
    for name, prompt in (("tool", True), ("one", False)):
        messages = CONVERSATIONS[name]
        text = expected(template, messages, TOOLS, prompt, **given)
        assert ours(renderer, template, messages, TOOLS, prompt, **given) == text
