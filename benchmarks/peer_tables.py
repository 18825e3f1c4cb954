"""The tables of RESULTS.md, of the lines that `peers.py` keeps."""

import statistics
from typing import Any

Row = dict[str, Any]
Series = dict[int, float]
"""By round."""
READ, OURS, PEERS = "read, GB/s", "inferflow", ("llama.cpp", "OpenVINO")
SHORT, LONG = "decode at 512", "decode at 8k"
"""Where weights are read once a token: the rate times their bytes is a share of the memory's."""
LESS_IS_BETTER = ("first token, s", "peak memory, GB")


def tables(rows: list[Row]) -> str:
    """A table of medians and one of every round, in markdown."""
    weights = {row["model"]: row["weights"] for row in rows}
    names = (OURS, *PEERS)
    medians = [f"| figure | model | {' | '.join(names)} | ratio to the best peer | share of read |"]
    raw = [f"| figure | model | {READ} | {' | '.join(names)} |"]
    medians += ["|---" * (len(names) + 4) + "|"]
    raw += ["|---" * (len(names) + 3) + "|"]
    for (figure, model), series in collected(rows).items():
        cells = [middle(series.get(name, {})) for name in names]
        cells.append(ratio(series, less=figure in LESS_IS_BETTER))
        cells.append(share(series, weights[model]) if figure in (SHORT, LONG) else "")
        medians.append(f"| {figure} | {model} | {' | '.join(cells)} |")
        cells = [listed(series.get(name, {})) for name in (READ, *names)]
        raw.append(f"| {figure} | {model} | {' | '.join(cells)} |")
    return "\n".join([*medians, "", *raw])


def collected(rows: list[Row]) -> dict[tuple[str, str], dict[str, Series]]:
    """Of each figure and model the engines' series, and the probe's."""
    found: dict[tuple[str, str], dict[str, Series]] = {}
    for row in rows:
        for figure, value in row["figures"].items():
            series = found.setdefault((figure, row["model"]), {})
            series.setdefault(row["engine"], {})[row["round"]] = value
            series.setdefault(READ, {})[row["round"]] = row["read"]
    for model in dict.fromkeys(row["model"] for row in rows):
        long, short = found.get((LONG, model), {}), found.get((SHORT, model), {})
        both = long.keys() & short.keys() - {READ}
        if both:
            kept = {name: divided(long[name], short[name]) for name in both}
            found["decode, 8k over 512", model] = kept
    return found


def divided(above: Series, below: Series) -> Series:
    return {number: above[number] / below[number] for number in sorted(above.keys() & below.keys())}


def ratio(series: dict[str, Series], *, less: bool) -> str:
    """The median of the rounds, and the least and the greatest."""
    peers = [name for name in PEERS if series.get(name)]
    if not peers:
        return ""
    best = (min if less else max)(peers, key=lambda name: statistics.median(series[name].values()))
    found = sorted(divided(series.get(OURS, {}), series[best]).values())
    if not found:
        return ""
    return f"{statistics.median(found):.2f}x {best} ({found[0]:.2f} to {found[-1]:.2f})"


def share(series: dict[str, Series], weights: int) -> str:
    found = divided(series.get(OURS, {}), series[READ]).values()
    return f"{statistics.median(found) * weights / 1e9:.0%}" if found else ""


def middle(series: Series) -> str:
    return spelled(statistics.median(series.values())) if series else ""


def listed(series: Series) -> str:
    return " ".join(spelled(series[number]) for number in sorted(series))


def spelled(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
