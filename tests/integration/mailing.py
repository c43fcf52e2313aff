"""A real SMTP server with TLS by its own CA, and mails sent without a worker."""

import asyncio
import ipaddress
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, Literal

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.config import MailSettings
from fastapi_base.db.hooks import after_commit
from fastapi_base.db.session import Database
from fastapi_base.services.mail import delivery
from fastapi_base.services.mail.request import Mailer, MailJob
from fastapi_base.services.mail.send import make
from tests.integration.waiting import until

USERNAME, PASSWORD = "service", "the password of the mail server"


@dataclass
class Inbox:
    """The mails that the server accepted. `replies` are given to incoming mails instead."""

    settings: MailSettings
    messages: list[EmailMessage] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Envelope) -> str:
        """Called by aiosmtpd. Accept a mail, or refuse it as configured."""
        if self.replies:
            return self.replies.pop(0)
        assert isinstance(envelope.content, bytes)
        assert server.transport
        assert server.transport.get_extra_info("ssl_object")
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        assert envelope.rcpt_tos == [str(message["To"])]
        self.messages.append(message)
        return "250 taken"

    def authenticate(self, server: SMTP, session: Any, *given: Any) -> AuthResult:
        """Called by aiosmtpd."""
        login = given[-1]
        assert isinstance(login, LoginPassword)
        right = (login.login.decode(), login.password.decode()) == (USERNAME, PASSWORD)
        if right:
            self.users.append(login.login.decode())
        return AuthResult(success=right, handled=False)

    async def next(self, to: str, subject: str) -> EmailMessage:
        """The first mail to this address with this text in its subject, removed from the inbox."""

        async def arrived() -> EmailMessage | None:
            for message in self.messages:
                if message["To"] == to and subject in message["Subject"]:
                    self.messages.remove(message)
                    return message
            return None

        return await until(arrived, f"a mail to {to} about {subject!r}", seconds=90)

    async def token(self, to: str, subject: str) -> str:
        """The token in the link of the next such mail."""
        return token_of(await self.next(to, subject))

    def subjects(self, to: str) -> list[str]:
        """The subjects of all mails to this address that are still in the inbox."""
        return [str(message["Subject"]) for message in self.messages if message["To"] == to]


def text_of(message: EmailMessage, kind: Literal["plain", "html"] = "plain") -> str:
    """The plain-text or the HTML body."""
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def token_of(message: EmailMessage) -> str:
    """The token in the link."""
    found = re.search(r"#token=([\w-]+)$", text_of(message), re.MULTILINE)
    assert found, text_of(message)
    return found[1]


@asynccontextmanager
async def serving(
    folder: Path, tls: Literal["starttls", "implicit"] = "starttls"
) -> AsyncIterator[Inbox]:
    """A mail server on loopback that requires TLS and authentication."""
    context = certificates(folder)
    inbox = Inbox(MailSettings())
    loop = asyncio.get_running_loop()

    def session() -> SMTP:
        return SMTP(
            inbox,
            loop=loop,
            hostname="mail.test",
            tls_context=context if tls == "starttls" else None,
            require_starttls=tls == "starttls",
            authenticator=inbox.authenticate,
            auth_required=True,
            # aiosmtpd does not know that the whole connection uses TLS.
            auth_require_tls=tls == "starttls",
        )

    server = await loop.create_server(
        session, "127.0.0.1", 0, ssl=context if tls == "implicit" else None
    )
    async with server:
        inbox.settings = MailSettings.model_validate(
            {
                "host": "127.0.0.1",
                "port": server.sockets[0].getsockname()[1],
                "tls": tls,
                "ca_file": folder / "ca.pem",
                "username": USERNAME,
                "password": PASSWORD,
                "timeout": 10,
                "link_base": "https://app.example.com/",
            }
        )
        yield inbox


def certificates(folder: Path) -> ssl.SSLContext:
    """The server's TLS context with a certificate for 127.0.0.1; its CA is in `ca.pem`."""
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = _certificate("Test CA", ca_key, "Test CA", ca_key, ca=True)
    own = _certificate("mail.test", key, "Test CA", ca_key, ca=False)
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    chain = folder / "server.pem"
    chain.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + own.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain)
    return context


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    ca: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    if ca:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    else:
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


@dataclass(frozen=True, slots=True)
class DirectMailer(Mailer):
    """Replaces relay and worker: sends each mail once its transaction is committed.

    For tests that roll back, whose data is invisible to workers; tasks/test_mail_worker.py uses a
    real one.
    """

    database: Database

    async def _enqueue(self, session: AsyncSession, job: MailJob) -> None:
        async def send() -> None:
            made = await make(self.database, self.settings, job.kind, dict(job.values))
            if made is not None:
                await asyncio.to_thread(delivery.deliver, self.settings, made)

        after_commit(session, send)
