"""What the files of a Hugging Face folder say about its tokenizer, beside the vocabulary."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from inferflow_core.errors import ModelFileError
from inferflow_core.interfaces import Checkpoint
from inferflow_tokenizers.facts import Facts

MAX_FILE = 256 << 20

NAMED = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")


def folder_of(checkpoint: Checkpoint) -> Path:
    """Where the files beside the weights are."""
    kept: Path | None = getattr(checkpoint, "folder", None)
    if kept is not None:
        return kept
    return checkpoint.path if checkpoint.path.is_dir() else checkpoint.path.parent


def read_facts(checkpoint: Checkpoint, path: Path, named: Mapping[str, str] | None = None) -> Facts:
    """The facts of the folder in which `path`, the vocabulary, is. `named` are the special tokens
    that the vocabulary itself names. Raises ModelFileError."""
    folder = path.parent
    config = read_json(folder / "tokenizer_config.json")
    special = {**read_json(folder / "special_tokens_map.json"), **config}
    names = {
        f"{key}_token": text
        for key in NAMED
        if (text := _content(special.get(f"{key}_token"))) is not None
    }
    names = {**(named or {}), **names}
    return Facts(
        path=path,
        named=names,
        ids={
            f"{key}_token": id
            for key in ("bos", "eos")
            for id in _ids(checkpoint.config.get(f"{key}_token_id"))[:1]
        },
        added=dict(_added(folder, config)),
        special=frozenset({*names.values(), *additional_tokens(special)}),
        stop_ids=frozenset(_ids(checkpoint.config.get("eos_token_id"))),
        add_bos=_flag(config, "add_bos_token"),
        add_eos=_flag(config, "add_eos_token"),
        templates=_templates(folder, config),
        config=config,
    )


def read_text(path: Path) -> str:
    if path.stat().st_size > MAX_FILE:
        raise ModelFileError(path, f"{path.stat().st_size} bytes; at most {MAX_FILE} are read")
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as cause:
        raise ModelFileError(path, f"not UTF-8: {cause}") from None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, empty where the file is absent."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(read_text(path))
    except (ValueError, RecursionError) as cause:
        raise ModelFileError(path, f"not JSON: {cause}") from None
    if not isinstance(found, dict):
        raise ModelFileError(path, f"expected a JSON object, found {type(found).__name__}")
    return found


def read_vocabulary(path: Path) -> dict[str, int]:
    """vocab.json: tokens and their ids, 0, 1, … in any order. Raises ModelFileError."""
    ids = read_json(path)
    if not ids or any(type(id) is not int for id in ids.values()):
        raise ModelFileError(path, "expected tokens and their ids")
    if sorted(ids.values()) != [*range(len(ids))]:
        raise ModelFileError(path, f"the {len(ids)} ids must be 0, 1, …, each once")
    return ids


def class_name(config: Mapping[str, Any]) -> str:
    """`tokenizer_class` without the `Fast` of its second implementation; empty where absent."""
    return str(config.get("tokenizer_class") or "").removesuffix("Fast")


def _content(token: Any) -> str | None:
    """A special token is written as its text or as a table with its text."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) and token else None


def additional_tokens(special: Mapping[str, Any]) -> list[str]:
    """The special tokens beyond the named ones, in the file's order."""
    found: list[str] = []
    for key in ("additional_special_tokens", "extra_special_tokens"):
        tokens = special.get(key)
        tokens = [*tokens.values()] if isinstance(tokens, dict) else tokens
        for token in tokens if isinstance(tokens, list) else ():
            if (text := _content(token)) is not None:
                found.append(text)
    return found


def _added(folder: Path, config: Mapping[str, Any]) -> Iterator[tuple[int, AddedToken]]:
    """Tokens of `added_tokens_decoder` and added_tokens.json, by id."""
    found: dict[int, dict[str, Any]] = {}
    for text, id in read_json(folder / "added_tokens.json").items():
        if isinstance(id, int):
            found[id] = {"content": text}
    for id, token in (config.get("added_tokens_decoder") or {}).items():
        if str(id).isdecimal() and isinstance(token, dict):
            found[int(id)] = token
    for id, token in sorted(found.items(), key=lambda item: item[0]):
        if (text := _content(token)) is not None:
            flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
            yield id, AddedToken(text, **{flag: token.get(flag) is True for flag in flags})


def _ids(value: Any) -> list[int]:
    values = value if isinstance(value, list) else [value]
    return [id for id in values if isinstance(id, int) and not isinstance(id, bool)]


def _flag(config: Mapping[str, Any], key: str) -> bool | None:
    value = config.get(key)
    return value if isinstance(value, bool) else None


def _templates(folder: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """By name; files of their own win over tokenizer_config.json."""
    written = config.get("chat_template")
    found: dict[str, str] = {}
    if isinstance(written, str):
        found["default"] = written
    for table in written if isinstance(written, list) else ():
        if isinstance(table, dict) and isinstance(table.get("template"), str):
            found[str(table.get("name"))] = table["template"]
    for path in sorted((folder / "additional_chat_templates").glob("*.jinja")):
        found[path.stem] = read_text(path)
    if (path := folder / "chat_template.jinja").is_file():
        found["default"] = read_text(path)
    return found
