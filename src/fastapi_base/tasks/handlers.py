"""Which service does the work of which kind of job."""

from fastapi_base.services import (
    account_export,
    items,  # slice: items
    items_import,  # slice: items
    mailer,
    mails,
    statistics,
    words,
)
from fastapi_base.services.purge import PURGE
from fastapi_base.tasks.items import purge_items  # slice: items
from fastapi_base.tasks.purge import remove_what_is_over
from fastapi_base.tasks.running import runs

runs(account_export.EXPORT, account_export.run)
runs(words.WORD_COUNT, words.count)
runs(mailer.MAIL, mails.send)
runs(statistics.STATISTICS, statistics.compute)
runs(PURGE, remove_what_is_over)
runs(items.PURGE, purge_items)  # slice: items
runs(items_import.IMPORT, items_import.run)  # slice: items
