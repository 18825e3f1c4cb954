"""Chat templates: the environment that templates expect, and bounds on hostile ones."""

import gc
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from inferflow_tokenizers.chat_template import TemplateRenderer
from inferflow_tokenizers.limits import MAX_REQUEST, MAX_TEMPLATE, MAX_TEXT

from inferflow_core.errors import RequestError, TemplateError

MESSAGES = [
    {"role": "user", "content": "hi <b> & ü 😀"},
    {"role": "assistant", "content": "yes?"},
    {"role": "user", "content": "again"},
]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a place.",
            "parameters": {
                "type": "object",
                "properties": {"place": {"type": "string", "description": "where"}},
                "required": ["place"],
            },
            "return": {"type": "string"},
        },
    }
]
TEMPLATES = (
    *("CohereForAI-c4ai-command-r-plus-tool_use", "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use"),
    *("Qwen-Qwen2.5-7B-Instruct", "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B"),
    *("google-gemma-2-2b-it", "meetkai-functionary-medium-v3.1"),
    *("meta-llama-Llama-3.1-8B-Instruct", "meta-llama-Llama-3.3-70B-Instruct"),
    "mistralai-Mistral-Nemo-Instruct-2407",
)


@pytest.fixture(scope="module")
def renderer() -> Iterator[TemplateRenderer]:
    renderer = TemplateRenderer()
    yield renderer
    renderer.close()


@pytest.mark.parametrize("name", TEMPLATES)
def test_real_templates(name: str, shared: Path, renderer: TemplateRenderer) -> None:
    template = (shared / "data" / "chat_templates" / f"{name}.jinja").read_text()
    tokens = {"bos_token": "<BOS>", "eos_token": "<EOS>"}
    with_tools = renderer.render(template, MESSAGES, TOOLS, **tokens)
    assert all(message["content"] in with_tools for message in MESSAGES)
    assert "None" not in with_tools
    if name.endswith("tool_use"):
        assert "get_weather" in with_tools
        return
    plain = renderer.render(template, MESSAGES, **tokens)
    assert "get_weather" not in plain
    assert renderer.render(template, MESSAGES, None, False, **tokens) in plain


def test_qwen_exactly(shared: Path, renderer: TemplateRenderer) -> None:
    path = shared / "data" / "chat_templates" / "Qwen-Qwen2.5-7B-Instruct.jinja"
    assert renderer.render(path.read_text(), MESSAGES) == (
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful "
        "assistant.<|im_end|>\n<|im_start|>user\nhi <b> & ü 😀<|im_end|>\n"
        "<|im_start|>assistant\nyes?<|im_end|>\n<|im_start|>user\nagain<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{% for m in messages %}\n  {% if loop.first %}\nx\n  {% endif %}\n{% endfor %}", "x\n"),
        ("{{ messages[0].content | tojson }}", '"hi <b> & ü 😀"'),
        ("{{ tools | tojson(indent=1) }}", "null"),
        ("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01"),
        ("{% generation %}a{% endgeneration %}b", "ab"),
        ("{{ bos_token }}|{{ eos_token }}|{{ pad_token }}|{{ unk_token }}", "<s>||<p>|"),
        ("{{ add_generation_prompt }} {{ documents is none }}", "True True"),
        ("{{ strftime_now('%Y') | int > 2000 }}", "True"),
        ("{{ messages is defined and not evil }}", "True"),
    ],
)
def test_environment(template: str, expected: str, renderer: TemplateRenderer) -> None:
    assert renderer.render(template, MESSAGES, bos_token="<s>", pad_token="<p>") == expected


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for i in range(10**9) %}x{% endfor %}", r"line 1.*Range too big"),
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "2 s"),
        ("{{ 9 ** (9 ** 9) }}", "more than 2 s"),
        ("\n{{ 'a' * 10**10 }}", r"line 2.*more memory"),
        ("{{ 'a'.center(10**11) }}", "more memory"),
        ("{{ '%099999999999d' % 1 }}", "more memory"),
        ("{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}", f"longer than {MAX_TEXT}"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
        ("{{ " + "(" * 100_000 + ")" * 100_000 + " }}", "RecursionError"),
        ("{{ messages.__class__.__mro__[1].__subclasses__() }}", "SecurityError"),
        ("{{ messages.append(1) }}", "SecurityError"),
        ("{{ strftime_now.__globals__.os }}", "SecurityError"),
        ("{% include '/etc/passwd' %}", "no loader"),
        ("\n\n{% if %}", r"line 3.*Expected an expression"),
        ("\n\n{{ nothing.at.all }}", r"line 3.*'nothing' is undefined"),
        ("x" * (MAX_TEMPLATE + 1), "is too long"),
    ],
)
def test_hostile_templates(template: str, message: str, renderer: TemplateRenderer) -> None:
    renderer.render("warm", MESSAGES)
    began = time.process_time(), time.perf_counter()
    with pytest.raises(TemplateError, match=rf"(?s){message}"):
        renderer.render(template, MESSAGES)
    assert time.process_time() - began[0] < 1, "the work is the worker's"
    assert time.perf_counter() - began[1] < 8
    assert renderer.render("{{ messages | length }}", MESSAGES) == "3"


def test_refusal_is_told_apart(renderer: TemplateRenderer) -> None:
    with pytest.raises(TemplateError, match="refuses: no system role") as caught:
        renderer.render("{{ raise_exception('no system role') }}", MESSAGES)
    assert caught.value.refused
    with pytest.raises(TemplateError) as caught:
        renderer.render("{{ 1 / 0 }}", MESSAGES)
    assert not caught.value.refused


def test_messages_must_be_json_of_bounded_size(renderer: TemplateRenderer) -> None:
    with pytest.raises(RequestError, match="must be JSON"):
        renderer.render("x", [{"role": object()}])
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(RequestError, match="must be JSON"):
        renderer.render("x", [{"role": endless}])
    with pytest.raises(RequestError, match="too long"):
        renderer.render("x", [{"role": "a" * MAX_REQUEST}])


def test_extra_variables_never_replace_the_messages(renderer: TemplateRenderer) -> None:
    extra: dict[str, Any] = {"messages": [], "template": "no", "self": 1, "mood": "good"}
    text = renderer.render("{{ messages | length }} {{ mood }} {{ template }}", MESSAGES, **extra)
    assert text == "3 good no"


def test_threads_share_one_worker(renderer: TemplateRenderer) -> None:
    renderer.render("x", MESSAGES)
    worker = renderer._worker
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda n: renderer.render(f"{{{{ {n} }}}}", MESSAGES), range(50)))
    assert texts == [str(n) for n in range(50)]
    assert renderer._worker is worker


def test_dead_worker_is_replaced() -> None:
    renderer = TemplateRenderer()
    assert renderer.render("a", MESSAGES) == "a"
    first = renderer._worker
    assert first is not None
    first.kill()
    first.wait()
    assert renderer.render("b", MESSAGES) == "b"
    second = renderer._worker
    assert second is not None
    del renderer
    gc.collect()
    assert second.poll() is not None, "the worker goes with its renderer"


def test_worker_ends_with_its_parent() -> None:
    script = (
        "import os; from inferflow_tokenizers.chat_template import TemplateRenderer as R; r = R();"
        "r.render('x', []); print(r._worker.pid, flush=True); os._exit(1)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    stat = Path(f"/proc/{int(done.stdout)}/stat")
    for _ in range(100):
        if not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the worker outlives its parent")


def test_worker_imports_little() -> None:
    script = "import sys, inferflow_tokenizers.template_worker; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert not {"numpy", "tokenizers", "inferflow_core"} & set(done.stdout.split())


def test_tokenizer_renders_and_encodes(byte_level: Any) -> None:
    text = byte_level.render(MESSAGES[:1])
    assert text == "<|im_start|>user\nhi <b> & ü 😀<|im_end|>\n<|im_start|>assistant\n"
    ids = byte_level.encode(text, special=False, parse_special=True)
    assert ids.count(byte_level.token_id("<|im_start|>")) == 2
    assert byte_level.decode(ids, skip_special=False) == text
    bare = byte_level.render(MESSAGES[:1], add_generation_prompt=False)
    assert text == bare + "<|im_start|>assistant\n"


def test_no_template_is_a_clear_error(llama2c: Any) -> None:
    with pytest.raises(TemplateError, match=r"tokenizer.bin has no chat template") as caught:
        llama2c.render(MESSAGES)
    assert "[tokenizer] chat" in str(caught.value.hint)


def test_tools_take_their_own_template(
    folder: Callable[..., Any], word_definition: dict[str, Any], installed: Any
) -> None:
    from inferflow_tokenizers.auto import open_tokenizer

    named = [{"name": "tool_use", "template": "T{{ tools | length }}"}]
    checkpoint = folder(
        tokenizer_json=word_definition, tokenizer_config_json={"chat_template": named}
    )
    tokenizer = open_tokenizer(checkpoint, {}, installed)
    assert tokenizer.render(MESSAGES, TOOLS) == "T1"
    with pytest.raises(TemplateError, match=r"no default chat template.*templates: tool_use"):
        tokenizer.render(MESSAGES)
    chosen = open_tokenizer(checkpoint, {"chat": "C{{ messages | length }}"}, installed)
    assert chosen.render(MESSAGES) == "C3"
