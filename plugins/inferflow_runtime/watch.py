"""A checkpoint that notes which keys of its config and metadata are read."""

from collections.abc import Iterator, Mapping
from typing import Any

from inferflow_core.interfaces import Checkpoint


class WatchedKeys(Mapping[str, Any]):
    """A mapping whose reads go into `read`. Listing its keys reads none of them."""

    def __init__(self, items: Mapping[str, Any], read: set[str]) -> None:
        self._items = items
        self._read = read

    def __getitem__(self, key: str) -> Any:
        value = self._items[key]
        self._read.add(key)
        return value

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)


class WatchedCheckpoint:
    """The checkpoint itself, but for `config` and, where it has them, the `metadata`."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self.path, self.source = checkpoint.path, checkpoint.source
        self.tensors = checkpoint.tensors
        self.read_keys: set[str] = set()
        self.config: Mapping[str, Any] = WatchedKeys(checkpoint.config, self.read_keys)
        metadata: Mapping[str, Any] | None = getattr(checkpoint, "metadata", None)
        if metadata is not None:
            self.metadata = WatchedKeys(metadata, self.read_keys)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._checkpoint, name)

    def read(self, name: str) -> Any:
        return self._checkpoint.read(name)

    def close(self) -> None:
        self._checkpoint.close()

    def unread(self) -> list[str]:
        """The keys of the file that nobody has read, under no name, sorted."""
        plain = {key: (key,) for key in self._checkpoint.config}
        origins: Mapping[str, tuple[str, ...]]
        origins = getattr(self._checkpoint, "config_origins", plain)
        read = self.read_keys
        return sorted(key for key, names in origins.items() if names and not read & {*names})
