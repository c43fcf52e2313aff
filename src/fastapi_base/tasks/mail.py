"""Sends the mails that the API asks for."""

import structlog
from celery import Task, shared_task

from fastapi_base.core.errors import Overloaded, Unavailable
from fastapi_base.services import delivery, mails
from fastapi_base.services.delivery import MailNotSent
from fastapi_base.services.mailer import MAIL
from fastapi_base.tasks import runtime

# After 2 s, 4 s, 8 s, ... 10 min: an hour in all.
_MOST_RETRIES = 13
_LONGEST_PAUSE = 600

log = structlog.stdlib.get_logger(__name__)


@shared_task(name=MAIL, bind=True, ignore_result=True, max_retries=_MOST_RETRIES)  # type: ignore[untyped-decorator]
def send(self: Task, kind: str, values: mails.Values) -> None:
    """Make a mail and hand it over; again later, when the database or the server does not answer.

    A retry makes the mail anew: its link is fresh, and the earlier one's is void.
    """
    settings = runtime.settings()
    try:
        made = runtime.run(lambda database: mails.make(database, settings, kind, dict(values)))
        if made is not None:
            delivery.deliver(settings, made)
            log.info("mail sent", kind=kind)
    except (MailNotSent, Overloaded, Unavailable) as error:
        if isinstance(error, MailNotSent) and error.final:
            log.warning("mail given up", kind=kind, reason=str(error))
            return
        pause = min(2 ** (self.request.retries + 1), _LONGEST_PAUSE)
        log.warning("mail is tried again", kind=kind, reason=str(error), seconds=pause)
        raise self.retry(exc=error, countdown=pause) from None
