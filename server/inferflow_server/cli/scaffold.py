"""A plugin package, as texts made from the templates beside this file."""

import keyword
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from string import Template

from inferflow_core.catalog import GROUPS
from inferflow_core.errors import UsageError
from inferflow_core.version import __version__

KINDS = ("norm", "sampler", "loader", "format", "backend", "source", "op")
"""The kinds that have a template."""

WORD = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
MAX_WORD = 40


@dataclass(frozen=True)
class Package:
    """What follows from a plugin's name and kind. Raises UsageError for a name that cannot be."""

    prefix: str
    module: str
    kind: str

    def __post_init__(self) -> None:
        for word in (self.prefix, self.module):
            if not WORD.fullmatch(word) or len(word) > MAX_WORD or keyword.iskeyword(word):
                raise UsageError(
                    f"{word!r} cannot be part of a plugin's name",
                    hint=f"lower-case letters, digits and single underscores, at most {MAX_WORD}, "
                    "and no word of Python's: acme.poly_norm",
                )
        if self.prefix == "inferflow":
            raise UsageError("the prefix 'inferflow' is ours; take a name of your own")

    @property
    def entry(self) -> str:
        """The name in specs."""
        return f"{self.prefix}.{self.module}"

    @property
    def package(self) -> str:
        """The name in Python."""
        return f"inferflow_plugin_{self.prefix}_{self.module}"

    @property
    def distribution(self) -> str:
        """The name for pip."""
        return self.package.replace("_", "-")

    @property
    def title(self) -> str:
        """The class: PolyNorm. It ends in the kind, so no name of an import can be hidden by it."""
        kind = self.kind.capitalize()
        title = _camel(self.module)
        if title == kind:
            return _camel(self.prefix) + kind
        return title if title.endswith(kind) else title + kind

    @cached_property
    def files(self) -> dict[str, str]:
        """Path below the package's folder -> text."""
        return {
            "pyproject.toml": self._text("package/pyproject.toml"),
            "README.md": self._text("package/README.md"),
            "LICENSE": self._text("package/LICENSE"),
            ".gitignore": self._text("package/gitignore"),
            f"{self.package}/__init__.py": "",
            f"{self.package}/py.typed": "",
            f"{self.package}/{self.module}.py": self._text(f"{self.kind}/module.py"),
            f"tests/test_{self.module}.py": self._text(f"{self.kind}/test_module.py"),
        }

    def _text(self, template: str) -> str:
        return Template(_template(template)).substitute(self._words)

    @cached_property
    def _words(self) -> dict[str, str]:
        words = {
            "prefix": self.prefix,
            "module": self.module,
            "kind": self.kind,
            "entry": self.entry,
            "package": self.package,
            "distribution": self.distribution,
            "group": GROUPS[self.kind],
            "title": self.title,
            "object": "op" if self.kind == "op" else self.title,
            "bound": bound(__version__),
            "numpy": ', "numpy>=1.26"'
            if "import numpy" in _template(f"{self.kind}/module.py")
            else "",
            "magic": (self.module.replace("_", "").upper() + "FILE")[:4],
            "variable": f"{self.prefix}_{self.module}".upper(),
        }
        return words | {"use": Template(_template(f"{self.kind}/use.md")).substitute(words)}


def bound(version: str) -> str:
    """The requirement on inferflow-core of a plugin written for a version: `>=0.1,<0.2`, and from
    1.0 on `>=1.3,<2`, as docs/versions.md promises."""
    major, minor = (int(part) for part in version.split(".")[:2])
    return f">={major}.{minor},<{major + 1}" if major else f">=0.{minor},<0.{minor + 1}"


def _template(name: str) -> str:
    return files("inferflow_server.cli").joinpath("template", f"{name}.txt").read_text("utf-8")


def _camel(word: str) -> str:
    return "".join(_parts(word))


def _parts(word: str) -> Iterator[str]:
    return (part.capitalize() for part in word.split("_"))
