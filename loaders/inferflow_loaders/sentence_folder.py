"""What a folder of sentence-transformers says about its embeddings, beside config.json."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from inferflow_core.errors import ModelFileError

POOLS = {
    "pooling_mode_cls_token": "first",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "last",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len",
    "pooling_mode_weightedmean_tokens": "weighted_mean",
}
"""Switches of a pooling module -> the word of `pooler`, or one that it refuses."""

NAMES = {"cls": "first", "lasttoken": "last", "weightedmean": "weighted_mean"}
"""`pooling_mode` of newer files -> the same words."""

Read = Callable[[Path], dict[str, Any]]


def sentence_keys(
    folder: Path, read: Read, read_list: Callable[[Path], list[Any]]
) -> dict[str, Any]:
    """The normalised keys of modules.json and what it leads to; none without that file.

    What `pooler` cannot do stays a word in `embedding_pool` that it refuses by name. Raises
    ModelFileError.
    """
    modules = folder / "modules.json"
    if not modules.is_file():
        return {}
    pooling: list[str] = []
    keys: dict[str, Any] = {"embedding_normalize": False, **_prompts(folder, read)}
    for module in read_list(modules):
        kind, path = _place(module, modules)
        match kind:
            case "Transformer":
                keys |= _transformer(folder / path, read)
            case "Pooling":
                pooling += _pooling(read(folder / path / "config.json"), keys)
            case "Normalize":
                keys["embedding_normalize"] = True
            case _:
                pooling.append(kind)
    return keys | ({"embedding_pool": "+".join(pooling)} if pooling else {})


def _place(module: Any, modules: Path) -> tuple[str, str]:
    """A module's class, without its package, and its folder."""
    kind, path = (
        module.get(key) if isinstance(module, Mapping) else None for key in ("type", "path")
    )
    if not isinstance(kind, str) or not isinstance(path, str) or ".." in Path(path).parts:
        raise ModelFileError(modules, "a module has no type, or no path within the folder")
    if Path(path).is_absolute():
        raise ModelFileError(modules, f"the path {path!r} leads out of the folder")
    return kind.rpartition(".")[2], path


def _transformer(folder: Path, read: Read) -> dict[str, Any]:
    file = folder / "sentence_bert_config.json"
    table = read(file) if file.is_file() else {}
    keys: dict[str, Any] = {}
    length = table.get("max_seq_length")
    if isinstance(length, int) and length > 0:
        keys["embedding_context"] = length
    if table.get("do_lower_case") is True:
        keys["embedding_lower_case"] = True
    return keys


def _prompts(folder: Path, read: Read) -> dict[str, Any]:
    """What may stand before a text; an empty prompt is none."""
    file = folder / "config_sentence_transformers.json"
    table = read(file) if file.is_file() else {}
    prompts, usual = table.get("prompts"), table.get("default_prompt_name")
    written = prompts.items() if isinstance(prompts, Mapping) else ()
    named = {name: text for name, text in written if isinstance(text, str) and text}
    if not named:
        return {}
    return {"embedding_prompts": named} | ({"embedding_prompt": usual} if usual in named else {})


def _pooling(table: Mapping[str, Any], keys: Mapping[str, Any]) -> list[str]:
    mode = table.get("pooling_mode")
    modes = [mode] if isinstance(mode, str) else [*mode] if isinstance(mode, list) else []
    words = [NAMES.get(str(mode), str(mode)) for mode in modes]
    words = words or [word for key, word in POOLS.items() if table.get(key) is True]
    skips = table.get("include_prompt") is False and "embedding_prompts" in keys
    return words + ["without_prompt"] * skips
