"""An authorisation service for registries: it issues tokens for a name and a password.

A hosted registry has one instead of htpasswd. This one is a test double; the registry that checks
its tokens is real. See the distribution project's "Token Authentication Specification".
"""

import base64
import datetime
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SERVICE = "tests"


@dataclass
class Tokens:
    """``asked`` holds the scopes of the issued tokens, in order."""

    address: str
    certificate: Path
    asked: list[str] = field(default_factory=list)


@contextmanager
def service(folder: Path, user: str, password: str) -> Iterator[Tokens]:
    """Yields a running service; its certificate is in the directory."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(key)
    path = folder / "tokens.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    chain = [base64.b64encode(certificate.public_bytes(serialization.Encoding.DER)).decode()]
    expected = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
            if self.headers["Authorization"] != expected or wanted["service"] != [SERVICE]:
                self.send_error(401)
                return
            scope = wanted["scope"][0]
            tokens.asked.append(scope)
            kind, name, actions = scope.split(":")
            access = [{"type": kind, "name": name, "actions": actions.split(",")}]
            now = int(time.time())
            claims = {
                **{"iss": SERVICE, "aud": SERVICE, "sub": user, "jti": "1", "access": access},
                **{"iat": now, "nbf": now - 10, "exp": now + 300},
            }
            token = jwt.encode(claims, key, "ES256", headers={"x5c": chain})
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"token": token}).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Keep the tests' output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    tokens = Tokens(f"http://127.0.0.1:{server.server_port}/token", path)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield tokens
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _certificate(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, SERVICE)])
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
