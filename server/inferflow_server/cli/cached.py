"""Which models of the cache a word on the command line means."""

from collections.abc import Sequence

from inferflow_core import store
from inferflow_core.errors import SourceError, nearest
from inferflow_server.cli.fetch import find_remote
from inferflow_server.cli.model import registered


def cached(words: Sequence[str]) -> list[store.Kept]:
    """Those that were pulled as `words` say: references, predefined names, spec files. Raises
    SourceError for one that is not there."""
    everything = store.kept()
    found: dict[str, store.Kept] = {}
    for word in words:
        same = [one for one in everything if one.reference == word] or _by_model(word)
        if not same:
            close = nearest(word, [one.reference for one in everything])
            raise SourceError(f"{word} is not in the cache.{close}", hint="inferflow ls")
        found |= {str(one.path): one for one in same}
    return list(found.values())


def _by_model(word: str) -> list[store.Kept]:
    remote = find_remote(word, (), registered()[0])
    path = remote.locate() if remote else None
    kept = store.holding(path) if path else None
    return [kept] if kept else []
