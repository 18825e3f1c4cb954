"""Every format keeps the conformance suite."""

from inferflow_core.testing import FormatSuite

# Largest error of packing normal numbers, as a share of the largest: half a step of the format.
TOLERANCES = {
    "f64": 0.0,
    "f32": 0.0,
    "f16": 5e-4,
    "bf16": 4e-3,
    "q4_0": 0.13,
    "q4_1": 0.08,
    "q5_0": 0.07,
    "q5_1": 0.04,
    "q8_0": 5e-3,
}
READ_ONLY = ("q2_k", "q3_k", "q4_k", "q5_k", "q6_k", "iq4_nl")


def suite(name: str, tolerance: float, packs: bool) -> type[FormatSuite]:
    fields = {"name": name, "tolerance": tolerance, "packs": packs}
    return type(f"Test_{name}", (FormatSuite,), fields)


globals().update({f"Test_{n}": suite(n, tolerance, True) for n, tolerance in TOLERANCES.items()})
globals().update({f"Test_{n}": suite(n, 0.0, False) for n in READ_ONLY})
