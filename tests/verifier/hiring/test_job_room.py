"""The handlers of jobs: the id of another room finds nothing here; a forgotten job leads back to its form."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from ledger.edge import Rejected
from ledger.errors import Refused, Unavailable
from ledger.text import Text
from verifier.hiring.job_room import JobRoom, JobWords
from verifier.hiring.jobs import Job, JobQueue, JobState
from verifier.messages import load_messages

MESSAGES = load_messages()


@dataclass(slots=True)
class Other(Job):
    """A job of another room."""


def job(kind: type[Job] = Job, letter: str = "a", **fields: Any) -> Job:
    return kind(letter * 32, "", "名单.csv", "zh", 10, 10, 1, **fields)


def room(queue: JobQueue, kind: type[Job] = Job) -> JobRoom[Job]:
    def words(request: web.Request, job: Job, lang: str) -> JobWords:
        return JobWords("T", "lists.css", "/lists", "again", ("a", "b"), [])

    return JobRoom(kind, lambda app: (queue, MESSAGES), "/lists", "/v1/lists", "checked", words, lambda job: {})


def asked(job_id: str) -> web.Request:
    return make_mocked_request("GET", f"/lists/{job_id}", match_info={"id": job_id})


@pytest.fixture
async def queue() -> JobQueue:
    queue = JobQueue(lambda: 0)
    queue.admit(job())
    queue.admit(job(Other, "b"))
    return queue


async def test_an_id_finds_a_job_of_its_own_room_only(queue: JobQueue) -> None:
    assert room(queue).find(asked("a" * 32)).id == "a" * 32
    assert room(queue, Other).find(asked("b" * 32)).id == "b" * 32
    for kind, job_id in ((Other, "a" * 32), (Job, "A" * 32), (Job, "a" * 31), (Job, "c" * 32)):
        with pytest.raises(Rejected):
            room(queue, kind).find(asked(job_id))


async def test_a_job_is_forgotten_and_its_page_leads_back(queue: JobQueue) -> None:
    lists = room(queue)
    gone = await lists.forget(asked("a" * 32))
    assert (gone.status, gone.headers["Location"]) == (303, "/lists") and queue.find("a" * 32) is None
    assert (await lists.remove(asked("b" * 32))).status == 204 and queue.find("b" * 32) is None


async def test_a_result_is_there_once_it_is_done(queue: JobQueue) -> None:
    lists = room(queue)
    with pytest.raises(Rejected):
        await lists.result(asked("a" * 32))
    one = lists.find(asked("a" * 32))
    one.state, one.result, one.kind = JobState.DONE, b"x", "csv"
    answer = await lists.result(asked("a" * 32))
    said = answer.headers["Content-Disposition"]
    assert 'filename="checked.csv"' in said and said.endswith("%E5%90%8D%E5%8D%95-checked.csv")
    assert lists.as_json(one)["result"] == f"/v1/lists/{one.id}/result"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Refused("CODE", "field", Text("不", "no")), {"code": "CODE", "zh": "不", "en": "no"}),
        (
            Unavailable(Text("没有应答", "x")),
            {"code": "unavailable", "zh": "暂时无法处理", "en": "cannot be done right now"},
        ),
        (Unavailable(Text("满", "full"), public=True), {"code": "unavailable", "zh": "满", "en": "full"}),
    ],
)
async def test_what_failed_is_told_with_its_code(error: Refused | Unavailable, said: dict[str, str]) -> None:
    told = room(JobQueue(lambda: 0)).as_json(job(error=error, state=JobState.FAILED))
    assert told["error"] == said and told["result"] is None and told["until"] is None
    assert not asyncio.all_tasks() - {asyncio.current_task()}


@pytest.mark.parametrize(("lang", "query"), [("zh", "?lang=zh"), ("en", "?lang=en"), ("", ""), ("//x", "")])
async def test_where_a_form_leads(lang: str, query: str) -> None:
    answer = room(JobQueue(lambda: 0)).on_to_page(job(), lang)
    assert (answer.status, answer.headers["Location"]) == (303, f"/lists/{'a' * 32}{query}")
