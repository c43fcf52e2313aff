"""Identity providers on loopback: a real one, and one that responds as a test wants."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from oidc_provider_mock import User, run_server_in_thread

KEY_ID = "rogue"


@contextmanager
def real_provider(users: dict[str, dict[str, Any]]) -> Iterator[str]:
    """oidc-provider-mock with these users (claims by subject); yields its issuer."""
    known = [User(sub=subject, claims=claims) for subject, claims in users.items()]
    with run_server_in_thread(user_claims=known) as server:
        yield f"http://localhost:{server.server_port}"


def consent(url: str, subject: str) -> dict[str, str]:
    """A person's consent at the provider; returns the parameters of the callback."""
    reply = httpx2.post(url, data={"sub": subject}, follow_redirects=False)
    assert reply.status_code == 302, reply.text
    return {name: values[0] for name, values in query(reply.headers["location"]).items()}


async def log_in_at(client: httpx2.AsyncClient, name: str, subject: str) -> httpx2.Response:
    """A complete login at a real provider."""
    path = f"/api/v1/auth/oidc/{name}"
    begun = (await client.post(f"{path}/begin")).json()
    body = {"transaction": begun["transaction"], **consent(begun["authorization_url"], subject)}
    return await client.post(f"{path}/finish", json=body)


def query(url: str) -> dict[str, list[str]]:
    """The parameters of a URL."""
    return parse_qs(urlsplit(url).query)


class RogueProvider:
    """Publishes and responds as told; records the requests.

    `claims` go into the ID token, `lies` override honest claims, `token` is an ID token to send as
    it is, `metadata` overrides the honest metadata, and `asked` is how the last login started.
    """

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.claims: dict[str, Any] = {}
        self.lies: dict[str, Any] = {}
        self.asked: dict[str, list[str]] = {}
        self.token: str | None = None
        self.metadata: dict[str, Any] = {}
        self.status = 200
        self.requests: list[dict[str, list[str]]] = []

    def published(self) -> dict[str, Any]:
        """The discovery document."""
        honest = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
        }
        return honest | self.metadata

    def keys(self) -> dict[str, Any]:
        """The key set."""
        public = RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [public | {"kid": KEY_ID, "use": "sig", "alg": "RS256"}]}

    def sign(self, claims: dict[str, Any]) -> str:
        """Sign an ID token with the published key."""
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": KEY_ID})

    def answer(self) -> dict[str, Any]:
        """The token endpoint's response."""
        token = self.sign(self.claims) if self.token is None else self.token
        return {"access_token": "at", "token_type": "Bearer", "id_token": token}


@contextmanager
def rogue_provider(tls: ssl.SSLContext | None = None) -> Iterator[RogueProvider]:
    """A provider that a test can make lie; over HTTPS with `tls`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = provider.keys() if self.path == "/jwks" else provider.published()
            self.reply(200, document)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            provider.requests.append(parse_qs(body))
            failed = {"error": "invalid_grant"}
            self.reply(provider.status, provider.answer() if provider.status == 200 else failed)

        def reply(self, status: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing: the tests inspect the requests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    scheme = "http"
    if tls is not None:
        scheme = "https"
        # In the connection's thread: an error must not stop the server.
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    provider = RogueProvider(f"{scheme}://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
