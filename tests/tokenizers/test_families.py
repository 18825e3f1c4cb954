"""The tokenizer of every family as its spec opens it: ids, policy of special tokens, texts."""

import json
from pathlib import Path

import pytest
from inferflow_runtime.look import tokenizer_of
from oracles import ORACLES

from inferflow_core.catalog import Catalog


@pytest.mark.parametrize("name", ORACLES)
def test_every_case_is_exact(name: str, shared: Path, installed: Catalog) -> None:
    folder, parse = shared / "oracles" / "families" / name, ORACLES[name].parsed
    tokenizer = tokenizer_of(folder / "model", catalog=installed)
    cases = json.loads((folder / "ref" / "tokenizer_cases.json").read_text("utf-8"))
    assert len(cases) == 30
    for case in cases:
        text = case["text"]
        assert tokenizer.encode(text, special=False, parse_special=parse) == case["ids"], text
        assert tokenizer.encode(text, parse_special=parse) == case["ids_default"], text
        assert tokenizer.decode(case["ids"], skip_special=not parse) == case["decoded"], text
