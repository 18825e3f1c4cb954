"""The chat templates that predefined models bring, against what their authors' own code writes.

Only models whose files have no template bring one. The sources: `predict.py` of AquilaChat2-34B,
`generation_utils.py` of Baichuan2, `build_prompt` of ChatGLM2's tokenizer, `build_inputs` of
InternLM's model, the model cards of Phi-2, XVERSE, Falcon and MiniCPM, and Llama 2's template.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from inferflow_runtime.build import open_tokenizer
from inferflow_runtime.reference import open_checkpoint
from inferflow_server.cli.ls import find_predefined
from inferflow_tokenizers.chat_template import TemplateRenderer

from inferflow_core.catalog import Catalog
from inferflow_core.spec.merge import read_entry
from inferflow_core.spec.nodes import Leaf, Section

AQUILA = (
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the human's questions.\n\n"
)
TALK = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello!"},
    {"role": "user", "content": "Who?\nYou?"},
]
SYSTEM = {"role": "system", "content": "Be brief."}

PROMPTS = {
    "aquilachat2-34b": (
        f"{AQUILA}### Human: Hi\n### Assistant: Hello!</s>### Human: Who?\nYou?\n### Assistant: ",
        "Be brief.\n\n### Human: Hi\n",
    ),
    **dict.fromkeys(
        ("baichuan2-7b-chat", "baichuan2-13b-chat"),
        (
            "<reserved_106>Hi<reserved_107>Hello!<reserved_106>Who?\nYou?<reserved_107>",
            "Be brief.<reserved_106>Hi<reserved_107>",
        ),
    ),
    "chatglm2-6b": (
        "[gMASK]sop[Round 1]\n\n问：Hi\n\n答：Hello!\n\n[Round 2]\n\n问：Who?\nYou?\n\n答：",
        "[gMASK]sopBe brief.\n\n[Round 1]\n\n问：Hi\n\n答：",
    ),
    **dict.fromkeys(
        ("falcon-7b-instruct", "falcon-40b-instruct"),
        (
            "User: Hi\nAssistant: Hello!\nUser: Who?\nYou?\nAssistant:",
            "Be brief.\nUser: Hi\nAssistant:",
        ),
    ),
    "internlm-chat-20b": (
        "<s><|User|>:Hi\n<|Bot|>:Hello!<eoa>\n<|User|>:Who?\nYou?\n<|Bot|>:",
        "<s><|System|>:Be brief.\n<|User|>:Hi\n<|Bot|>:",
    ),
    "llama-2-7b-chat-gguf": (
        "<s>[INST] Hi [/INST] Hello! </s><s>[INST] Who?\nYou? [/INST]",
        "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST]",
    ),
    "minicpm-2b-dpo-bf16": (
        "<s><用户>Hi<AI>Hello!<用户>Who?\nYou?<AI>",
        "<s>Be brief.<用户>Hi<AI>",
    ),
    "phi-2": (
        "Instruct: Hi\nOutput: Hello!\nInstruct: Who?\nYou?\nOutput:",
        "Be brief.\nInstruct: Hi\nOutput:",
    ),
    "xverse-13b-chat": (
        "Human: Hi\n\nAssistant: Hello!</s>Human: Who?\nYou?\n\nAssistant: ",
        "Be brief.\n\nHuman: Hi\n\nAssistant: ",
    ),
}
"""Name -> the prompt of TALK, and how the prompt begins of a system message and TALK's first."""


def template_of(name: str, catalog: Catalog) -> str | None:
    table = read_entry(name, catalog).root.get("tokenizer")
    chat = table.get("chat") if isinstance(table, Section) else None
    return str(chat.value) if isinstance(chat, Leaf) else None


@pytest.fixture(scope="module")
def renderer() -> Iterator[TemplateRenderer]:
    renderer = TemplateRenderer()
    yield renderer
    renderer.close()


@pytest.mark.installed
@pytest.mark.parametrize("name", PROMPTS)
def test_a_template_writes_what_its_authors_code_writes(
    installed: Catalog, renderer: TemplateRenderer, name: str
) -> None:
    template = template_of(name, installed)
    assert template is not None
    tokens = {"bos_token": "<s>", "eos_token": "</s>"}
    whole, beginning = PROMPTS[name]
    assert renderer.render(template, TALK, **tokens) == whole
    assert renderer.render(template, [SYSTEM, TALK[0]], **tokens).startswith(beginning)
    history = renderer.render(template, TALK[:2], add_generation_prompt=False, **tokens)
    assert whole.startswith(history)


@pytest.mark.installed
def test_every_template_has_its_prompt_here(installed: Catalog) -> None:
    names = {one.name for one in find_predefined(installed) if template_of(one.name, installed)}
    assert names == set(PROMPTS)


@pytest.mark.installed
def test_the_prefix_of_chatglm2_is_written_by_its_template(
    installed: Catalog, shared: Path
) -> None:
    """`[gMASK]` and `sop` as its tokenizer would put them, and then the text as it would cut it."""
    folder = shared / "oracles" / "families" / "chatglm2_6b" / "model"
    template = template_of("chatglm2-6b", installed)
    tokenizer = open_tokenizer(
        open_checkpoint(folder, {}, installed), {"chat": template}, installed
    )
    prompt = "[Round 1]\n\n问：Hi\n\n答："
    assert tokenizer.encode_chat(TALK[:1]) == tokenizer.encode(prompt)
    assert len(tokenizer.encode(prompt)) == len(tokenizer.encode(prompt, special=False)) + 2
    tokenizer.close()
