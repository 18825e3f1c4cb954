"""Rules 4 to 12: what a written value means, as a table of cases."""

import math
from typing import Any

import pytest

from inferflow_core.spec.config import FilledConfig
from inferflow_core.spec.nodes import Array, Datum, Section
from inferflow_core.spec.problems import Wrong
from inferflow_core.spec.reader import read_text
from inferflow_core.spec.values import LayerIndex, Values

CONFIG: dict[str, Any] = {
    "heads": 8,
    "eps": 1e-6,
    "tiny": 1e-5,
    "flag": True,
    "null": None,
    "act": "silu",
    "evil": "${config.heads}",
    "block": {"use": "rms_norm", "case": "x"},
    "types": ["full", "window", "full", None],
    "dense": [0, 2, True],
    "huge": 10**30,
    "general.architecture": "llama",
    "nested": {"kv": {"heads": 2}},
}
ABSENT = object()


def evaluate(value: str, *, layer: int | None = None, more: str = "") -> Any:
    """`[model] v = VALUE`, evaluated."""
    text = f"spec = 1\n[config]\nkv = '${{config.heads}}'\nx = 7\nheads = 1\n{more}\n"
    root = read_text(f"{text}[model]\nn = 3\nt = {{ a = 1, b = '${{model.n}}' }}\nv = {value}", "t")
    index = None if layer is None else LayerIndex(layer)
    values = Values(root.root, CONFIG, "gguf")
    model = root.root.items["model"]
    assert isinstance(model, Section)
    found = values.value(model.items["v"], index)
    if found is None:
        return ABSENT
    if isinstance(found, Datum):
        return found.value
    return len(found.items) if isinstance(found, Array) else set(found.items)


GOOD: list[tuple[str, Any]] = [
    ("1", 1),
    ("1.5", 1.5),
    ("true", True),
    ("'text'", "text"),
    ("'$ {x}'", "$ {x}"),
    ("'${config.heads}'", 8),
    ("'${config.flag}'", True),
    ("'${config.general.architecture}'", "llama"),
    ("'${config.nested.kv.heads}'", 2),
    ("'${config.missing?}'", ABSENT),
    ("'${config.null?}'", ABSENT),
    ("'${none}'", ABSENT),
    ("'${none?}'", ABSENT),
    ("'${weights.source}'", "gguf"),
    ("'${config.kv}'", 8),
    ("'${config.x}'", 7),
    ("'${model.n}'", 3),
    ("'${model.t}'", {"a", "b"}),
    ("'${model.t.b}'", 3),
    ("'${model.q?}'", ABSENT),
    ("'${config.evil}'", "${config.heads}"),
    ("'${config.block}'", {"use": "rms_norm", "case": "x"}),
    ("{ case = 1, of = { 1 = 'a', 2 = 'b' } }", "a"),
    ("{ case = '${config.flag}', of = { true = 'y', false = 'n' } }", "y"),
    ("{ case = '${config.act}', of = { silu = 5 } }", 5),
    ("{ case = '${config.missing?}', of = { absent = 5 } }", 5),
    ("{ case = '${config.missing?}', else = 6 }", 6),
    ("{ case = '${config.heads}', of = { 4 = 1 }, else = '${none}' }", ABSENT),
    ("{ case = '${config.tiny}', of = { '1e-5' = 'small' } }", "small"),
    ("{ case = '${config.tiny}', of = { 1e-05 = 'small' } }", "small"),
    ("{ case = 1.0, of = { '1.0' = 'one' } }", "one"),
    ("{ case = 1, of = { 1 = { case = true, of = { true = 9 } } } }", 9),
    ("{ case = { case = 1, of = { 1 = 'k' } }, of = { k = 2 } }", 2),
    ("{ case = 1, of = { 1 = 1, 2 = '${config.missing}' } }", 1),
    ("{ case = { add = [1, 1] }, of = { 2 = 'two' } }", "two"),
    ("{ add = [1, 2] }", 3),
    ("{ add = [1, 2.5] }", 3.5),
    ("{ mul = ['${config.heads}', 2] }", 16),
    ("{ div = [6, 3] }", 2),
    ("{ div = [7, 2] }", 3.5),
    ("{ div = [6.0, 3] }", 2.0),
    ("{ sqrt = 64 }", 8),
    ("{ sqrt = 2 }", math.sqrt(2)),
    ("{ sqrt = { mul = [4, 4] } }", 4),
    ("{ add = ['${config.missing?}', 2] }", ABSENT),
    ("{ mul = [1, { sqrt = '${none}' }] }", ABSENT),
]


@pytest.mark.parametrize(("value", "expected"), GOOD)
def test_value(value: str, expected: Any) -> None:
    found = evaluate(value)
    assert found == expected
    assert type(found) is type(expected)


BAD: list[tuple[str, str]] = [
    ("'a ${config.heads}'", "must be the whole value"),
    ("'${config.heads} '", "must be the whole value"),
    ("'${confg.heads}'", "no reference ${confg.heads}. Did you mean 'config'?"),
    ("'${}'", "no reference ${}."),
    ("'${env.HOME}'", "no reference ${env.HOME}."),
    ("'${weights.path}'", "no reference ${weights.path}."),
    ("'${config.head}'", "the checkpoint's config has no 'head'. Did you mean 'heads'?"),
    ("'${config.null}'", "the checkpoint's config has no 'null'."),
    ("'${model.m}'", "model has no key 'm'. (keys: n, t, v)"),
    ("'${model.t.c}'", "model.t has no key 'c'. (keys: a, b)"),
    ("'${model.n.c}'", "model.n is no table; it has no 'c'"),
    ("'${model.v}'", "a circle of references: model.v -> model.v"),
    ("{ case = '${model.v}', of = {} }", "a circle of references: model.v -> model.v"),
    ("{ case = 3, of = { 1 = 'a', 2 = 'b' } }", "the case is '3', which `of` has not (keys: 1, 2)"),
    (
        "{ case = '${config.missing?}', of = { 1 = 'a' } }",
        "the case ${config.missing?} is 'absent'",
    ),
    ("{ case = 1, of = { 1 = 'a' }, use = 'x' }", "beside `case` only `of` and `else`"),
    ("{ case = 1 }", "a case needs `of`, `else` or both"),
    ("{ case = 1, of = 3 }", "must be a table from texts to values"),
    ("{ case = '${model.t}', else = 1 }", "a case asks for a value, not for a table"),
    ("{ case = '${config.block}', else = 1 }", "a case asks for a value, not for a table"),
    ("{ case = { first = 1 }, else = 1 }", "`first` asks for a layer's index"),
    ("{ case = { every = 2 }, else = 1 }", "`every` asks for a layer's index"),
    ("{ case = { among = [1] }, else = 1 }", "`among` asks for a layer's index"),
    ("{ case = ['a'], else = 1 }", "a list as `case` asks for a layer's index"),
    ("{ case = '${config.types}', else = 1 }", "a list as `case` asks for a layer's index"),
    ("{ add = [1] }", "`add` needs a list of 2 numbers"),
    ("{ add = 1 }", "`add` needs a list of 2 numbers"),
    ("{ mul = [1, 2, 3] }", "`mul` needs a list of 2 numbers"),
    ("{ add = [1, '2'] }", "expected a number, found '2'"),
    ("{ add = [1, true] }", "expected a number, found True"),
    ("{ add = [1, '${config.block}'] }", "expected a number, found {"),
    ("{ add = [1, '${config.huge}'] }", "beyond 64 bits"),
    ("{ div = [1, 0] }", "div: division by zero"),
    ("{ sqrt = -1 }", "sqrt: the square root of a negative number"),
    ("{ mul = [9223372036854775807, 2] }", "mul: the result is beyond 64 bits"),
    ("{ mul = [1e308, 1e308] }", "mul: the result is not a finite number"),
]


@pytest.mark.parametrize(("value", "message"), BAD)
def test_wrong_value(value: str, message: str) -> None:
    with pytest.raises(Wrong) as caught:
        evaluate(value)
    assert message in caught.value.message
    assert caught.value.at.startswith("model.v")


LAYERS: list[tuple[str, list[Any]]] = [
    ("{ case = { first = 2 }, of = { true = 'd', false = 'e' } }", ["d", "d", "e", "e", "e"]),
    ("{ case = { first = 0 }, of = { true = 'd', false = 'e' } }", ["e"]),
    ("{ case = { every = 2 }, of = { true = 1, false = 0 } }", [0, 1, 0, 1, 0]),
    ("{ case = { every = 3 }, of = { true = 1, false = 0 } }", [0, 0, 1, 0, 0, 1]),
    ("{ case = { every = 2, from = 0 }, of = { true = 1, false = 0 } }", [1, 0, 1, 0]),
    ("{ case = { every = 2, from = 3 }, of = { true = 1, false = 0 } }", [0, 0, 0, 1, 0, 1]),
    ("{ case = { among = [0, 3] }, of = { true = 1, false = 0 } }", [1, 0, 0, 1, 0]),
    ("{ case = { among = '${config.dense}' }, of = { true = 1, false = 0 } }", [1, 0, 1, 0]),
    ("{ case = ['a', 'b', 'a'], of = { a = 1, b = 2 } }", [1, 2, 1]),
    ("{ case = ['${config.act}', 'b'], of = { silu = 1, b = 2 } }", [1, 2]),
    ("{ case = '${config.types}', of = { full = 0, window = 5, absent = 7 } }", [0, 5, 0, 7]),
    ("{ case = '${config.list}', of = { x = 0, y = 5 } }", [0, 5]),
]


@pytest.mark.parametrize(("value", "expected"), LAYERS)
def test_layer_questions(value: str, expected: list[Any]) -> None:
    found = [evaluate(value, layer=k, more="list = ['x', 'y']") for k in range(len(expected))]
    assert found == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{ case = ['a'], of = { a = 1 } }", "the list has 1 entries; there is a layer 1"),
        ("{ case = { every = 0 }, else = 1 }", "`every` must be 1 or more, found 0"),
        ("{ case = { first = 1.5 }, else = 1 }", "expected a whole number, found 1.5"),
        ("{ case = { first = '${none}' }, else = 1 }", "expected a whole number, found nothing"),
        ("{ case = { first = 1, from = 2 }, else = 1 }", "unknown key (keys: first)"),
        ("{ case = { among = 3 }, else = 1 }", "`among` needs a list of whole numbers"),
        ("{ case = { first = 1 }, of = { true = 1 } }", "the case is 'false' at layer 1"),
        ("'${config.l}'", "`first` asks for a layer's index"),
    ],
)
def test_wrong_layer_questions(value: str, message: str) -> None:
    with pytest.raises(Wrong) as caught:
        evaluate(value, layer=1, more="l = { case = { first = 1 }, else = 2 }")
    assert message in caught.value.message


def test_config_defaults_add_and_never_override() -> None:
    assert evaluate("'${config.heads}'") == 8
    assert evaluate("'${config.null}'", more="null = 4") == 4


def test_config_defaults_are_only_read_when_asked_for() -> None:
    assert (
        evaluate("'${config.x}'", more="bad = '${config.no_such}'\nround = '${config.round}'") == 7
    )
    with pytest.raises(Wrong, match=r"circle of references: config.round -> config.round"):
        evaluate("'${config.round}'", more="round = '${config.round}'")


def test_a_default_that_is_absent_leaves_the_key_absent() -> None:
    assert evaluate("'${config.y?}'", more="y = '${config.z?}'") is ABSENT
    with pytest.raises(Wrong, match=r"config.y is absent here"):
        evaluate("'${config.y}'", more="y = '${config.z?}'")


def test_references_reach_into_branches_and_through_them() -> None:
    more = "[model.c]\ncase = '${config.flag}'\n[model.c.of]\ntrue = { k = 1 }\nfalse = { k = 2 }\n"
    text = "spec = 1\n[model]\n" + "a = '${model.c.of.false.k}'\nb = '${model.c.k}'\n" + more
    root = read_text(text, "t").root
    values = Values(root, CONFIG, "hf")
    model = root.items["model"]
    assert isinstance(model, Section)
    found = [values.value(model.items[key], None) for key in "ab"]
    assert [one.value for one in found if isinstance(one, Datum)] == [2, 1]


def test_a_chain_of_references_is_bounded() -> None:
    lines = [f"k{i} = '${{model.k{i + 1}}}'" for i in range(500)]
    text = "spec = 1\n[model]\n" + "\n".join(lines) + "\nk500 = 1\n"
    root = read_text(text, "t").root
    model = root.items["model"]
    assert isinstance(model, Section)
    with pytest.raises(Wrong, match="nested too deep"):
        Values(root, {}, "hf").value(model.items["k0"], None)


def test_origins_tell_file_and_checkpoint() -> None:
    text = "spec = 1\n[config]\nb = 2\n[model]\na = '${config.heads}'\nb = '${config.b}'\nc = 3\n"
    root = read_text(text, "file").root
    model = root.items["model"]
    assert isinstance(model, Section)
    values = Values(root, CONFIG, "hf")
    found = [values.value(node, None) for node in model.items.values()]
    assert [one.origin for one in found if one is not None] == [
        "file ${config.heads} <- checkpoint",
        "file ${config.b} <- file [config]",
        "file",
    ]


def test_the_plans_config_is_the_checkpoints_and_what_the_spec_supplies() -> None:
    text = "spec = 1\n[config]\nkv = '${config.heads}'\nheads = 9\nlost = '${config.nowhere}'\n"
    root = read_text(text + "none = '${none}'\nbase.theta = 7.0\n", "t").root
    config = FilledConfig(CONFIG, Values(root, CONFIG, "hf"))
    assert config["heads"] == config["kv"] == 8
    assert config["base.theta"] == 7.0
    for key in ("lost", "none", "other", "null"):
        assert key not in config
    assert dict(config) == {**{k: v for k, v in CONFIG.items() if v is not None}, "kv": 8}
    assert len(config) == len(CONFIG)
