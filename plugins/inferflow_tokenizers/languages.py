"""Tokens that tell the language of a text."""

import re
from collections.abc import Mapping

FORMS = tuple(
    map(
        re.compile,
        (r"__([a-z]{2,4})__", r"([a-z]{3}_[A-Z][a-z]{3})", r"([a-z]{2}_[A-Z]{2})"),
    )
)
"""As M2M100, NLLB and mBART write them: `__en__`, `eng_Latn`, `en_XX`."""


def languages_of(special: Mapping[int, str]) -> dict[str, int]:
    """Language -> token, of all special tokens; empty where no form fits two or more of them."""
    found = (
        {match[1]: id for id, text in special.items() if (match := form.fullmatch(text))}
        for form in FORMS
    )
    most = max(found, key=len)
    return dict(sorted(most.items())) if len(most) > 1 else {}
