"""Untrusted text: what can be stored, and the profile for names and titles.

The profile follows RFC 8266 (nicknames): spaces of all kinds become U+0020, consecutive spaces
become one, and leading and trailing spaces are removed. It differs in one point: text is normalised
to NFC, not NFKC, because a title may depend on the difference between x² and x2. Of the classes of
RFC 8264, it refuses characters that are invisible or rearrange other text: control, format, private
use and unassigned. U+200C and U+200D are accepted where they affect the rendering of adjacent
characters (RFC 5892, A.1 and A.2, and emoji sequences).
"""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

LINE_LENGTH = 100
# PostgreSQL's text and JSONB cannot hold U+0000; UTF-8 cannot encode a lone surrogate.
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
# Only U+0000, which JSON Schema can express.
NO_NUL = r"^[^\x00]*$"
# Any storable text, including line breaks.
Text = Annotated[str, StringConstraints(pattern=NO_NUL)]

_JOINERS = "\u200c\u200d"
_VIRAMA = 9
# Scripts with joining letters, where a joiner between two letters is visible.
_CURSIVE = (
    "ADLAM ARABIC CHORASMIAN HANIFI MANDAIC MANICHAEAN MONGOLIAN NKO OLD PHAGS-PA PSALTER SOGDIAN"
    " SYRIAC"
)
_CURSIVE_NAMES = tuple(f"{script} " for script in _CURSIVE.split())
_REFUSED = {
    "Cc": "a control character",
    "Cf": "an invisible format character",
    "Cn": "not assigned to any character",
    "Co": "for private use",
    "Cs": "half of a surrogate pair",
    "Zl": "a line break",
    "Zp": "a line break",
}
# Invisible characters in categories that are otherwise visible (Default_Ignorable_Code_Point), and
# two more that are blank.
_UNSEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\U0001d159")


def unstorable(text: str) -> str | None:
    """The first character that cannot be stored, with its position from 1; None if all can."""
    if text.isascii():
        at = text.find("\0")
    else:
        found = _UNSTORABLE.search(text)
        at = found.start() if found else -1
    return None if at < 0 else f"{code_point(text[at])} at position {at + 1} is not allowed"


def code_point(char: str) -> str:
    """The code point in Unicode notation, with its name if it has one."""
    name = unicodedata.name(char, "NULL" if char == "\0" else "")
    return f"U+{ord(char):04X} ({name})" if name else f"U+{ord(char):04X}"


def spaced(text: str) -> str:
    """The text in NFC with each space as U+0020, for comparison with stored names and titles.

    Takes time quadratic in the length: limit the length first.
    """
    normal = unicodedata.normalize("NFC", text)
    return "".join(" " if unicodedata.category(char) == "Zs" else char for char in normal)


def one_line(length: int) -> AfterValidator:
    """The profile, for texts of at most `length` characters, both as sent and as stored.

    Its errors name the code point and its position in the sent text, counted from 1.
    """

    def check(value: str) -> str:
        if len(value) > length:
            raise ValueError(f"must have at most {length} characters")
        start = len(value) - len(value.lstrip())
        text = value.strip()
        for at, char in enumerate(text):
            if (why := _refused(text, at)) is not None:
                raise ValueError(f"{code_point(char)} at position {start + at + 1} is {why}")
        if not any(unicodedata.category(char)[0] in "LNPS" for char in text):
            raise ValueError("must contain a visible character")
        kept = re.sub(" +", " ", spaced(text))
        # NFC decomposes some characters.
        if len(kept) > length:
            raise ValueError(
                f"must have at most {length} characters in Unicode normalization form NFC"
            )
        return kept

    return AfterValidator(check)


def _refused(text: str, at: int) -> str | None:
    """Why the character is not allowed in a line, or None."""
    char = text[at]
    if char in _JOINERS:
        return None if _shapes(text, at) else "invisible here: it does not join its neighbours"
    if char in _UNSEEN:
        return "invisible"
    if _selects(char) and (at == 0 or not _selectable(text[at - 1], char)):
        return "invisible here: the character before it has no such variant"
    return _REFUSED.get(unicodedata.category(char))


def _selects(char: str) -> bool:
    """Whether the character is a variation selector."""
    return unicodedata.name(char, "").startswith(("VARIATION SELECTOR", "MONGOLIAN FREE VARIATION"))


def _selectable(before: str, selector: str) -> bool:
    """Whether a variation selector may follow: a symbol, an ideograph or a Mongolian letter."""
    if _selects(before):
        return False
    name = unicodedata.name(before, "")
    if unicodedata.name(selector).startswith("MONGOLIAN"):
        return name.startswith("MONGOLIAN")
    if name.startswith("CJK "):
        return True
    emoji = unicodedata.category(before)[0] == "S" or before in "0123456789#*"
    return emoji and "\ufe00" <= selector <= "\ufe0f"


def _shapes(text: str, at: int) -> bool:
    """Whether a joiner has a visible effect.

    That is next to a virama, between cursive letters, and between emoji (U+200D only).
    """
    # Marks and variation selectors belong to the preceding letter.
    before, after = at - 1, at + 1
    if before < 0:
        return False
    # Also at the end: Malayalam names may end in a letter that is written this way.
    if unicodedata.combining(text[before]) == _VIRAMA:
        return True
    if after == len(text):
        return False
    if unicodedata.combining(text[after]) == _VIRAMA:
        return True
    while before > 0 and unicodedata.category(text[before])[0] == "M":
        before -= 1
    while after < len(text) - 1 and unicodedata.category(text[after])[0] == "M":
        after += 1
    ends = text[before], text[after]
    if all(unicodedata.name(end, "").startswith(_CURSIVE_NAMES) for end in ends):
        return True
    return text[at] == "\u200d" and all(
        not end.isascii() and unicodedata.category(end)[0] == "S" for end in ends
    )


# A line that is shown to others: nothing that rearranges text or forges log lines.
Line = Annotated[
    str, StringConstraints(min_length=1, max_length=LINE_LENGTH), one_line(LINE_LENGTH)
]
