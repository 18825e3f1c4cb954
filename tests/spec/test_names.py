"""How a name map reads tensor names."""

import pytest

from inferflow_core.errors import BindingError
from inferflow_core.spec.names import NameMap, Rule, Template


def name_map(*pairs: tuple[str, str], **keys) -> NameMap:
    return NameMap("m", tuple(Rule(Template(a), (Template(b),)) for a, b in pairs), **keys)


@pytest.mark.parametrize(
    ("template", "name", "values"),
    [
        ("h.{i}.x.{p}", "h.12.x.bias", {"i": "12", "p": "bias"}),
        ("h.{i}.x.{p}", "h.12.x.gamma", {"i": "12", "p": "weight"}),
        ("h.{i}.x.{p}", "h.12.x.beta", {"i": "12", "p": "bias"}),
        ("h.{i}.x.{p}", "h.12.x.scale", None),
        ("h.{i}.x", "h.012.x", None),  # one spelling a number, or two tensors would be one layer
        ("h.{i}.x", "h.-1.x", None),
        ("h.{i}.x", f"h.{'9' * 5000}.x", None),
        ("h.{i}.x", "h.1.2.x", None),
        ("h.{i}.x", "hh1.x", None),
        ("{s}.x", "encoder.x", {"s": "encoder"}),
        ("{s}.x", "1.x", None),
        ("{s}.x", "a.b.x", None),
        ("{s}.{i}.{s}", "a.1.a", {"s": "a", "i": "1"}),
        ("{s}.{i}.{s}", "a.1.b", None),
        ("a+b.(x)", "a+b.(x)", {}),
    ],
)
def test_a_template_reads_names_of_its_form_only(template, name, values):
    assert Template(template).read(name) == values


def test_fill_replaces_what_it_has_and_keeps_the_rest():
    assert Template("h.{i}.{p}").fill({"i": "3"}) == "h.3.{p}"


def test_of_two_rules_the_one_with_fewer_placeholders_counts():
    names = name_map(("head.{p}", "a.{p}"), ("head.weight", "b"))
    assert names.match("head.weight")[0].targets[0].text == "b"
    assert names.match("head.bias")[0].targets[0].text == "a.{p}"


def test_as_many_placeholders_on_both_sides_are_an_error_that_names_both():
    names = name_map(("{s}.weight", "a.{s}"), ("head.{p}", "b.{p}"))
    assert names.match("head.bias")[1] == {"p": "bias"}
    with pytest.raises(BindingError, match=r"matches '\{s\}.weight' and 'head.\{p\}'"):
        names.match("head.weight")


def test_a_prefix_may_be_there_or_not_and_the_whole_name_goes_first():
    names = name_map(("norm.{p}", "n.{p}"), ("model.norm.{p}", "whole.{p}"), strip=("model.",))
    assert names.match("norm.weight")[0].targets[0].text == "n.{p}"
    assert names.match("model.norm.weight")[0].targets[0].text == "whole.{p}"
    assert names.match("model.model.norm.weight")[0].targets[0].text == "whole.{p}"
    assert names.match("other.norm.weight") is None


def test_ignore_has_stars_and_nothing_else_that_is_special():
    names = name_map(ignore=("*inv_freq", "a.*.b", "a?c"), strip=("model.",))
    assert names.ignores("layers.0.inv_freq")
    assert names.ignores("model.a.1.2.b")
    assert names.ignores("a?c")
    assert not names.ignores("abc")
    assert not names.ignores("inv_freq.weight")
    assert not name_map().ignores("")


def test_the_tensors_that_a_param_would_be_read_from():
    names = name_map(("l.{i}.q.{p}", "layers.{i}.q.{p}"), ("l.{i}.attn.{p}", "layers.{i}.q.{p}"))
    assert names.tensors_for("layers.7.q.bias") == ["l.7.q.bias", "l.7.attn.bias"]
    assert names.tensors_for("nothing") == []
