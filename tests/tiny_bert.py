"""A BERT of a few thousand random numbers, as a checkpoint folder; what it makes of texts is noise
of the right shapes.

`python tests/tiny_bert.py FOLDER` writes `encoder/` there: masks, pooled state, next sentence, and
the files that sentence-transformers adds. `write_checkpoint` takes away or adds heads.
"""

import json
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

Array = np.ndarray[Any, np.dtype[Any]]

HIDDEN, INNER, LAYERS, HEADS, CONTEXT, POSITIONS = 32, 64, 2, 4, 24, 40
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = """
the a sky sea wind is was and of in on to it blue green light small old river stone capital
paris france . , ! ##s ##ing
""".split()  # noqa: SIM905
MASKED = ("mlm", "pooled", "nsp")
POOLING = {"word_embedding_dimension": HIDDEN, "pooling_mode_mean_tokens": True}


def write_checkpoint(
    folder: Path,
    heads: Collection[str] = MASKED,
    *,
    labels: tuple[str, ...] = (),
    sentence: bool = True,
    **config: Any,
) -> Path:
    """`heads` of mlm, pooled, nsp, classifier, qa; `sentence`: modules.json and what belongs to it;
    `config` goes over config.json."""
    folder.mkdir(parents=True)
    table: dict[str, Any] = {"architectures": ["BertForPreTraining"], "model_type": "bert"}
    table |= {"hidden_size": HIDDEN, "intermediate_size": INNER, "num_hidden_layers": LAYERS}
    table |= {"num_attention_heads": HEADS, "max_position_embeddings": POSITIONS}
    table |= {"vocab_size": len(SPECIAL) + len(WORDS), "type_vocab_size": 2, "hidden_act": "gelu"}
    table |= {"layer_norm_eps": 1e-12, "pad_token_id": 0}
    if labels:
        table["id2label"] = {str(id): label for id, label in enumerate(labels)}
    write_json(folder / "config.json", table | config)
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer"})
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *WORDS]) + "\n", "utf-8")
    save_file(weights(heads, len(labels) or 2), folder / "model.safetensors", {"format": "pt"})
    if sentence:
        write_sentence_files(folder)
    return folder


def write_sentence_files(
    folder: Path, *, pooling: Mapping[str, Any] = POOLING, normalize: bool = True, **prompts: Any
) -> None:
    """What sentence-transformers writes beside a model; `prompts` are keys of its config file."""
    kinds = {"": "Transformer", "1_Pooling": "Pooling"}
    kinds |= {"2_Normalize": "Normalize"} if normalize else {}
    modules = [
        {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for at, (path, kind) in enumerate(kinds.items())
    ]
    write_json(folder / "modules.json", modules)
    (folder / "1_Pooling").mkdir(exist_ok=True)
    write_json(folder / "1_Pooling" / "config.json", pooling)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": CONTEXT})
    write_json(folder / "config_sentence_transformers.json", prompts)


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2), "utf-8")


def weights(heads: Collection[str] = MASKED, labels: int = 2) -> dict[str, Array]:
    """float32, under Hugging Face's names."""
    numbers = np.random.default_rng(8)
    found: dict[str, Array] = {}

    def linear(name: str, rows: int, columns: int = HIDDEN) -> None:
        found[f"{name}.weight"] = numbers.standard_normal((rows, columns)) / columns**0.5
        found[f"{name}.bias"] = numbers.standard_normal(rows) * 0.1

    def norm(name: str) -> None:
        found[f"{name}.weight"] = 1 + 0.1 * numbers.standard_normal(HIDDEN)
        found[f"{name}.bias"] = 0.1 * numbers.standard_normal(HIDDEN)

    vocab = len(SPECIAL) + len(WORDS)
    tables = {"word": vocab, "position": POSITIONS, "token_type": 2}
    for name, rows in tables.items():
        table = numbers.standard_normal((rows, HIDDEN))
        found[f"bert.embeddings.{name}_embeddings.weight"] = table
    norm("bert.embeddings.LayerNorm")
    for layer in range(LAYERS):
        at = f"bert.encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            linear(f"{at}.attention.self.{part}", HIDDEN)
        linear(f"{at}.attention.output.dense", HIDDEN)
        norm(f"{at}.attention.output.LayerNorm")
        linear(f"{at}.intermediate.dense", INNER)
        linear(f"{at}.output.dense", HIDDEN, INNER)
        norm(f"{at}.output.LayerNorm")
    if "pooled" in heads:
        linear("bert.pooler.dense", HIDDEN)
    if "mlm" in heads:
        linear("cls.predictions.transform.dense", HIDDEN)
        norm("cls.predictions.transform.LayerNorm")
        found["cls.predictions.bias"] = 0.1 * numbers.standard_normal(vocab)
    if "nsp" in heads:
        linear("cls.seq_relationship", 2)
    if "classifier" in heads:
        linear("classifier", labels)
    if "qa" in heads:
        linear("qa_outputs", 2)
    return {name: values.astype(np.float32) for name, values in found.items()}


if __name__ == "__main__":
    write_checkpoint(Path(sys.argv[1]) / "encoder")
