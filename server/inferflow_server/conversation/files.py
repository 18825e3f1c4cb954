"""Conversations in files."""

import json
from pathlib import Path
from typing import Any

from inferflow_core.errors import UsageError
from inferflow_server.atomic import replacing
from inferflow_server.conversation.transcript import Transcript, from_json

MAX_BYTES = 32 << 20


def save(data: Any, path: Path, *, replace: bool) -> None:
    """Writes JSON, whole or not at all. Raises UsageError, also where the file is there already
    and `replace` is not set."""
    if path.exists() and not replace:
        raise UsageError(f"{path} is there already", hint="choose another name, or remove it first")
    try:
        with replacing(path) as file:
            file.write(json.dumps(data, indent=2, ensure_ascii=False).encode() + b"\n")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def load(path: Path) -> Transcript:
    """Raises UsageError for a file that cannot be read or is no conversation."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise UsageError(f"{path} is longer than {MAX_BYTES} bytes: that is no conversation")
    try:
        return from_json(json.loads(raw))
    except (ValueError, RecursionError):
        raise UsageError(f"{path} is no JSON") from None
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}") from None
