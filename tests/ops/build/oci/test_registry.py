"""The client against servers that answer as hosted registries do."""

import base64
import io
import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from ops.build.oci import credentials, publish, upload
from ops.build.oci.config import INDEX_TYPE
from ops.build.oci.errors import OciError
from ops.build.oci.registry import Reference, Registry
from ops.build.oci.transport import Reply, Transport
from tests.ops.build.oci import hosts, registries
from tests.ops.build.oci.hosts import Answer, Asked
from tests.ops.build.oci.samples import build

DIGEST = "sha256:" + "a" * 64
LISTED = [{"mediaType": "m", "digest": "sha256:" + "b" * 64, "size": 1}]
CHALLENGE = {"WWW-Authenticate": 'Basic realm="x"'}
CREDENTIALS = "ada:secret"
BASIC = "Basic " + base64.b64encode(CREDENTIALS.encode()).decode()


def index(*descriptors: dict[str, Any]) -> bytes:
    return json.dumps({"schemaVersion": 2, "manifests": descriptors}).encode()


def registry(address: str, name: str = "try/it", **more: Any) -> Registry:
    more.setdefault("wait", lambda seconds: None)
    return Registry(Reference(address, name, "1"), **more)


def digest(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


def guarded(answer: Callable[[Asked], Answer]) -> Callable[[Asked], Answer]:
    """A host that asks for a name and a password first."""
    return lambda asked: (
        answer(asked) if asked.headers.get("authorization") == BASIC else Answer(401, CHALLENGE)
    )


def test_referrers_elsewhere_are_read_without_the_credentials() -> None:
    """GitHub's registry redirects the question with 303."""
    with hosts.host(lambda asked: Answer(body=index(*LISTED))) as storage:
        place = {"Location": f"http://{storage.address}/signed?for=this"}
        with hosts.host(guarded(lambda asked: Answer(303, place))) as front:
            client = registry(front.address, credentials=CREDENTIALS)
            assert client.referrers(DIGEST) == LISTED
    assert storage.said() == ["GET /signed?for=this"]
    assert "authorization" not in storage.asked[0].headers
    assert front.asked[-1].headers["authorization"] == BASIC


def test_redirect_within_a_host_keeps_the_credentials() -> None:
    def answer(asked: Asked) -> Answer:
        if asked.path.startswith("/v2/"):
            return Answer(307, {"Location": "/elsewhere"})
        return Answer(body=index(*LISTED))

    with hosts.host(guarded(answer)) as front:
        assert registry(front.address, credentials=CREDENTIALS).referrers(DIGEST) == LISTED
        assert front.asked[-1].headers["authorization"] == BASIC


def test_fallback_tag_that_resolves_to_the_subject_lists_nothing() -> None:
    """GitLab's registry lacks the API, and reads the tag as the digest that it holds."""
    subject = index({"mediaType": "m", "digest": DIGEST, "size": 1})

    def answer(asked: Asked) -> Answer:
        if "/referrers/" in asked.path:
            return Answer(404)
        return Answer(201) if asked.method == "PUT" else Answer(body=subject)

    with hosts.host(answer) as front:
        client = registry(front.address)
        assert client.referrers(digest(subject)) == []
        # A document that nobody would find is no success.
        assert client.put_manifest("1", b"{}", INDEX_TYPE) is False
        document = json.dumps({"mediaType": INDEX_TYPE}).encode()
        subject = document
        with pytest.raises(OciError, match="does not keep the tag sha256-"):
            publish.attach(digest(document), "a/b", b"{}", client)


@pytest.mark.parametrize("reply", [Answer(body=b"<html>"), Answer(400), Answer(body=b"[]")])
def test_registry_that_does_not_know_the_api_is_asked_for_the_tag(reply: Answer) -> None:
    def answer(asked: Asked) -> Answer:
        return reply if "/referrers/" in asked.path else Answer(body=index(*LISTED))

    with hosts.host(answer) as front:
        assert registry(front.address).referrers(DIGEST) == LISTED


def test_pages_of_referrers_are_read_to_the_end() -> None:
    def answer(asked: Asked) -> Answer:
        if "last=" in asked.path:
            return Answer(body=index({"digest": "2"}))
        link = f'<{asked.path}?n=1&last=1>; rel="next"'
        return Answer(200, {"Link": link}, index({"digest": "1"}))

    with hosts.host(answer) as front:
        found = registry(front.address).referrers(DIGEST)
    assert [one["digest"] for one in found] == ["1", "2"]


@pytest.mark.parametrize(
    ("text", "host", "name"),
    [
        ("docker.io/redis:8", "docker.io", "library/redis"),
        ("index.docker.io/team/app:1", "docker.io", "team/app"),
        ("registry-1.docker.io/team/app:1", "docker.io", "team/app"),
    ],
)
def test_docker_hub_has_names_of_its_own(text: str, host: str, name: str) -> None:
    found = Reference.parse(text)
    assert (found.host, found.name, found.api_host) == (host, name, "registry-1.docker.io")


def test_docker_hub_gets_the_token_of_its_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = base64.b64encode(CREDENTIALS.encode()).decode()
    auths = {"auths": {"https://index.docker.io/v1/": {"auth": encoded}}}
    (tmp_path / "config.json").write_text(json.dumps(auths))
    reference = Reference.parse("docker.io/redis:8")
    known = credentials.find(reference.host, reference.name, {"DOCKER_CONFIG": str(tmp_path)})
    asked: list[tuple[str, str | None]] = []
    bearer = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="s"'

    def send(
        self: Transport, method: str, url: str, body: Any = None, headers: Any = None, **_: Any
    ) -> Reply:
        asked.append((url, (headers or {}).get("Authorization")))
        if "auth.docker.io" in url:
            return Reply(200, {}, b'{"token": "t"}')
        if asked[-1][1]:
            return Reply(200, {}, b"{}")
        return Reply(401, {"www-authenticate": bearer}, b"")

    monkeypatch.setattr(Transport, "send", send)
    assert Registry(reference, known).manifest("8") == b"{}"
    place = "https://registry-1.docker.io/v2/library/redis/manifests/8"
    service = "https://auth.docker.io/token?service=registry.docker.io&scope=s"
    assert asked == [(place, None), (service, BASIC), (place, "Bearer t")]


@pytest.mark.parametrize(
    ("trouble", "waits"),
    [
        (Answer(429, {"Retry-After": "7"}), [7.0, 7.0]),
        (Answer(503), [0.5, 1.0]),
        (Answer(broken=True), [0.5, 1.0]),
        (Answer(429, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}), [0.5, 1.0]),
    ],
)
def test_busy_registry_is_asked_again(trouble: Answer, waits: list[float]) -> None:
    waited: list[float] = []
    answers = iter([trouble, trouble])
    with hosts.host(lambda asked: next(answers, Answer(body=b"{}"))) as front:
        assert registry(front.address, wait=waited.append).manifest("1") == b"{}"
    assert waited == waits


@pytest.mark.parametrize(
    ("trouble", "asked", "said"),
    [
        (Answer(503), 5, "HTTP 503"),
        (Answer(broken=True), 5, "GET /v2/try/it/manifests/1: "),
        # Waiting for an hour is up to whoever publishes.
        (Answer(429, {"Retry-After": "3600"}), 1, "HTTP 429"),
        (Answer(400), 1, "HTTP 400"),
    ],
)
def test_registry_that_stays_busy_is_an_error(trouble: Answer, asked: int, said: str) -> None:
    with hosts.host(lambda asked: trouble) as front:
        with pytest.raises(OciError, match=said):
            registry(front.address).manifest("1")
        assert len(front.asked) == asked


class Chunks:
    """A registry that takes blobs in chunks, and loses the connection at the second one."""

    def __init__(self, minimum: int = 0, limit: int = 10**9) -> None:
        self.minimum, self.limit, self.content, self.failures = minimum, limit, b"", 1

    def __call__(self, asked: Asked) -> Answer:
        have = {"Range": f"0-{max(0, len(self.content) - 1)}", "Location": "/up/1?state=x"}
        if asked.method == "POST":
            headers = {"OCI-Chunk-Min-Length": str(self.minimum)} if self.minimum else {}
            return Answer(202, {**headers, "Location": "/up/1?state=x"})
        if asked.method == "GET":
            return Answer(204, have)
        if asked.method == "PUT":
            if len(asked.body) > self.limit:
                return Answer(413)
            self.content += asked.body
            assert f"digest={digest(self.content)}" in asked.path.replace("%3A", ":")
            return Answer(201)
        start, end = map(int, asked.headers["content-range"].split("-"))
        assert (start, end) == (len(self.content), len(self.content) + len(asked.body) - 1)
        if start and self.failures:
            self.failures -= 1
            # Half of it arrived.
            self.content += asked.body[: len(asked.body) // 2]
            return Answer(broken=True)
        self.content += asked.body
        return Answer(202, {**have, "Range": f"0-{len(self.content) - 1}"})


@pytest.mark.parametrize("front", [Chunks(minimum=20), Chunks(limit=50)])
def test_upload_in_chunks_goes_on_where_it_broke(
    front: Chunks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "CHUNK", 20)
    content = bytes(range(70))
    with hosts.host(front) as host:
        registry(host.address).put_blob(digest(content), len(content), io.BytesIO(content))
        patches = [one for one in host.asked if one.method == "PATCH"]
    assert front.content == content
    assert [len(one.body) for one in patches] == [20, 20, 20, 20]


def test_broken_upload_in_chunks_ends_at_last() -> None:
    def answer(asked: Asked) -> Answer:
        if asked.method == "POST":
            return Answer(202, {"Location": "/up/1", "OCI-Chunk-Min-Length": "1"})
        return Answer(204, {"Range": "0-0"}) if asked.method == "GET" else Answer(503)

    with hosts.host(answer) as front, pytest.raises(OciError, match="HTTP 503"):
        registry(front.address).put_blob(DIGEST, 3, io.BytesIO(b"abc"))


def test_upload_elsewhere_gets_no_credentials() -> None:
    with hosts.host(lambda asked: Answer(201)) as storage:
        place = {"Location": f"http://{storage.address}/up"}
        with hosts.host(guarded(lambda asked: Answer(202, place))) as front:
            client = registry(front.address, credentials=CREDENTIALS)
            client.put_blob(DIGEST, 3, io.BytesIO(b"abc"))
    assert "authorization" not in storage.asked[0].headers


def test_blob_of_a_sibling_is_mounted() -> None:
    def answer(asked: Asked) -> Answer:
        if asked.method == "HEAD":
            return Answer(200 if "/team/other/" in asked.path else 404)
        return Answer(201)

    with hosts.host(answer) as front:
        client = registry(front.address, siblings=("team/none", "team/other"))
        client.put_blob(DIGEST, 3, io.BytesIO(b"abc"))
    assert front.said()[-1] == (
        f"POST /v2/try/it/blobs/uploads/?mount={DIGEST.replace(':', '%3A')}&from=team%2Fother"
    )


def test_debians_registry_mounts_layers_and_keeps_their_digests(tmp_path: Path) -> None:
    built, archive = build(tmp_path)
    with registries.registry(tmp_path) as host:
        assert publish.main([str(archive), f"{host}/team/one:1"]) == 0
        arguments = [str(archive), f"{host}/team/two:1", "--mount", "team/one"]
        assert publish.main(arguments) == 0
        client = Registry(Reference.parse(f"{host}/team/two:1"))
        for layer in json.loads(client.manifest(built.digest) or b"")["layers"]:
            assert digest(client.blob(layer["digest"])) == layer["digest"]
        log = (tmp_path / "log").read_text()
    # Nothing was sent a second time.
    assert "PUT /v2/team/one/blobs/uploads/" in log
    assert "PUT /v2/team/two/blobs/uploads/" not in log


def test_storage_that_signs_its_addresses_is_read_without_credentials() -> None:
    content = b"a layer"
    with hosts.host(lambda asked: Answer(body=content)) as storage:
        place = {"Location": f"http://{storage.address}/blob?signature=x"}
        with hosts.host(guarded(lambda asked: Answer(307, place))) as front:
            client = registry(front.address, credentials=CREDENTIALS)
            assert client.has_blob(digest(content))
            assert client.blob(digest(content)) == content
    # It is asked for content only: an address that is signed for GET refuses HEAD.
    assert storage.said() == ["GET /blob?signature=x"]
    assert "authorization" not in storage.asked[0].headers


def test_what_is_read_must_have_its_digest() -> None:
    with hosts.host(lambda asked: Answer(body=b"other")) as front:
        client = registry(front.address)
        for read in (client.blob, client.manifest):
            with pytest.raises(OciError, match=f"what it has for {DIGEST} is sha256:"):
                read(DIGEST)


def test_redirect_without_tls_is_refused() -> None:
    place = {"Location": "http://storage.example/blob"}
    with (
        hosts.host(lambda asked: Answer(307, place)) as front,
        pytest.raises(OciError, match=r"http://storage\.example/blob: the address must be https"),
    ):
        registry(front.address).blob(DIGEST)


def test_endless_redirects_are_an_error() -> None:
    with (
        hosts.host(lambda asked: Answer(307, {"Location": asked.path})) as front,
        pytest.raises(OciError, match="redirects 5 times"),
    ):
        registry(front.address).blob(DIGEST)
