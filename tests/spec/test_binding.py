"""Binding by names and shapes: what fits, what does not, and how it is said."""

from dataclasses import dataclass

import pytest

from inferflow_core.errors import BindingError, SpecError
from inferflow_core.interfaces import TensorInfo
from inferflow_core.spec.binding import Cut, Part, bind, provided
from inferflow_core.spec.names import NameMap, Rule, Template


@dataclass(frozen=True)
class Shape:
    shape: tuple[int, ...]


def rule(key: str, *targets: str, **operations) -> Rule:
    return Rule(Template(key), tuple(map(Template, targets)), **operations)


def run(rules: list[Rule], params: dict, tensors: dict, *, aliases=None, config=None, **keys):
    infos = {name: TensorInfo(name, shape, "f32", 0) for name, shape in tensors.items()}
    return bind(
        NameMap("m", tuple(rules), **keys),
        {path: Shape(shape) for path, shape in params.items()},
        infos,
        aliases=aliases or {},
        config=config or {},
        where="file",
    )


def test_names_shapes_and_ignored_tensors():
    bindings = run(
        [rule("a.{i}.{p}", "x.{i}.{p}")],
        {"x.0.weight": (2, 3), "x.1.weight": (2, 3)},
        {"pre.a.0.weight": (2, 3), "a.1.weight": (2, 3), "inv_freq": (7,)},
        strip=("pre.",),
        ignore=("*inv_freq",),
    )
    assert {path: b.parts for path, b in bindings.params.items()} == {
        "x.0.weight": (Part("pre.a.0.weight"),),
        "x.1.weight": (Part("a.1.weight"),),
    }
    assert bindings.ignored == ("inv_freq",)
    assert bindings.duplicates == ()


def test_squeeze_and_transpose_change_the_shape_that_is_compared():
    bindings = run(
        [rule("a", "x", squeeze=True, transpose=True, add=-1.0, unit_rows=True)],
        {"x": (2, 3)},
        {"a": (3, 1, 2)},
    )
    assert bindings.params["x"].parts == (
        Part("a", squeeze=True, transpose=True, add=-1.0, unit_rows=True),
    )


def test_split_takes_sizes_from_the_params():
    bindings = run(
        [rule("qkv", "q", "k", "v")],
        {"q": (8, 5), "k": (2, 5), "v": (4, 5)},
        {"qkv": (14, 5)},
    )
    cuts = [bindings.params[path].parts[0].cut for path in "qkv"]
    assert cuts == [Cut(0, 0, 8), Cut(0, 8, 2), Cut(0, 10, 4)]


def test_groups_divide_each_run_and_may_come_from_the_config():
    bindings = run(
        [rule("qkv", "q", "k", "v", axis=1, groups="${config.kv}")],
        {"q": (5, 8), "k": (5, 2), "v": (5, 2)},
        {"qkv": (5, 12)},
        config={"kv": 2},
    )
    cuts = [bindings.params[path].parts[0].cut for path in "qkv"]
    assert cuts == [Cut(1, 0, 4, 2), Cut(1, 4, 1, 2), Cut(1, 5, 1, 2)]


def test_an_absent_optional_groups_counts_as_not_written():
    rules = [rule("a", "x", "y", groups="${config.n?}")]
    bindings = run(rules, {"x": (1,), "y": (2,)}, {"a": (3,)})
    assert bindings.params["y"].parts[0].cut == Cut(0, 1, 2, 1)


@pytest.mark.parametrize("config", [{}, {"n_heads": 2, "n_head": True}, {"n_head": 0}])
def test_groups_that_the_config_cannot_answer(config):
    rules = [rule("a", "x", "y", groups="${config.n_head}")]
    with pytest.raises(SpecError, match="config key 'n_head'") as caught:
        run(rules, {"x": (1,), "y": (2,)}, {"a": (3,)}, config=config)
    assert caught.value.problems[0].path == 'map."a".groups'


def test_a_stack_has_one_tensor_for_each_index_in_order():
    rules = [rule("l.{i}.e.{j}", "layers.{i}.experts", stack="j")]
    bindings = run(
        rules, {"layers.0.experts": (11, 3, 2)}, {f"l.0.e.{j}": (3, 2) for j in reversed(range(11))}
    )
    binding = bindings.params["layers.0.experts"]
    assert binding.stacked
    assert [part.tensor for part in binding.parts] == [f"l.0.e.{j}" for j in range(11)]


def test_a_stack_with_a_hole_or_one_too_many():
    rules = [rule("e.{j}", "experts", stack="j")]
    with pytest.raises(BindingError, match="2 of 3 tensors of its stack; number 1 is missing"):
        run(rules, {"experts": (3, 2)}, {"e.0": (2,), "e.2": (2,)})
    with pytest.raises(BindingError, match=r"has index 3, but experts is \[3, 2\]"):
        run(rules, {"experts": (3, 2)}, {f"e.{j}": (2,) for j in range(4)})


def test_a_tensor_for_a_tied_weight_is_kept_to_be_compared():
    rules = [rule("tok", "embed"), rule("out", "head")]
    shapes = {"out": (4, 2), "tok": (4, 2)}
    bindings = run(rules, {"embed": (4, 2)}, shapes, aliases={"head": "embed"})
    assert bindings.params["embed"].parts[0].tensor == "tok"
    assert [duplicate.parts[0].tensor for duplicate in bindings.duplicates] == ["out"]
    only = run(rules, {"embed": (4, 2)}, {"out": (4, 2)}, aliases={"head": "embed"})
    assert only.params["embed"].parts[0].tensor == "out"


def test_aliases_chain_and_a_second_tensor_for_a_param_is_a_duplicate():
    rules = [rule("shared", "enc"), rule("{s}.tok", "{s}"), rule("out", "head")]
    bindings = run(
        rules,
        {"enc": (4, 2)},
        {"shared": (4, 2), "enc.tok": (4, 2), "dec.tok": (4, 2), "out": (4, 2)},
        aliases={"head": "dec", "dec": "enc"},
    )
    assert bindings.params["enc"].parts[0].tensor == "shared"
    duplicates = [duplicate.parts[0].tensor for duplicate in bindings.duplicates]
    assert duplicates == ["enc.tok", "dec.tok", "out"]


def test_layers_beyond_the_depth_are_errors_or_ignored():
    rules = [rule("l.{i}.{p}", "layers.{i}.norm.{p}")]
    params = {"layers.0.norm.weight": (2,), "layers.1.norm.weight": (2,)}
    tensors = {f"l.{i}.weight": (2,) for i in range(3)}
    with pytest.raises(BindingError, match=r"layers.2.norm.weight, but .* 2 layers there, 0..1"):
        run(rules, params, tensors)
    assert run(rules, params, tensors, ignore_extra_layers=True).ignored == ("l.2.weight",)
    tensors["l.0.bias"] = (2,)
    with pytest.raises(BindingError, match=r"layers\.0\.norm\.bias, which the model does not have"):
        run(rules, params, tensors, ignore_extra_layers=True)


@pytest.mark.parametrize(
    ("operations", "tensor", "message"),
    [
        ({}, (3, 2), "is [3, 2]; x needs [2, 3]"),
        ({"transpose": True}, (2, 3), "is [3, 2] after its operations; x needs [2, 3]"),
        ({"transpose": True}, (6,), "is [6], which has no two axes to transpose"),
    ],
)
def test_wrong_shapes_are_told_before_data_is_read(operations, tensor, message):
    with pytest.raises(BindingError) as caught:
        run([rule("a", "x", **operations)], {"x": (2, 3)}, {"a": tensor})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("params", "tensor", "operations", "message"),
    [
        ({"x": (2, 3), "y": (2, 3)}, (5, 3), {}, "is [5, 3]; x needs [2, 3] and y needs [2, 3]"),
        ({"x": (2, 3), "y": (2, 4)}, (4, 3), {}, "is [4, 3]; x needs [2, 3] and y needs [2, 4]"),
        ({"x": (2,), "y": (2,)}, (4,), {"axis": 1}, "no axis 1 to split along"),
        ({"x": (2,), "y": (3,)}, (5,), {"groups": 2}, "is split in groups of 2, which"),
    ],
)
def test_wrong_splits(params, tensor, operations, message):
    with pytest.raises(BindingError) as caught:
        run([rule("a", "x", "y", **operations)], params, {"a": tensor})
    assert message in str(caught.value)


def test_the_report_counts_and_shows_what_is_alike_once_with_nearest_names():
    rules = [rule("l.{i}.attn.q_proj.{p}", "layers.{i}.q.{p}"), rule("norm.weight", "norm.weight")]
    params = {f"layers.{i}.q.weight": (2, 2) for i in range(7)} | {
        "norm.weight": (2,),
        "odd": (1,),
    }
    tensors = {f"l.{i}.attn.q_prj.weight": (2, 2) for i in range(7)} | {
        "l.0.attn.q_proj.bias": (2,),
        "norm.weight": (3,),
        "skip": (1,),
    }
    with pytest.raises(BindingError) as caught:
        run(rules, params, tensors, ignore=("skip",))
    near = "no entry of the map is for it; nearest: l.{i}.attn.q_proj.{p}"
    assert str(caught.value).splitlines() == [
        "file does not fit the model by name map 'm': 8 of 10 tensors lead to no param, "
        "8 of 9 params have no tensor, 1 do not fit (0 bound, 1 ignored)",
        "  tensors that lead to no param:",
        f"    l.0.attn.q_prj.weight  {near} (and 6 like it)",
        "    l.0.attn.q_proj.bias   leads to layers.0.q.bias, which the model does not have; "
        "nearest: layers.0.q.weight",
        "  params without a tensor:",
        "    layers.0.q.weight  [2, 2] expected 'l.0.attn.q_proj.weight'; "
        "nearest: l.0.attn.q_prj.weight (and 6 like it)",
        "    odd                [1] no entry of the map leads to it",
        "  of the wrong shape:",
        "    norm.weight  is [3]; norm.weight needs [2]",
    ]


def test_of_many_sorts_the_first_are_shown():
    with pytest.raises(BindingError) as caught:
        run([], {f"odd_{name}": (1,) for name in "abcdefghijklmn"}, {})
    lines = str(caught.value).splitlines()
    assert " ".join(lines[-2].split()) == "odd_l [1] no entry of the map leads to it"
    assert lines[-1] == "    … and 2 more"


def test_a_param_that_no_rule_leads_to_says_so():
    with pytest.raises(BindingError, match=r"odd  \[1\] no entry of the map leads to it"):
        run([], {"odd": (1,)}, {})


def test_names_from_a_hostile_file_reach_no_terminal():
    with pytest.raises(BindingError) as caught:
        run([], {}, {"\x1b[2J\n": (1,), "x" * 999: (1,)})
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_provided_paths_answer_what_a_checkpoint_has():
    rules = (rule("a.{p}", "x.{p}"), rule("ab", "y", "z"), rule("e.{j}", "s", stack="j"))
    names = NameMap("m", rules, ignore=("a.bias",))
    paths = provided(names, ["a.weight", "a.bias", "ab", "e.0", "e.1", "nothing"])
    assert paths == {"x.weight", "y", "z", "s"}


def test_a_quantized_file_that_does_not_fit_is_told_why():
    config = {"quantization_config": {"quant_method": "mx\x1bfp4"}}
    with pytest.raises(BindingError) as caught:
        run([], {"x": (1,)}, {"x_blocks": (1,)}, config=config)
    assert caught.value.hint is not None
    assert "quantized by 'mx fp4'" in caught.value.hint
    run([rule("x", "x")], {"x": (1,)}, {"x": (1,)}, config=config)
    for other in ({}, {"quantization_config": 4}, {"quantization_config": {"quant_method": [1]}}):
        with pytest.raises(BindingError) as caught:
            run([], {"x": (1,)}, {}, config=other)
        assert caught.value.hint is None
