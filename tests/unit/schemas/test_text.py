"""The text profile of names and titles accepts real names and rejects deceptive text."""

import unicodedata

import pytest
from hypothesis import given, strategies
from pydantic import TypeAdapter, ValidationError

from fastapi_base.schemas.identity.passkey import PasskeyName  # slice: passkeys
from fastapi_base.schemas.text import LINE_LENGTH, Line, spaced, unstorable

line = TypeAdapter[str](Line)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("Ada Lovelace", "Ada Lovelace"),
        ("\u5c71\u7530\u3000\u592a\u90ce", "\u5c71\u7530 \u592a\u90ce"),
        ("Jean\u00a0Dupont", "Jean Dupont"),
        ("\u2003 a \u202f\u2009 b\u00a0\n", "a b"),
        ("Zoe\u0308", "Zo\u00eb"),
        ("x\u00b2 \u2460 \uff21", "x\u00b2 \u2460 \uff21"),
        ("O\u2019Neill-\u0130\u015f\u0131k & Co. #1", "O\u2019Neill-\u0130\u015f\u0131k & Co. #1"),
        # Persian: next to joining letters, also after marks.
        (
            "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",
            "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",
        ),
        ("\u0639\u0644\u064a\u0651\u200c\u0631", "\u0639\u0644\u064a\u0651\u200c\u0631"),
        # Sinhala and Devanagari: after a virama. Bengali: before it.
        ("\u0dc1\u0dca\u200d\u0dbb\u0dd3", "\u0dc1\u0dca\u200d\u0dbb\u0dd3"),
        ("\u0915\u094d\u200c\u0937", "\u0915\u094d\u200c\u0937"),
        ("\u09b0\u200d\u09cd\u09af\u09be\u09ac", "\u09b0\u200d\u09cd\u09af\u09be\u09ac"),
        # Malayalam: after a virama at the end of a word, and of the name.
        (
            "\u0d2e\u0d4b\u0d39\u0d28\u0d4d\u200d \u0d28\u0d4d\u200d",
            "\u0d2e\u0d4b\u0d39\u0d28\u0d4d\u200d \u0d28\u0d4d\u200d",
        ),
        # Emoji: a profession, with a skin tone and variation selectors in between.
        ("\U0001f469\u200d\U0001f52c", "\U0001f469\u200d\U0001f52c"),
        (
            "\U0001f469\U0001f3fd\u200d\u2764\ufe0f\u200d\U0001f468",
            "\U0001f469\U0001f3fd\u200d\u2764\ufe0f\u200d\U0001f468",
        ),
        ("\u8fbb\U000e0100 1\ufe0f", "\u8fbb\U000e0100 1\ufe0f"),
        ("\U0001f642\u200d\u2194\ufe0f", "\U0001f642\u200d\u2194\ufe0f"),
    ],
    ids=ascii,
)
def test_real_names_are_accepted(sent: str, kept: str) -> None:
    assert line.validate_python(sent) == kept
    assert line.validate_python(kept) == kept


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ("a\tb", "U+0009 at position 2 is a control character"),
        ("  a\x00", "U+0000 (NULL) at position 4 is a control character"),
        ("a\nb", "U+000A at position 2 is a control character"),
        ("a\u2028b", "U+2028 (LINE SEPARATOR) at position 2 is a line break"),
        ("ab\u202ecd", "U+202E (RIGHT-TO-LEFT OVERRIDE) at position 3 is an invisible format"),
        ("ab\u2066cd", "U+2066 (LEFT-TO-RIGHT ISOLATE) at position 3 is an invisible format"),
        ("\u2800", "U+2800 (BRAILLE PATTERN BLANK) at position 1 is invisible"),
        ("\U0001d159", "U+1D159 (MUSICAL SYMBOL NULL NOTEHEAD) at position 1 is invisible"),
        ("admin\ufe00", "U+FE00 (VARIATION SELECTOR-1) at position 6 is invisible here"),
        ("\u2764\ufe0f\ufe0f", "U+FE0F (VARIATION SELECTOR-16) at position 3 is invisible here"),
        ("a\U000e0100", "U+E0100 (VARIATION SELECTOR-17) at position 2 is invisible here"),
        ("a\u180b", "U+180B (MONGOLIAN FREE VARIATION SELECTOR ONE) at position 2 is invisible"),
        ("a\u200bb", "U+200B (ZERO WIDTH SPACE) at position 2 is an invisible format"),
        ("pay\u00adpal", "U+00AD (SOFT HYPHEN) at position 4 is an invisible format"),
        ("a\U000e0061", "U+E0061 (TAG LATIN SMALL LETTER A) at position 2 is an invisible format"),
        ("a\u200cb", "U+200C (ZERO WIDTH NON-JOINER) at position 2 is invisible here"),
        ("a\u200db", "U+200D (ZERO WIDTH JOINER) at position 2 is invisible here"),
        ("1\u200d+", "U+200D (ZERO WIDTH JOINER) at position 2 is invisible here"),
        ("\u0915\u094d\u200d\u200d", "U+200D (ZERO WIDTH JOINER) at position 4 is invisible here"),
        ("\u0639\u200c", "U+200C (ZERO WIDTH NON-JOINER) at position 2 is invisible here"),
        ("\u200d\u0639", "U+200D (ZERO WIDTH JOINER) at position 1 is invisible here"),
        ("\U0001f469\u200c\U0001f52c", "U+200C (ZERO WIDTH NON-JOINER) at position 2"),
        ("\U0001f469\u200d\u200d\U0001f52c", "U+200D (ZERO WIDTH JOINER) at position 2"),
        ("a\u3164", "U+3164 (HANGUL FILLER) at position 2 is invisible"),
        ("a\ue000", "U+E000 at position 2 is for private use"),
        ("a\u0378", "U+0378 at position 2 is not assigned to any character"),
        ("a\ufffe", "U+FFFE at position 2 is not assigned to any character"),
        ("a\ud800", "unable to parse raw data as a unicode string"),
        ("\u3000", "must contain a visible character"),
        ("\u0301\u0302", "must contain a visible character"),
        ("", "at least 1 character"),
        ("a" * (LINE_LENGTH + 1), "at most 100 characters"),
        ("\u0958" * 60, "at most 100 characters in Unicode normalization form NFC"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_deceptive_text_is_refused_with_code_point_and_position(sent: str, why: str) -> None:
    with pytest.raises(ValidationError) as refused:
        line.validate_python(sent)
    assert why in str(refused.value)


@given(strategies.text(alphabet=strategies.characters(categories=["L", "M", "N", "Z", "Cf", "Cc"])))
def test_accepted_text_is_stable_and_fits_its_column(sent: str) -> None:
    try:
        kept = line.validate_python(sent)
    except ValidationError:
        return
    assert line.validate_python(kept) == kept
    assert 0 < len(kept) <= LINE_LENGTH
    assert unicodedata.is_normalized("NFC", kept)
    assert "  " not in kept
    assert kept == kept.strip() == spaced(kept)
    assert unstorable(kept) is None


# begin slice: passkeys
def test_all_name_fields_use_the_profile() -> None:
    passkey = TypeAdapter[str](PasskeyName)
    assert passkey.validate_python("\u5c71\u7530\u3000Phone") == "\u5c71\u7530 Phone"
    with pytest.raises(ValidationError, match=r"U\+202E"):
        passkey.validate_python("a\u202eb")


# end slice: passkeys
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a\tb\n", None),
        ("\u00e9\U0001f600", None),
        ("ab\0", "U+0000 (NULL) at position 3 is not allowed"),
        ("\u00e9\0", "U+0000 (NULL) at position 2 is not allowed"),
        ("\udfff", "U+DFFF at position 1 is not allowed"),
    ],
    ids=ascii,
)
def test_unstorable_text_is_named(text: str, found: str | None) -> None:
    assert unstorable(text) == found
