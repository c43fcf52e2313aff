"""Mail delivery: by SMTP, or in development as files or log lines."""

import smtplib
import ssl
from email.message import EmailMessage
from pathlib import Path

import structlog

from fastapi_base.core.config import MailSettings, Settings
from fastapi_base.core.config.database import TlsSettings
from fastapi_base.core.ids import uuid7
from fastapi_base.core.security.tls import client_context

log = structlog.stdlib.get_logger(__name__)


class MailNotSent(Exception):
    """The mail was not accepted. The text names the kind of failure, and no address.

    `final`: the server rejected it permanently (a 5yz reply to sender, recipient or content).
    """

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


def enabled(settings: Settings) -> bool:
    """Whether mails are delivered at all."""
    mail, development = settings.mail, settings.app.environment == "development"
    return mail.host is not None or mail.folder is not None or development


def deliver(settings: Settings, made: EmailMessage) -> None:
    """Deliver the mail as configured. Blocks; raises MailNotSent."""
    mail = settings.mail
    if mail.host:
        _by_smtp(mail, mail.host, made, settings.tls)
    elif mail.folder:
        _keep(mail.folder, made)
    elif settings.app.environment == "development":
        body = made.get_body(("plain",))
        log.info(
            "mail is not sent: MAIL_HOST is not set",
            to=str(made["To"]),
            subject=str(made["Subject"]),
            text=body.get_content() if body else "",
        )


def _by_smtp(settings: MailSettings, host: str, made: EmailMessage, tls: TlsSettings) -> None:
    # Outside the try block: an unreadable certificate file is not an error of the mail server.
    context = client_context(tls, settings.ca_file)
    try:
        with _connect(settings, host, context) as server:
            if settings.tls == "starttls":
                # Raises if the server does not offer it: nothing is sent in clear text.
                server.starttls(context=context)
            if settings.username and settings.password:
                server.login(settings.username, settings.password.get_secret_value())
            server.send_message(made)
    # `from None`: these errors contain addresses, and tracebacks are logged.
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        final = all(code >= 500 for code in codes)
        raise MailNotSent(f"recipient refused: {codes}", final=final) from None
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        code = error.smtp_code
        raise MailNotSent(f"{type(error).__name__}: {code}", final=code >= 500) from None
    except ssl.SSLCertVerificationError as error:
        raise MailNotSent(f"certificate of {host}: {error.verify_message}") from None
    except smtplib.SMTPResponseException as error:
        raise MailNotSent(f"{type(error).__name__}: {error.smtp_code}") from None
    except (OSError, smtplib.SMTPException) as error:
        raise MailNotSent(f"{host}:{settings.port}: {type(error).__name__}") from None


def _connect(settings: MailSettings, host: str, context: ssl.SSLContext) -> smtplib.SMTP:
    if settings.tls == "implicit":
        return smtplib.SMTP_SSL(host, settings.port, timeout=settings.timeout, context=context)
    return smtplib.SMTP(host, settings.port, timeout=settings.timeout)


def _keep(folder: Path, made: EmailMessage) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / f"{uuid7()}.eml").write_bytes(made.as_bytes())
