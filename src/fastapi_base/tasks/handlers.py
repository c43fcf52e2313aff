"""Which service does the work of which kind of job."""

from fastapi_base.services import (
    items_import,  # slice: items
    mailer,
    mails,
    words,
)
from fastapi_base.tasks.running import runs

runs(words.WORD_COUNT, words.count)
runs(mailer.MAIL, mails.send)
runs(items_import.IMPORT, items_import.run)  # slice: items
