"""Stop strings: what is passed on does not depend on how the text is cut."""

from hypothesis import given
from hypothesis import strategies as st
from inferflow_runtime.stop import StopText

letters = st.text("ab", max_size=12)


def expected(text: str, stops: list[str]) -> str:
    """Letter by letter: the text before the stop string that is complete first."""
    for end in range(len(text) + 1):
        hits = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if hits:
            return text[: min(hits)]
    return text


@given(st.lists(letters), st.lists(st.text("ab", min_size=1, max_size=5), max_size=4))
def test_any_cut_gives_the_same_text(pieces: list[str], stops: list[str]):
    stop = StopText(stops)
    passed = "".join(stop.push(piece) for piece in pieces)
    whole = "".join(pieces)
    assert expected(whole, stops).startswith(passed)
    assert passed + stop.flush() == expected(whole, stops)
    assert stop.stopped == any(s in whole for s in stops)


def test_only_what_may_begin_a_stop_string_is_held_back():
    stop = StopText(["END", "\n\n"])
    assert stop.push("The E") == "The "
    assert stop.push("N") == ""
    assert stop.push("x\n") == "ENx"
    assert stop.push("y") == "\ny"
    assert stop.push("z\n\nmore") == "z"
    assert stop.push("more") == ""
    assert stop.flush() == ""
