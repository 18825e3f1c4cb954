"""`inferflow_core.load` and `generate`, as docs/python.md has them."""

from pathlib import Path

import pytest

import inferflow_core
from inferflow_core.errors import InferflowError, RequestError


def tokens(events: object) -> list[int | None]:
    return [event.token for event in events]  # pyright: ignore


def test_a_prompt_is_a_text_or_ids(shared: Path) -> None:
    file = shared / "data" / "stories260K" / "stories260K.bin"
    with inferflow_core.load(file, set=None) as model:
        ids = model.tokenizer.encode("Once upon")
        expected = tokens(model.generate("Once upon", max_tokens=5, temperature=0.0))
        assert tokens(model.generate(ids, max_tokens=5, temperature=0.0)) == expected
        assert tokens(model.generate(ids=ids, max_tokens=5, temperature=0.0)) == expected
        with pytest.raises(RequestError, match="one of a prompt, ids and messages"):
            model.generate("Once", ids=ids)
        with pytest.raises(InferflowError, match="template"):
            model.generate([{"role": "user", "content": "hi"}])
        with pytest.raises(RequestError):
            model.generate([])
