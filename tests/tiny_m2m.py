"""An M2M100 that translates word for word, made by hand: it has learnt nothing.

Layout and names are those of the real one; its tokenizer is a `tokenizer.json`, as NLLB has. What
it does: a place of the target reads the same place of the source (position meets position in the
cross attention), takes over what the word there means, and says it in the language of the token
before. `python tests/tiny_m2m.py FOLDER` writes it there.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

Array = np.ndarray[Any, np.dtype[Any]]

HIDDEN, INNER, HEADS, CONTEXT = 64, 64, 4, 256
WORDS = {
    "de": "der Himmel Wind Fluss Garten Stein ist war und auf blau grün alt klein groß kalt heute",
    "en": "the sky wind river garden stone is was and on blue green old small big cold today",
    "fr": "le ciel vent fleuve jardin caillou est était et sur bleu vert vieux petit grand froid "
    "aujourd'hui",
}
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
END = 2
LANGUAGES = [f"__{name}__" for name in WORDS]
PIECES = [f"▁{word}" for words in WORDS.values() for word in words.split()]
TOKENS = [*SPECIAL, *PIECES, *LANGUAGES]

# Sinusoids fill all of the width; where they are slow, on these 32 numbers, words have room.
ROOM = [*range(16, 32), *range(48, 64)]
MEANING, LANGUAGE, SPARE = ROOM[:28], ROOM[28:31], ROOM[31]
FAST = [*range(6), *range(32, 38)]
ZERO = 15
"""This one is nearly nothing at all places: it tells what a norm has taken from all numbers."""


def write_checkpoint(folder: Path) -> Path:
    """Hugging Face's layout."""
    folder.mkdir(parents=True)
    config = {"architectures": ["M2M100ForConditionalGeneration"], "model_type": "m2m_100"}
    config |= {"d_model": HIDDEN, "vocab_size": len(TOKENS), "max_position_embeddings": CONTEXT}
    config |= {"encoder_layers": 1, "decoder_layers": 1, "num_hidden_layers": 1}
    config |= {"encoder_attention_heads": HEADS, "decoder_attention_heads": HEADS}
    config |= {"encoder_ffn_dim": INNER, "decoder_ffn_dim": INNER, "scale_embedding": True}
    config |= {"activation_function": "relu", "is_encoder_decoder": True, "torch_dtype": "float32"}
    config |= {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": END}
    config |= {"decoder_start_token_id": END, "tie_word_embeddings": True}
    about = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    files = {"config": config, "tokenizer": tokenizer(), "tokenizer_config": about}
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2), "utf-8")
    save_file(weights(), folder / "model.safetensors", {"format": "pt"})
    return folder


def tokenizer() -> dict[str, Any]:
    """A token a word; `__en__` before a text and `</s>` after it."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    ids = {token: id for id, token in enumerate(TOKENS)}
    added = [
        {"id": ids[text], "content": text, "special": True, **flags}
        for text in (*SPECIAL, *LANGUAGES)
    ]
    mark = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    around = [{"SpecialToken": {"id": id, "type_id": 0}} for id in ("__en__", "</s>")]
    told = {text: {"id": text, "ids": [ids[text]], "tokens": [text]} for text in ("__en__", "</s>")}
    processor = {"type": "TemplateProcessing", "single": [around[0], text, around[1]]}
    processor |= {"pair": [text, {"Sequence": {"id": "B", "type_id": 0}}], "special_tokens": told}
    model = {"type": "WordLevel", "vocab": ids, "unk_token": "<unk>"}
    parts = {"pre_tokenizer": mark, "decoder": mark, "post_processor": processor}
    return {"version": "1.0", "added_tokens": added, **parts, "model": model}


def weights() -> dict[str, Array]:
    """float32, under Hugging Face's names."""
    numbers = np.random.default_rng(7)
    found: dict[str, Array] = {}

    def norm(name: str, gain: float = 1.0) -> None:
        found[f"{name}.weight"] = np.full(HIDDEN, gain)
        found[f"{name}.bias"] = np.zeros(HIDDEN)

    def linear(name: str, rows: int, columns: int) -> Array:
        found[f"{name}.bias"] = np.zeros(rows)
        found[f"{name}.weight"] = numbers.standard_normal((rows, columns)) * 0.01
        return found[f"{name}.weight"]

    found["model.shared.weight"] = table(numbers)
    for stack in ("encoder", "decoder"):
        at = f"model.{stack}.layers.0"
        kinds = ("self_attn", "encoder_attn") if stack == "decoder" else ("self_attn",)
        for kind in kinds:
            norm(f"{at}.{kind}_layer_norm")
            q, k, v, o = (
                linear(f"{at}.{kind}.{part}_proj", HIDDEN, HIDDEN)
                for part in ("q", "k", "v", "out")
            )
            if kind == "encoder_attn":
                for head in range(HEADS):
                    rows = range(head * HIDDEN // HEADS, head * HIDDEN // HEADS + len(FAST))
                    for each in (q, k):
                        each[rows, FAST] += 25
                        each[rows, ZERO] -= 25
                v[range(len(MEANING)), MEANING] += 1
                o[MEANING, range(len(MEANING))] += 10
        norm(f"{at}.final_layer_norm")
        linear(f"{at}.fc1", INNER, HIDDEN)
        linear(f"{at}.fc2", HIDDEN, INNER)
        norm(f"model.{stack}.layer_norm", 20.0 if stack == "decoder" else 1.0)
    return {name: values.astype(np.float32) for name, values in found.items()}


def table(numbers: np.random.Generator) -> Array:
    """[vocab, hidden]: what a token means, equal in all languages, and which language it is of.
    All rows have one length and one sum, so that the norms leave positions alone."""
    size = len(MEANING)
    columns = np.column_stack([np.ones(size), numbers.standard_normal((size, size - 1))])
    meanings = [*np.linalg.qr(columns)[0].T[1:]]
    found = np.zeros((len(TOKENS), HIDDEN))
    for id in range(len(SPECIAL)):
        found[id, MEANING], found[id, SPARE] = meanings.pop(), 1.0
    for place, (name, words) in enumerate(WORDS.items()):
        ids = [TOKENS.index(f"▁{word}") for word in words.split()]
        for id, meaning in zip(ids, meanings, strict=False):
            found[id, MEANING] = meaning
        token = TOKENS.index(f"__{name}__")
        found[token, MEANING] = meanings[len(ids) + place]
        found[[*ids, token], LANGUAGE[place]] = 1.0
    return found


if __name__ == "__main__":
    write_checkpoint(Path(sys.argv[1]))
