"""Reading name maps: what merges, and every error with its place."""

from functools import partial
from pathlib import Path

import pytest

from inferflow_core.errors import SpecError, UnknownEntry
from inferflow_core.spec.names_reader import read_names

HEAD = 'names = 1\nname = "m"\n'


@pytest.fixture
def read(tmp_path: Path):
    """read(text, parent=text): reads a map named `m`, written to a folder of maps."""

    def find(name: str) -> Path:
        path = tmp_path / f"{name}.toml"
        if not path.exists():
            raise UnknownEntry(f"no names named {name!r}.")
        return path

    def read(text: str, **others: str):
        for name, content in {"m": text, **others}.items():
            (tmp_path / f"{name}.toml").write_text(content, "utf-8")
        return read_names("m", find)

    return read


def problems(read, *args: str, **others: str) -> list[tuple[str, str]]:
    with pytest.raises(SpecError) as caught:
        read(*args, **others)
    return [(problem.path, problem.message) for problem in caught.value.problems]


def test_a_child_replaces_entries_adds_to_ignore_and_replaces_strip(read):
    child = HEAD + (
        'extends = "base"\nignore = ["y"]\nstrip = ["c."]\nextra_layers = "ignore"\n'
        '[map]\n"a" = { to = "new", add = -1 }\n'
    )
    base = (
        'names = 1\nname = "base"\nignore = ["x", "y"]\nstrip = ["b."]\n'
        '[map]\n"a" = { to = "old", transpose = true }\n"k" = "kept"\n'
    )
    names = read(child, base=base)
    assert names.ignore == ("x", "y")
    assert names.strip == ("c.",)
    assert names.ignore_extra_layers
    first, second = names.rules
    assert (first.targets[0].text, first.add, first.transpose) == ("new", -1, False)
    assert second.targets[0].text == "kept"


def test_all_operations_are_read(read):
    names = read(
        HEAD + "[map]\n"
        '"l.{i}.qkv.{p}" = { split = ["l.{i}.q.{p}", "l.{i}.k.{p}"], axis = 1, groups = 4, '
        "squeeze = true, transpose = true, add = 0.5, unit_rows = true }\n"
        '"l.{i}.e.{j}.w" = { to = "l.{i}.experts", stack = "j" }\n'
        '"l.{i}.f" = { split = ["l.{i}.a", "l.{i}.b"], groups = "${config.n_head?}" }\n'
    )
    fused, stacked, grouped = names.rules
    assert [target.text for target in fused.targets] == ["l.{i}.q.{p}", "l.{i}.k.{p}"]
    assert (fused.axis, fused.groups, fused.add) == (1, 4, 0.5)
    assert (fused.squeeze, fused.transpose, fused.unit_rows) == (True, True, True)
    assert stacked.stack == "j"
    assert grouped.groups == "${config.n_head?}"


def test_problems_of_the_file_are_told_at_once(read):
    found = problems(
        read,
        'names = 2\nname = "other"\nstripp = ["a"]\nignore = "x"\nextra_layers = "drop"\n'
        "extends = 3\nmap = []\n",
    )
    assert found == [
        (
            "stripp",
            "unknown key. Did you mean 'strip'?  "
            "(keys: names, name, extends, strip, ignore, extra_layers, map)",
        ),
        ("names", "must be 1, the version of the format"),
        ("name", "is 'other', but the map is registered as 'm'"),
        ("extends", "must be the name of a name map"),
        ("ignore", "must be a list of texts"),
        ("extra_layers", 'must be "error" or "ignore"'),
        ("map", "missing: the table of tensor names"),
    ]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('"a" = 3', "must be a param's path, or a table of operations"),
        ('"a" = { too = "b" }', "unknown operation 'too'. Did you mean 'to'?"),
        ('"a" = { permute = true, to = "b" }', "unknown operation 'permute'."),
        ('"a" = { add = 1 }', "needs either `to` or `split`"),
        ('"a" = { to = "b", split = ["c", "d"] }', "needs either `to` or `split`"),
        ('"a" = { to = "" }', "`to` is a param's path, `split` a list of them"),
        ('"a" = { split = "b" }', "`to` is a param's path, `split` a list of them"),
        ('"a" = { split = ["b"] }', "`split` needs two or more different params"),
        ('"a" = { split = ["b", "b"] }', "`split` needs two or more different params"),
        ('"a" = { to = "b", squeeze = 1 }', "`squeeze` is true or false"),
        ('"a" = { to = "b", axis = 0 }', "`axis` goes with `split`"),
        ('"a" = { to = "b", groups = 2 }', "`groups` goes with `split`"),
        ('"a" = { split = ["b", "c"], axis = -1 }', "`axis` is a whole number from 0"),
        (
            '"a" = { split = ["b", "c"], groups = 0 }',
            '`groups` is a whole number from 1, or "${config.…}"',
        ),
        (
            '"a" = { split = ["b", "c"], groups = "${model.depth}" }',
            '`groups` is a whole number from 1, or "${config.…}"',
        ),
        ('"a" = { to = "b", add = true }', "`add` is a number"),
        ('"a" = { to = "b", add = nan }', "`add` is a number"),
        ('"a.{i}" = { to = "b", stack = "j" }', "`stack` names a number of the tensor's name"),
        ('"a.{s}" = { to = "b", stack = "s" }', "`stack` names a number of the tensor's name"),
        (
            '"a.{i}" = { to = "b.{i}", stack = "i" }',
            "{i} is stacked, so it cannot stand",
        ),
        ('"a.{i}" = "b"', "{i} is missing in 'b'"),
        ('"a" = "b.{i}"', "{i} of 'b.{i}' is not in the tensor's name"),
        ('"a.{i" = "b"', "'a.{i' is not a dotted name with {placeholders}"),
        ('"a.{I}" = "b.{I}"', "{I} is not a placeholder: use {i}, {j}, {p} or a {word}"),
        ('"a.x{s}" = "b.{s}"', "{s} must be a whole component of 'a.x{s}'"),
    ],
)
def test_each_wrong_entry_says_what_is_allowed(read, entry, message):
    found = problems(read, HEAD + "[map]\n" + entry + "\n")
    path = f'map."{entry.split(chr(34))[1]}"'
    assert any(p == path and m.startswith(message) for p, m in found), found


def test_a_problem_of_a_parent_names_the_parent(read):
    child = HEAD + 'extends = "base"\n[map]\n"a" = 1\n'
    found = problems(read, child, base='names = 1\nname = "base"\nx = 1\n[map]\n')
    assert [path for path, _ in found] == ['map."a"', "base: x"]


def test_not_toml_a_circle_a_long_chain_and_an_unknown_parent(read):
    ((path, message),) = problems(read, HEAD + "[map\n")
    assert path == "(file)"
    assert "line 3" in message
    extends = 'names = 1\nname = "{}"\nextends = "{}"\n[map]\n'.format
    assert problems(read, extends("m", "a"), a=extends("a", "m")) == [
        ("a: extends", "goes in a circle: m → a → m")
    ]
    chain = {a: extends(a, b) for a, b in ("ab", "bc", "cd")}
    assert problems(read, extends("m", "a"), **chain) == [
        ("c: extends", "more than 4 files: m → a → b → c → d")
    ]
    assert problems(read, extends("m", "gone")) == [("extends", "no names named 'gone'.")]


@pytest.mark.installed
def test_our_own_maps_read_and_are_registered_under_their_names(installed):
    for name in ("hf_llama", "gguf", "llama2c"):
        assert read_names(name, partial(installed.get, "names")).rules


def test_every_map_of_the_reference_specs_reads(shared):
    folder = shared / "specs" / "names"
    files = sorted(folder.glob("*.toml"))
    assert len(files) >= 16
    for file in files:
        names = read_names(file.stem, lambda name: folder / f"{name}.toml")
        assert names.name == file.stem
