"""Counting words: the example of background work."""

import re

from fastapi_base.schemas.jobs.job import WordCount, WordCountRequest
from fastapi_base.services.jobs.context import JobContext
from fastapi_base.services.jobs.kinds import Kind

WORD_COUNT = Kind("word-count", WordCountRequest)

_WORD = re.compile(r"\w++(?:['’-]\w++)*+")  # noqa: RUF001 (the typographic apostrophe is meant)


def count_words(text: str) -> WordCount:
    """Words, distinct words (ignoring case) and characters of a text."""
    words = _WORD.findall(text.casefold())
    return WordCount(words=len(words), unique_words=len(set(words)), characters=len(text))


async def count(job: JobContext, payload: WordCountRequest) -> WordCount:
    """The work of a word count job."""
    return count_words(payload.text)
