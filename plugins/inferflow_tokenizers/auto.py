"""Finds the tokenizer of a checkpoint among the installed entries."""

from collections.abc import Mapping
from typing import Any

from inferflow_core.catalog import Catalog
from inferflow_core.errors import TokenizerError
from inferflow_core.interfaces import Checkpoint, Tokenizer
from inferflow_tokenizers.hf_folder import folder_of

UNREAD = {
    "tekken.json": "Mistral's tekken",
    "qwen.tiktoken": "tiktoken",
    "vocab.json": "of no known kind without a merges.txt",
}
"""Files of kinds that no entry here reads, for the error."""

FIRST = "tokenizer_json"
"""Where a folder has several, this is the one that says everything."""


def open_tokenizer(
    checkpoint: Checkpoint, options: Mapping[str, Any], catalog: Catalog
) -> Tokenizer:
    """The tokenizer of a model. `options` is the spec's [tokenizer] table.

    `use = "auto"` asks the entries that come with Inferflow; another's is used only where a spec
    names it. Raises TokenizerError where none fits, ModelFileError for a malformed file, SpecError
    for options that do not fit the files.
    """
    use = options.get("use", "auto")
    ours = [name for name in catalog.names("tokenizer") if "." not in name and name != "auto"]
    ours.sort(key=lambda name: name != FIRST)
    names = [use] if use != "auto" else ours
    for name in names:
        tokenizer = catalog.get("tokenizer", name).open(checkpoint, options)
        if tokenizer is not None:
            return tokenizer
    folder = folder_of(checkpoint)
    unread = [f"{file} ({kind})" for file, kind in UNREAD.items() if (folder / file).is_file()]
    found = f"; it has {', '.join(unread)}, which is not read yet" if unread else ""
    raise TokenizerError(
        f"{checkpoint.path}: no tokenizer of the kinds {', '.join(names)} is there{found}",
        hint="put a tokenizer.json or a tokenizer.model (HF folder), or a tokenizer.bin (llama2.c) "
        "beside the weights, or name another tokenizer: [tokenizer] use",
    )


class AutoTokenizer:
    """The tokenizer that fits the files; or the one that the spec names."""

    @classmethod
    def open(
        cls, checkpoint: Checkpoint, options: Mapping[str, Any], catalog: Catalog | None = None
    ) -> Tokenizer:
        """See `open_tokenizer`; without a catalog, that of what is installed."""
        return open_tokenizer(checkpoint, options, catalog or Catalog())
