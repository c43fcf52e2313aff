"""Counting words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastapi_base.schemas.jobs.job import WordCount
from fastapi_base.services.words import count_words


@pytest.mark.parametrize(
    ("text", "words", "unique"),
    [
        ("one fish two fish", 4, 3),
        ("Fish, fish & FISH!", 3, 1),
        ("don't well-known", 2, 2),
        ("Straße STRASSE", 2, 1),
        ("--- ...", 0, 0),
    ],
)
def test_words_are_counted(text: str, words: int, unique: int) -> None:
    assert count_words(text) == WordCount(words=words, unique_words=unique, characters=len(text))


@given(st.text())
def test_any_text_is_counted(text: str) -> None:
    counted = count_words(text)
    assert counted.unique_words <= counted.words <= len(text.casefold())
    assert count_words(f"{text} {text}").unique_words == counted.unique_words
