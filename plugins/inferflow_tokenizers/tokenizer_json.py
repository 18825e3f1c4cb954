"""tokenizer.json of a Hugging Face folder, with the files that stand beside it."""

from collections.abc import Mapping
from typing import Any

from inferflow_core.interfaces import Checkpoint, Tokenizer
from inferflow_tokenizers.hf_folder import folder_of, read_facts, read_text
from inferflow_tokenizers.library_vocabulary import LibraryVocabulary
from inferflow_tokenizers.text_tokenizer import TextTokenizer


class TokenizerJSON:
    """BOS and EOS as transformers would: the definition's post-processor, over it `add_bos_token`
    and `add_eos_token` of tokenizer_config.json where they are written."""

    @classmethod
    def open(cls, checkpoint: Checkpoint, options: Mapping[str, Any]) -> Tokenizer | None:
        """None where the folder has no tokenizer.json. Raises ModelFileError, SpecError."""
        path = folder_of(checkpoint) / "tokenizer.json"
        if checkpoint.source != "hf" or not path.is_file():
            return None
        facts = read_facts(checkpoint, path)
        return TextTokenizer(LibraryVocabulary(read_text(path), facts), facts, options)
