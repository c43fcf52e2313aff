"""Counts words for the API's example job."""

from typing import Any

from celery import shared_task

from fastapi_base.services.jobs import WORD_COUNT
from fastapi_base.services.words import count_words


@shared_task(name=WORD_COUNT)  # type: ignore[untyped-decorator]
def word_count(text: str) -> dict[str, Any]:
    """A WordCount as JSON data. Running it twice gives the same."""
    return count_words(text).model_dump(mode="json")
