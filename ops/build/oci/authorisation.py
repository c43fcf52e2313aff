"""Responds to the challenges of registries: basic authentication and tokens."""

import base64
import json
import re
import urllib.parse
from dataclasses import dataclass, field

from ops.build.oci.errors import OciError
from ops.build.oci.transport import Transport


@dataclass
class Authorisation:
    """The `Authorization` header for one registry; ``credentials`` is ``user:password`` or empty.

    It is sent to ``host`` only, and the credentials to the registry's authorisation service.
    """

    host: str
    transport: Transport
    credentials: str = field(default="", repr=False)
    header: str = field(default="", repr=False)

    def answer(self, challenge: str) -> bool:
        """Respond to a challenge (RFC 9110, 11.6.1); False if there is nothing new to try.

        A token is valid for its scope and for a limited time: a read token is refused for a write,
        with a challenge for another one.
        """
        scheme, _, rest = challenge.partition(" ")
        basic = ""
        if self.credentials:
            basic = "Basic " + base64.b64encode(self.credentials.encode()).decode()
        if scheme.lower() == "basic":
            before, self.header = self.header, basic
            return basic not in ("", before)
        if scheme.lower() != "bearer":
            return False
        token = self._token(dict(re.findall(r'(\w+)="([^"]*)"', rest)), basic)
        self.header = f"Bearer {token}"
        return bool(token)

    def _token(self, wanted: dict[str, str], basic: str) -> str:
        """A token of the registry's authorisation service (distribution, "Token Authentication").

        Empty if the service refuses.
        """
        realm = urllib.parse.urlsplit(wanted.get("realm", ""))
        if realm.scheme != "https" and not (realm.scheme == "http" and self.transport.plain):
            raise OciError(f"{self.host} sends to {realm.geturl()!r} for a token; it must be https")
        known = [("service", wanted["service"])] if "service" in wanted else []
        # A mount needs several scopes, each a parameter of its own.
        known += [("scope", scope) for scope in wanted.get("scope", "").split()]
        query = "&".join(filter(None, (realm.query, urllib.parse.urlencode(known))))
        url = urllib.parse.urlunsplit((realm.scheme, realm.netloc, realm.path or "/", query, ""))
        reply = self.transport.send("GET", url, headers={"Authorization": basic} if basic else {})
        if reply.status != 200:
            return ""
        try:
            document = json.loads(reply.body)
            return str(document.get("token") or document["access_token"])
        except (ValueError, KeyError, AttributeError) as error:
            raise OciError(f"{realm.netloc} answered with no token") from error
