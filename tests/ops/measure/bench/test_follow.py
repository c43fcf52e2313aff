"""The ID of one request appears wherever the request was processed, in real processes."""

from itertools import pairwise

import pytest

from ops.measure.bench.follow import PROGRAM, Followed, follow, page
from ops.measure.bench.pages import OBSERVABILITY, written

TASK = "fastapi_base.word-count"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Followed:
    return follow(tmp_path_factory.mktemp("follow"))


def test_each_program_logs_the_id_once_and_the_trace(found: Followed) -> None:
    assert {name: len(lines) for name, lines in found.lines.items()} == {
        "api": 1,
        "relay": 1,
        "worker": 1,
    }
    for (line,) in found.lines.values():
        assert found.trace_id in line


def test_postgresql_logs_the_id_with_statements_of_api_and_worker(found: Followed) -> None:
    of_worker = [text for text in found.statements if f"task='{TASK}'" in text]
    assert 0 < len(of_worker) < len(found.statements)
    assert [text for text in found.statements if text.startswith("INSERT INTO jobs")]
    assert all(found.trace_id in text for text in found.statements)


def test_one_trace_spans_api_relay_and_worker(found: Followed) -> None:
    named = {(span.service.removeprefix("fastapi-base-"), span.name): span for span in found.spans}
    way = [
        ("api", "POST /api/v1/jobs/word-count"),
        ("api", f"send {TASK}"),
        ("relay", f"publish {TASK}"),
        ("worker", f"run {TASK}"),
    ]
    for before, after in pairwise(way):
        assert named[after].parent == named[before].id
    # The rate limiter's script in Redis, and statements of both, with their kinds.
    limit, update = named["api", "EVALSHA"], named["worker", "UPDATE"]
    assert limit.parent == named[way[0]].id
    assert limit.attributes["db.system"] == "redis"
    assert update.attributes["db.system.name"] == "postgresql"


def test_metrics_of_both_counted_it(found: Followed) -> None:
    route = '{method="POST",route="/api/v1/jobs/word-count",status="202"}'
    assert found.metrics["API"][f"http_request_duration_seconds_count{route}"] == 1
    task = f'{{state="succeeded",task="{TASK}"}}'
    assert found.metrics["worker"][f"task_duration_seconds_count{task}"] == 1


def test_page_has_a_section_for_the_output(found: Followed) -> None:
    text = page(found)
    document = written(OBSERVABILITY.read_text(), PROGRAM, text)
    assert document.count(text) == 1
    assert written(document, PROGRAM, text) == document
    with pytest.raises(ValueError, match="no marks"):
        written("# Another page", PROGRAM, text)
