"""Who may import whom: everything knows the core, and nothing else of ours."""

import sys
import tomllib

import pytest

STDLIB = frozenset(sys.stdlib_module_names)
ARRAYS = frozenset({"numpy"})
HTTP = frozenset({"click", "rich", "starlette", "uvicorn", "pydantic"})
THIRD_PARTY = {
    "inferflow_core": frozenset({"pluggy"}),
    "inferflow_blocks": frozenset(),
    "inferflow_loaders": ARRAYS | {"gguf", "safetensors"},
    "inferflow_quant": ARRAYS | {"gguf"},
    "inferflow_samplers": ARRAYS,
    "inferflow_server": ARRAYS | HTTP,
    "inferflow_specs": frozenset(),
    "inferflow_backends": ARRAYS | {"numba", "llvmlite"},
    "inferflow_runtime": ARRAYS,
    "inferflow_sources": frozenset({"huggingface_hub"}),
    "inferflow_tokenizers": ARRAYS | {"tokenizers", "jinja2"},
}


@pytest.mark.parametrize("package", THIRD_PARTY)
def test_a_package_imports_the_core_itself_and_its_own_libraries(imported, package):
    allowed = STDLIB | THIRD_PARTY[package] | {"inferflow_core", package}
    assert [found for found in imported(package) if found[1] not in allowed] == []


def test_the_table_above_has_every_package_of_the_wheel(checkout):
    project = tomllib.loads((checkout / "pyproject.toml").read_text("utf-8"))
    folders = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert {folder.rpartition("/")[2] for folder in folders} == set(THIRD_PARTY)


def test_nothing_imports_a_folder_that_is_a_package_by_accident(imported):
    folders = {"blocks", "loaders", "quant", "samplers", "server", "plugins", "specs", "tests"}
    found = [each for package in THIRD_PARTY for each in imported(package)]
    assert [each for each in found if each[1] in folders] == []
