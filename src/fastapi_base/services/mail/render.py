"""Renders mails from templates, in text and HTML.

A mail never repeats client-supplied text: otherwise a client that can trigger a mail to somebody
else could write part of it.
"""

from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import make_msgid
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from fastapi_base.core.config import MailSettings

# Line lengths up to the SMTP limit (RFC 5321, 4.5.3.1.6), so that no link is broken in two, and
# ASCII only on the wire, so that no server needs 8BITMIME. The policy rejects line breaks in
# headers.
_POLICY = SMTP.clone(max_line_length=998, cte_type="7bit")


@cache
def _templates(html: bool) -> Environment:
    return Environment(
        loader=PackageLoader("fastapi_base.services.mail"),
        autoescape=select_autoescape(default=html),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def message(settings: MailSettings, template: str, to: str, **values: Any) -> EmailMessage:
    """The mail of this template to this address.

    It is marked as automatic (RFC 3834), so that no program answers. It has no List-* fields
    (RFC 2369): it concerns the recipient's own account, so there is no list to unsubscribe from.
    """
    given = {"link": None, "to": to, "service": settings.sender_name, **values}
    made = EmailMessage(policy=_POLICY)
    made["Subject"] = _subject(template, given)
    made["From"] = Address(settings.sender_name, addr_spec=settings.sender)
    made["To"] = Address(addr_spec=to)
    made["Date"] = datetime.now(UTC)
    made["Message-ID"] = make_msgid(domain=settings.sender.rpartition("@")[2])
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(_render(template, "layout.txt.j2", given, html=False))
    made.add_alternative(_render(template, "layout.html.j2", given, html=True), subtype="html")
    return made


def link(settings: MailSettings, page: str, token: str) -> str:
    """A link into the web application. The fragment after # is neither sent nor logged."""
    return f"{settings.link_base.rstrip('/')}/{page}#token={token}"


def _render(template: str, layout: str, values: dict[str, Any], *, html: bool) -> str:
    return _templates(html).get_template(f"{template}.j2").render(values, layout=layout)


def _subject(template: str, values: dict[str, Any]) -> str:
    found = _templates(False).get_template(f"{template}.j2")
    context = found.new_context({**values, "layout": "layout.txt.j2"})
    return "".join(found.blocks["subject"](context)).strip()
