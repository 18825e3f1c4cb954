"""Suite of tokenizers."""

from __future__ import annotations

from typing import ClassVar

from inferflow_core.errors import RequestError
from inferflow_core.interfaces import Multilingual, Tokenizer
from inferflow_core.testing.registered import EntrySuite


class TokenizerSuite(EntrySuite):
    """Give `name` and `make`, an opened tokenizer; and `texts`, if the usual ones do not all
    survive a round trip."""

    kind: ClassVar[str] = "tokenizer"
    texts: ClassVar[tuple[str, ...]] = ("Hello world", "a", "one  two", "tail ", "naïve 🙂 日本")

    def make(self) -> Tokenizer:
        """An opened tokenizer."""
        raise NotImplementedError

    def test_round_trip(self) -> None:
        """Decoding what was encoded gives the text again."""
        tokenizer = self.make()
        for text in self.texts:
            assert tokenizer.decode(tokenizer.encode(text, special=False)) == text

    def test_ids_are_in_the_vocabulary(self) -> None:
        """Every id is from 0 to `vocab_size` - 1."""
        tokenizer = self.make()
        for text in self.texts:
            assert all(0 <= i < tokenizer.vocab_size for i in tokenizer.encode(text))

    def test_streaming_equals_decoding(self) -> None:
        """Text that comes token by token is the text of all tokens together."""
        tokenizer = self.make()
        for text in self.texts:
            ids = tokenizer.encode(text, special=False)
            stream = tokenizer.stream()
            streamed = "".join(map(stream.push, ids)) + stream.flush()
            assert streamed == tokenizer.decode(ids)

    def test_user_text_makes_no_special_tokens(self) -> None:
        """The text of a special token becomes that token in a template's output only."""
        tokenizer = self.make()
        if tokenizer.eos is not None:
            written = tokenizer.token(tokenizer.eos)
            assert tokenizer.eos not in tokenizer.encode(written, special=False)
            assert tokenizer.eos in tokenizer.encode(written, special=False, parse_special=True)

    def test_messages_make_no_special_tokens(self) -> None:
        """Where there is a chat template: a message that spells one has as many as one that
        spells none."""
        tokenizer = self.make()
        if tokenizer.chat_template is None or tokenizer.eos is None:
            return
        written = tokenizer.token(tokenizer.eos)
        counts = [
            tokenizer.encode_chat([{"role": "user", "content": text}]).count(tokenizer.eos)
            for text in ("a", written)
        ]
        assert counts[0] == counts[1]

    def test_languages_are_tokens(self) -> None:
        """Where it is `Multilingual` and has languages: each is one special token, which a text of
        that language has around it."""
        tokenizer = self.make()
        if not isinstance(tokenizer, Multilingual):
            return
        languages = tokenizer.languages
        for language, id in languages.items():
            assert 0 <= id < tokenizer.vocab_size
            assert tokenizer.decode([id]) == ""
            ids = tokenizer.encode_in(self.texts[0], language)
            assert ids.count(id) == 1
            others = set(languages.values()) - {id}
            assert not others & set(ids)
            assert tokenizer.decode(ids) == tokenizer.decode(tokenizer.encode(self.texts[0]))

    def test_a_pair_is_two_texts_with_types(self) -> None:
        """Each id of two texts has a type, and the first text comes first; or pairs are refused."""
        tokenizer = self.make()
        try:
            ids, types = tokenizer.encode_pair("a", "b")
        except RequestError:
            return
        assert len(ids) == len(types)
        first, second = (tokenizer.encode(text, special=False)[-1] for text in ("a", "b"))
        assert ids.index(first) < len(ids) - 1 - ids[::-1].index(second)

    def test_tokens_and_ids_agree(self) -> None:
        """`token` and `token_id` are each other's inverse."""
        tokenizer = self.make()
        for i in tokenizer.encode(self.texts[0], special=False):
            assert tokenizer.token_id(tokenizer.token(i)) == i
