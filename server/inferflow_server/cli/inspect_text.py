"""The report of `inspect` for a person."""

from collections.abc import Iterator, Sequence
from typing import Any

from inferflow_server.cli.output import columns, printable, size_text
from inferflow_server.drawing.folding import folded

Report = dict[str, Any]
MOST_SHOWN = 8
"""Of a list in one line."""


def description_text(report: Report, *, tensors: bool) -> str:
    """Sections, each a heading and its lines."""
    lines = list(_head(report))
    if report["network"] is not None:
        lines += ["", "network", *_tree(report["network"], "", "")]
    lines += ["", "tensors", *_formats(report["formats"])]
    if tensors:
        lines += ["", *_tensors(report["tensors"])]
    lines += ["", "tokenizer", *_tokenizer(report)]
    lines += ["", "config keys that nobody read", *_unread(report)]
    return "\n".join(lines)


def outline_text(report: Report) -> str:
    lines = [f"{report['spec']}: {' extends '.join(report['chain'])}"]
    lines += [f"  weights.{key} = {value}" for key, value in report["weights"].items()]
    lines += ["", "blocks", *columns([[f"  {p}", e] for p, e in report["blocks"].items()])]
    lines += ["", "config keys that it reads"]
    for key, needed in report["config_keys"].items():
        lines.append(f"  {key}{' (must be there)' if needed else ''}")
    return "\n".join(lines)


def _head(report: Report) -> Iterator[str]:
    name = printable(report["name"])
    if report["network"] is None:
        yield f"{name}: no network ({report['source']})"
    else:
        yield (
            f"{name}: {report['spec']} ({report['source']}), {report['parameters']:,} parameters, "
            f"context {report['context']}"
        )
    yield printable(report["path"])


def _tree(node: Report, first: str, rest: str, name: str = "") -> Iterator[str]:
    """`first` stands before the block's own line, `rest` before those below it."""
    name = name or node["kind"]
    count = f"{node['parameters']:,}" if node["parameters"] else ""
    if node["repeat"] > 1:
        count = f"{node['repeat']} x {count}"
    fields = "".join(f" {key}={_short(value)}" for key, value in node["fields"].items())
    yield f"{first}{name}: {node['entry']}{fields}  {count}".rstrip()
    children: Sequence[Report] = node["children"]
    bar = f"{rest}│    " if children else f"{rest}     "
    rows = [
        [path, str(param["shape"]), ", ".join(param["formats"])]
        for path, param in node["params"].items()
    ]
    rows += [[path, str(state["shape"]), "cache"] for path, state in node["states"].items()]
    rows += [[path, f"= {target}", ""] for path, target in node["tied"].items()]
    yield from (bar + row for row in columns(rows))
    groups = folded(children)
    for group in groups:
        own, below = _branch(rest, last=group is groups[-1])
        if group.times == 1:
            yield from _tree(group.nodes[0], own, below, _below(node, group.nodes[0]["path"]))
            continue
        yield f"{own}{group.times} times, in turn"
        for child, places in zip(group.shown, group.names(), strict=True):
            inner = _branch(below, last=child is group.shown[-1])
            yield from _tree(child, *inner, _below(node, places))


def _branch(rest: str, *, last: bool) -> tuple[str, str]:
    """What stands before a child's own line, and before those below it."""
    return (f"{rest}└─ ", f"{rest}   ") if last else (f"{rest}├─ ", f"{rest}│  ")


def _below(node: Report, path: str) -> str:
    return path.removeprefix(f"{node['path']}.")


def _formats(formats: Sequence[Report]) -> Iterator[str]:
    rows = [["  format", "tensors", "numbers", "bytes", "bits a number"]]
    for one in formats:
        numbers, bits = f"{one['numbers']:,}", "-" if one["bits"] is None else f"{one['bits']:g}"
        rows.append([f"  {one['format']}", str(one["tensors"]), numbers, f"{one['bytes']:,}", bits])
    if len(formats) > 1:
        count, numbers, size = (sum(f[k] for f in formats) for k in ("tensors", "numbers", "bytes"))
        bits = f"{8 * size / numbers:.3g}" if numbers else "-"
        rows.append(["  all", str(count), f"{numbers:,}", f"{size:,} ({size_text(size)})", bits])
    yield from columns(rows)


def _tensors(tensors: Sequence[Report]) -> Iterator[str]:
    rows: list[list[str]] = []
    for one in tensors:
        params = ", ".join(one["params"][:MOST_SHOWN]) or "-"
        name, size = f"  {printable(one['name'])}", f"{one['bytes']:,}"
        rows.append([name, str(one["shape"]), one["format"], size, params])
    yield from columns(rows)


def _tokenizer(report: Report) -> Iterator[str]:
    found = report["tokenizer"]
    if found is None:
        yield f"  none: {printable(report['tokenizer_problem'])}"
        return
    yield f"  {found['kind']}, {found['vocab_size']:,} tokens"
    for key in ("bos", "eos"):
        yield f"  {key:<12} {_tokens([found[key]] if found[key] else [])}"
    yield f"  {'stop':<12} {_tokens(found['stop'])}"
    yield f"  {'before text':<12} {_tokens(found['before_a_text'])}"
    yield f"  {'after text':<12} {_tokens(found['after_a_text'])}"
    templates: dict[str, str] = report["chat_templates"]
    listed = [f"{printable(name)} ({len(text)} characters)" for name, text in templates.items()]
    yield f"  {'template':<12} {', '.join(listed) or 'none'}"


def _tokens(tokens: Sequence[Report]) -> str:
    shown = [f"{one['id']} {one['token']!r}" for one in tokens[:MOST_SHOWN]]
    more = len(tokens) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "") if shown else "none"


def _unread(report: Report) -> Iterator[str]:
    keys: Sequence[str] = report["unread_config"]
    if not keys:
        yield "  none"
    yield from (f"  {printable(key)} = {_short(report['config'].get(key))}" for key in keys)


def _short(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else printable(str(value))
    return text if len(text) <= 60 else f"{text[:57]}…"
