"""A Llama of a few thousand random numbers, as a checkpoint folder and as a GGUF file.

Its tokenizer, chat template and layout are those of real models; what it says is a row of words.
`python tests/tiny_llama.py FOLDER` writes `checkpoint/`, `model.gguf` and `text.txt` there.
"""

import json
import sys
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from safetensors.numpy import save_file

Array = np.ndarray[Any, np.dtype[Any]]

HIDDEN, INNER, LAYERS, HEADS, KV_HEADS, CONTEXT = 64, 128, 2, 4, 2, 2048
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
END = 2
WORDS = """
the a sky sea wind is was and of in on to it blue green light small old river stone
tree bird morning night water fire says sings runs sleeps waits because when where then
""".split()  # noqa: SIM905
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_all(folder: Path) -> Path:
    write_checkpoint(folder / "checkpoint")
    write_gguf(folder / "model.gguf")
    (folder / "text.txt").write_text(" ".join(WORDS * 20) + "\n", "utf-8")
    return folder


def write_checkpoint(folder: Path) -> Path:
    """Hugging Face's layout."""
    folder.mkdir(parents=True)
    tokens, merges = vocabulary()
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu"}
    config |= {"hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": LAYERS}
    config |= {"num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS}
    config |= {"max_position_embeddings": CONTEXT, "vocab_size": len(tokens), "rms_norm_eps": 1e-5}
    config |= {"rope_theta": 10000.0, "tie_word_embeddings": False, "torch_dtype": "float32"}
    config |= {"bos_token_id": 1, "eos_token_id": END}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    added = [{"id": i, "content": text, "special": True, **flags} for i, text in enumerate(SPECIAL)]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    tokenizer = {"version": "1.0", "added_tokens": added, "pre_tokenizer": level, "decoder": level}
    ids = {token: id for id, token in enumerate(tokens)}
    tokenizer["model"] = {"type": "BPE", "vocab": ids, "merges": merges}
    about = {"chat_template": TEMPLATE, "bos_token": SPECIAL[1], "eos_token": SPECIAL[END]}
    files = {"config": config, "tokenizer": tokenizer, "tokenizer_config": about}
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2), "utf-8")
    save_file(weights(len(tokens)), folder / "model.safetensors", {"format": "pt"})
    return folder


def write_gguf(path: Path) -> Path:
    """The same numbers; matrices as Q8_0."""
    tokens, merges = vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL)))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(END)
    writer.add_chat_template(TEMPLATE)
    for name, values in weights(len(tokens)).items():
        stored = pairs(values) if "q_proj" in name or "k_proj" in name else values
        if values.ndim == 1:
            writer.add_tensor(gguf_name(name), stored)
        else:
            kind = gguf.GGMLQuantizationType.Q8_0
            writer.add_tensor(gguf_name(name), gguf.quantize(stored, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def vocabulary() -> tuple[list[str], list[str]]:
    """Byte-level BPE: the tokens, and merges that make each of WORDS, a space before it, one."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = [chr(byte) for byte in printable] + [chr(256 + n) for n in range(256 - 188)]
    tokens, merges = [*SPECIAL, *letters], []
    for word in WORDS:
        for end in range(1, len(word) + 1):
            left, right = "Ġ" + word[: end - 1], word[end - 1]
            if left + right not in tokens:
                tokens.append(left + right)
                merges.append(f"{left} {right}")
    return tokens, merges


def weights(vocab: int) -> dict[str, Array]:
    """float32, under Hugging Face's names. The head prefers whole words."""
    numbers = np.random.default_rng(4)

    def matrix(rows: int, columns: int) -> Array:
        return numbers.standard_normal((rows, columns), np.float32) / np.float32(columns**0.5)

    found = {"model.embed_tokens.weight": matrix(vocab, HIDDEN) * 8}
    width = HIDDEN // HEADS * KV_HEADS
    for layer in range(LAYERS):
        sizes = {"self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.k_proj": (width, HIDDEN)}
        sizes |= {"self_attn.v_proj": (width, HIDDEN), "self_attn.o_proj": (HIDDEN, HIDDEN)}
        sizes |= {"mlp.gate_proj": (INNER, HIDDEN), "mlp.up_proj": (INNER, HIDDEN)}
        sizes["mlp.down_proj"] = (HIDDEN, INNER)
        for part, shape in sizes.items():
            found[f"model.layers.{layer}.{part}.weight"] = matrix(*shape)
        for part in ("input_layernorm", "post_attention_layernorm"):
            found[f"model.layers.{layer}.{part}.weight"] = np.ones(HIDDEN, np.float32)
    found["model.norm.weight"] = np.ones(HIDDEN, np.float32)
    tokens, _ = vocabulary()
    whole = np.array([token[1:] in WORDS or id == END for id, token in enumerate(tokens)])
    found["lm_head.weight"] = matrix(vocab, HIDDEN) * np.where(whole, 5, 0.1)[:, None]
    return {name: values.astype(np.float32) for name, values in found.items()}


def pairs(values: Array) -> Array:
    """GGUF's order of q and k: rotated pairs lie side by side, not half a head apart."""
    heads = len(values) // (HIDDEN // HEADS)
    return values.reshape(heads, 2, -1, values.shape[-1]).swapaxes(1, 2).reshape(values.shape)


GGUF_PARTS = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
GGUF_NAMES = {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output"}


def gguf_name(name: str) -> str:
    part = name.removeprefix("model.").removesuffix(".weight")
    if part in GGUF_NAMES:
        return f"{GGUF_NAMES[part]}.weight"
    layer, _, inner = part.removeprefix("layers.").partition(".")
    return f"blk.{layer}.{GGUF_PARTS[inner]}.weight"


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
