"""The clients against processes of the service: an API, a relay and a worker."""

import asyncio
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fastapi_base_client import AsyncClient, Client, JobNotSucceeded, operations, problems
from ops.dev.places import free_port
from tests.integration.accounts import PASSWORD
from tests.integration.clients.faults import Cutting
from tests.integration.conftest import TEMPLATE
from tests.integration.databases import clone, drop, sibling
from tests.integration.processes import CELERY, GUNICORN, RELAY, running, serves

# The examples of the README, in their order.
TYPESCRIPT = Path("clients/typescript/README.md").read_text()
README = Path("clients/python/README.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
SCENARIOS = sorted(Path("tests/integration/clients").glob("*scenario.ts"))
# What the scenarios use of Node; its own types are not locked.
NODE = """
declare module "node:assert/strict" {
  const assert: {
    ok(value: unknown): asserts value;
    equal(actual: unknown, expected: unknown): void;
    deepEqual(actual: unknown, expected: unknown): void;
    match(text: string, pattern: RegExp): void;
    rejects(work: Promise<unknown>, like: unknown): Promise<void>;
  };
  export default assert;
}
declare const process: { argv: string[] };
"""
WORKER = (*CELERY, "worker", "--concurrency=1")


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, admin_url: str, worker_number: int, redis_url: str
) -> Iterator[int]:
    """The port of an API process; a relay and a worker run too."""
    tmp_path = tmp_path_factory.mktemp("service")
    database = f"service_{worker_number}_clients"
    asyncio.run(clone(admin_url, database, TEMPLATE))
    given = {
        "DATABASE_URL": sibling(admin_url, database),
        "REDIS_URL": redis_url,
        "API_WORKERS": "1",
    }
    port = free_port()
    with ExitStack() as stack:
        api = running(
            GUNICORN, tmp_path / "api.log", API_PORT=str(port), AUTH_BCRYPT_ROUNDS="4", **given
        )
        stack.enter_context(api)
        stack.enter_context(running(RELAY, tmp_path / "relay.log", **given))
        stack.enter_context(running(WORKER, tmp_path / "worker.log", **given))
        asyncio.run(serves(port))
        yield port
    asyncio.run(drop(admin_url, database))


@pytest.mark.anyio
async def test_jobs_are_followed_across_broken_streams(
    service: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names: dict[str, object] = {}
    url = f"http://127.0.0.1:{service}"
    network = Cutting(times=2)
    with Client(url, transport=network) as api:
        api.send(operations.register({"email": "ada@example.com", "password": PASSWORD}))
        api.log_in("ada@example.com", PASSWORD)
        job = api.send(operations.create_word_count({"text": "one fish two fish"}))
        done = api.wait_for_job(job["id"])
        assert (done.get("result") or {})["words"] == 4
        # Each stream began after the event with which the one before had broken.
        assert network.resumed[0] is None
        assert len(set(network.resumed)) == len(network.resumed)
        assert api.wait_for_job(job["id"]) == done
        assert [one["id"] for one in api.items(operations.list_jobs())] == [job["id"]]
        tokens = api.session.credentials
    assert EXAMPLES
    monkeypatch.chdir(tmp_path)
    for code in EXAMPLES:
        exec(code.replace("https://api.example.com", url), names)  # noqa: S102
    said = capsys.readouterr().out
    assert "ada@example.com" in said
    assert "'words': 4" in said
    assert job["id"] in said
    async with AsyncClient(url, tokens) as other:
        assert await other.wait_for_job(job["id"]) == done
        with pytest.raises(problems.Conflict):
            await other.send(operations.cancel_job(job["id"]))
    with pytest.raises(JobNotSucceeded, match="is cancelled"):
        raise JobNotSucceeded({**done, "status": "cancelled"})


@pytest.fixture(scope="module")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The TypeScript client with the scenarios and its packages, and the folder of programs."""
    done = subprocess.run(
        ["ops/build/bootstrap/npm.sh", "typescript"], capture_output=True, text=True, check=True
    )
    programs = done.stdout.strip()
    folder = tmp_path_factory.mktemp("typescript") / "client"
    shutil.copytree("clients/typescript", folder)
    (folder / "node_modules").symlink_to(Path(programs).parent)
    (folder / "tests").mkdir()
    for file in SCENARIOS:
        shutil.copy(file, folder / "tests")
    return folder, programs


def _example(module: str) -> str:
    """The example of the README, which is run as it stands but for the place of the module."""
    (code,) = re.findall(r"^```typescript\n(.*?)^```", TYPESCRIPT, re.MULTILINE | re.DOTALL)
    return str(code).replace("fastapi-base-client", module)


def test_typescript_is_typed_strictly(typescript: tuple[Path, str]) -> None:
    folder, programs = typescript
    (folder / "tests/node.d.ts").write_text(NODE)
    (folder / "tests/readme.ts").write_text(_example("../src/index.ts"))
    config = folder / "tsconfig.tests.json"
    config.write_text('{"extends": "./tsconfig.json", "include": ["src", "tests"]}')
    command = [f"{programs}/node", f"{programs}/tsc", "--project", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda file: file.stem)
def test_typescript_calls_the_service(
    service: int, typescript: tuple[Path, str], scenario: Path
) -> None:
    folder, programs = typescript
    command = [
        *(f"{programs}/node", str(folder / "tests" / scenario.name)),
        *(f"http://127.0.0.1:{service}", f"{scenario.stem}@example.com", PASSWORD),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "all steps passed" in done.stdout


def test_typescript_readme_calls_the_service(service: int, typescript: tuple[Path, str]) -> None:
    folder, programs = typescript
    url = f"http://127.0.0.1:{service}"
    with Client(url) as api:
        api.send(operations.register({"email": "ada@example.com", "password": PASSWORD}))
    code = _example("../src/index.ts").replace("https://api.example.com", url)
    (folder / "tests/example.ts").write_text(code)
    command = [f"{programs}/node", str(folder / "tests/example.ts")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "ada@example.com" in done.stdout
    assert "words: 4" in done.stdout
    assert "403 insufficient-scope" in done.stdout
