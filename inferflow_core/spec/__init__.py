"""The spec language: TOML that says what a model is.

`read_spec` or `parse_spec` gives a Spec (its parents merged in), `find_family` the name of the one
for a checkpoint, `check` what can be said without one, and `resolve` the Plan. `show` and
`to_json` print either.
"""

from inferflow_core.spec.check import check
from inferflow_core.spec.match import find_family
from inferflow_core.spec.merge import Spec, parse_spec, read_spec
from inferflow_core.spec.plan import Plan
from inferflow_core.spec.resolve import resolve
from inferflow_core.spec.run import Run
from inferflow_core.spec.show import show, to_json

__all__ = [
    "Plan",
    "Run",
    "Spec",
    "check",
    "find_family",
    "parse_spec",
    "read_spec",
    "resolve",
    "show",
    "to_json",
]
