"""`decoding_alg` of the native route: the original engine's names, as numbers for the chain."""

from collections.abc import Collection, Mapping

from inferflow_core.errors import nearest
from inferflow_server.http.errors import APIError

OFF: Mapping[str, float] = {
    **{"top_k": 0, "top_p": 1, "min_p": 0},
    **{"tfs_z": 1, "typical_p": 1, "fsd_k": 0},
}
"""What switches the other strategies off: a named one is that one alone."""

POOL = 50
"""Each strategy of the original chooses among so many of the likeliest tokens, at most."""

FSD = {"top_k": POOL, "fsd_k": 6, "fsd_alpha": 0.5, "fsd_n": 3, "fsd_beta": 0.9, "fsd_random": 0}

STRATEGIES: Mapping[str, Mapping[str, float]] = {
    "greedy": {"temperature": 0},
    "std": {"top_k": 8, "top_p": 0.9},
    "top_k": {"top_k": 8},
    "top_p": {"top_k": 8, "top_p": 0.9},
    "min_p": {"top_k": POOL, "min_p": 0.05},
    "tfs": {"top_k": POOL, "tfs_z": 0.95},
    "typical": {"top_k": POOL, "typical_p": 0.95},
    "fsd": FSD,
    "random_fsd": FSD | {"fsd_random": 10},
}
"""With the original's numbers. Without mirostat: it needs a memory, which no sampler here has."""


def sampling(name: str, chain: Collection[str]) -> dict[str, float]:
    """The numbers that make a chain with these fields sample as `name` says.

    Names are the original's, in any case, with or without `sample.`. Raises APIError for another
    name, or where the chain lacks a field that the strategy needs.
    """
    strategy = STRATEGIES.get(name.lower().removeprefix("sample."))
    if strategy is None:
        known = ", ".join(STRATEGIES)
        message = f"unknown decoding_alg {name[:80]!r}.{nearest(name.lower(), STRATEGIES)}"
        raise APIError(400, f"{message} Known are: {known}", param="decoding_alg")
    missing = [field for field in strategy if field not in chain]
    if missing:
        raise APIError(
            400,
            f"decoding_alg {name!r} needs {', '.join(missing)}; the samplers that the spec's [run] "
            f"names have: {', '.join(sorted(chain)) or 'no numbers'}",
            param="decoding_alg",
        )
    return {field: value for field, value in OFF.items() if field in chain} | dict(strategy)
