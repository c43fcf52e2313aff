"""Mail delivery to a real SMTP server: encrypted, to the right server, and well-formed."""

import asyncio
import logging
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal

import pytest
from aiosmtpd.smtp import SMTP

from fastapi_base.core.config import AppSettings, MailSettings, Settings
from fastapi_base.core.config.database import TlsSettings
from fastapi_base.services.mail import delivery, render
from fastapi_base.services.mail.delivery import MailNotSent
from tests.integration.mailing import PASSWORD, Inbox, certificates, serving, text_of

pytestmark = pytest.mark.anyio

LINK = "https://app.example.com/verify-email#token=ot_" + "x" * 60


def made(settings: MailSettings, to: str = "ada@example.com", **values: Any) -> EmailMessage:
    return render.message(settings, "verify_email", to, **{"link": LINK, "hours": 3, **values})


async def send(settings: MailSettings, message: EmailMessage) -> None:
    whole = Settings(app=AppSettings(environment="test"), mail=settings)
    await asyncio.to_thread(delivery.deliver, whole, message)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_mail_is_delivered_well_formed(
    tmp_path: Path, tls: Literal["starttls", "implicit"]
) -> None:
    async with serving(tmp_path, tls) as inbox:
        settings = inbox.settings.model_copy(update={"sender_name": 'Bücher "&" <Söhne>'})
        await send(settings, made(settings))
        message = await inbox.next("ada@example.com", "Confirm your address")
    assert inbox.users == ["service"]
    sender = message["From"].addresses[0]
    assert (sender.display_name, sender.addr_spec) == ('Bücher "&" <Söhne>', "no-reply@example.com")
    assert parsedate_to_datetime(message["Date"]).tzinfo is not None
    assert message["Message-ID"].endswith("@example.com>")
    assert message["Auto-Submitted"] == "auto-generated"
    # A personal mail about an account, so no mailing list headers.
    assert not [name for name in message if name.lower().startswith("list-")]
    assert message.get_content_type() == "multipart/alternative"
    assert f"\n{LINK}\n" in text_of(message)
    assert f'<a href="{LINK}">' in text_of(message, "html")
    assert 'Bücher "&" <Söhne>' in text_of(message)
    assert "Bücher &#34;&amp;&#34; &lt;Söhne&gt;" in text_of(message, "html")


async def test_server_with_an_untrusted_certificate_gets_no_mail(
    inbox: Inbox, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    certificates(tmp_path / "other")
    for ca_file in [tmp_path / "other" / "ca.pem", None]:
        settings = inbox.settings.model_copy(update={"ca_file": ca_file})
        with pytest.raises(MailNotSent, match=r"certificate of 127\.0"):
            await send(settings, made(settings))
    assert (inbox.messages, inbox.users) == ([], [])


async def test_global_certificate_authorities_apply_to_mail(inbox: Inbox) -> None:
    authority = inbox.settings.ca_file
    settings = inbox.settings.model_copy(update={"ca_file": None})
    whole = Settings(
        app=AppSettings(environment="test"), mail=settings, tls=TlsSettings(ca_file=authority)
    )
    await asyncio.to_thread(delivery.deliver, whole, made(settings))
    assert await inbox.next("ada@example.com", "Confirm your address")


async def test_server_with_another_name_gets_no_mail(inbox: Inbox) -> None:
    settings = inbox.settings.model_copy(update={"host": "localhost"})
    with pytest.raises(MailNotSent, match="certificate of localhost"):
        await send(settings, made(settings))
    assert (inbox.messages, inbox.users) == ([], [])


async def test_no_plaintext_mail_without_tls(tmp_path: Path) -> None:
    async with serving(tmp_path, "implicit") as inbox:
        plain = await asyncio.get_running_loop().create_server(
            lambda: SMTP(inbox, hostname="mail.test"), "127.0.0.1", 0
        )
        async with plain:
            port = plain.sockets[0].getsockname()[1]
            settings = inbox.settings.model_copy(update={"port": port, "tls": "starttls"})
            with pytest.raises(MailNotSent, match="SMTPNotSupportedError"):
                await send(settings, made(settings))
    assert (inbox.messages, inbox.users) == ([], [])


async def test_failures_disclose_no_address_and_tell_whether_to_retry(
    inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for reply, final in [("451 later, ada@example.com", False), ("554 never", True)]:
        inbox.replies.append(reply)
        with pytest.raises(MailNotSent, match=reply[:3]) as caught:
            await send(inbox.settings, made(inbox.settings))
        assert caught.value.final is final
        assert "ada" not in str(caught.value)
        assert caught.value.__suppress_context__
    wrong = inbox.settings.model_copy(update={"username": "nobody"})
    with pytest.raises(MailNotSent, match="535"):
        await send(wrong, made(wrong))
    nowhere = inbox.settings.model_copy(update={"port": 9})
    with pytest.raises(MailNotSent, match=r":9: ConnectionRefusedError"):
        await send(nowhere, made(nowhere))
    ours = [record.getMessage() for record in caplog.records if record.name != "mail.log"]
    for secret in [PASSWORD, LINK, "ada@example.com"]:
        assert secret not in str(ours)


@pytest.mark.parametrize("breaks", ["\r\n", "\n", "\r"])
def test_headers_cannot_be_injected(breaks: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        made(MailSettings(), to=f"ada@example.com{breaks}Bcc: eve@example.com")
    with pytest.raises(ValueError, match="sender_name"):
        MailSettings(sender_name=f"x{breaks}Bcc: eve@example.com")


def test_html_values_are_escaped() -> None:
    message = made(MailSettings(), hours="<script>alert(1)</script>")
    assert "<script>" not in text_of(message, "html")
    assert "&lt;script&gt;" in text_of(message, "html")


async def test_development_without_a_server_writes_mails_to_files(tmp_path: Path) -> None:
    settings = MailSettings(folder=tmp_path / "mails")
    await send(settings, made(settings))
    (kept,) = (tmp_path / "mails").iterdir()
    assert kept.suffix == ".eml"
    # Not quoted-printable, so that the link can be copied from the file.
    assert LINK in kept.read_text()


def test_development_without_a_folder_logs_mails(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[dict[str, Any]] = []
    monkeypatch.setattr(delivery.log, "info", lambda event, **values: said.append(values))
    for environment in ["production", "test", "development"]:
        app = AppSettings.model_validate({"environment": environment})
        settings = Settings(app=app, mail=MailSettings())
        assert delivery.enabled(settings) is (environment == "development")
        delivery.deliver(settings, made(settings.mail))
    assert [LINK in values["text"] for values in said] == [True]
