"""Maps each kind of job to the service that does its work."""

from fastapi_base.services import words
from fastapi_base.services.items import items, items_import  # slice: items
from fastapi_base.services.mail import request, send
from fastapi_base.services.privacy import account_export
from fastapi_base.services.privacy.purge import PURGE
from fastapi_base.services.statistics import statistics  # slice: statistics
from fastapi_base.tasks.items import purge_items  # slice: items
from fastapi_base.tasks.purge import remove_expired
from fastapi_base.tasks.running import runs

runs(account_export.EXPORT, account_export.run)
runs(words.WORD_COUNT, words.count)
runs(request.MAIL, send.send)
runs(statistics.STATISTICS, statistics.compute)  # slice: statistics
runs(PURGE, remove_expired)
runs(items.PURGE, purge_items)  # slice: items
runs(items_import.IMPORT, items_import.run)  # slice: items
