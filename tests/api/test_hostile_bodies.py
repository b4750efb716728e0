"""Bodies that are no JSON, huge, deep or otherwise not meant well: told in the one shape, never a fault."""

import asyncio
import json
import logging

import pytest

from support.wire import assert_error, problems

MIB = 1024 * 1024
DEEP = 100_000
WRITES = [
    ("POST", "/api/auth/register"),
    ("POST", "/api/auth/login"),
    ("POST", "/api/review"),
    ("POST", "/api/review/{id}/generate-questions"),
    ("PUT", "/api/review/{id}/save-questions"),
    ("PUT", "/api/review/{id}/answers"),
    ("POST", "/api/incidents/search"),
    ("POST", "/api/incidents/search/batch"),
]
BROKEN = {
    "empty": b"",
    "white space": b" \n\t ",
    "words": b"hello",
    "cut off": b'{"name": "x',
    "two documents": b"{}{}",
    "single quotes": b"{'name': 'x'}",
    "a comma too many": b'{"name": "x",}',
    "a comment": b'{"name": "x"} // really',
    "NaN": b'{"name": NaN}',
    "Infinity": b'{"limit": Infinity}',
    "minus infinity": b'{"limit": -Infinity}',
    "a number beyond all": b'{"limit": 1e400}',
    "half of a surrogate pair": b'{"name": "\\ud800"}',
    "the other half": b'{"name": "x\\udc00y"}',
    "halves the wrong way round": b'{"name": "\\udc00\\ud800"}',
    "a raw surrogate": b'{"name": "\xed\xa0\x80"}',
    "a raw control character": b'{"name": "\x01"}',
    "a zero byte": b'{"name": "x"}\x00',
    "not UTF-8": b'{"name": "\xff\xfe"}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"name": "x"}',
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep and open": b"[" * DEEP,
    "a number of 5000 digits": b'{"limit": ' + b"9" * 5000 + b"}",
    "a number of 5000 digits behind the point": b'{"limit": 0.' + b"9" * 5000 + b"e-9999999}",
    "a list": b"[1, 2]",
    "null": b"null",
    "a number": b"12",
    "a text": b'"name"',
    "true": b"true",
    "a form": b"name=x&email=y",
    "XML": b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
    "many unknown fields": json.dumps({f"field{n}": n for n in range(5000)}).encode(),
    "an unknown field with a long name": json.dumps({"x" * 500_000: 1}).encode(),
    "deep inside a known field": b'{"filter": ' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}",
}


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize(("method", "path"), [WRITES[0], WRITES[4], WRITES[5], WRITES[6]])
async def test_a_body_that_cannot_be_is_a_validation_error(api, caplog, method, path, kind):
    answer = await api.send(method, path.replace("{id}", await api.review()), BROKEN[kind])
    found = problems(answer)
    assert len(found) <= 101
    assert len(answer.content) < 60_000
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_half_of_a_surrogate_pair_is_told_as_such(api):
    answer = await api.send("POST", "/api/review", BROKEN["half of a surrogate pair"])
    assert "surrogate" in assert_error(answer, "VALIDATION_ERROR")["errors"][0]["message"]


async def test_a_whole_surrogate_pair_is_a_character(api):
    answer = await api.send("POST", "/api/review", b'{"name": "\\ud83d\\ude00"}')
    assert answer.json()["data"]["name"] == "😀"


async def test_more_problems_than_anybody_reads_are_cut_off_and_that_is_told(api):
    told = await api.send("POST", "/api/review", BROKEN["many unknown fields"])
    found = assert_error(told, "VALIDATION_ERROR")["errors"]
    assert len(found) == 101
    assert found[-1]["code"] == "too_many_problems"


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "multipart/form-data; boundary=x", "\xff"],
)
async def test_a_body_of_another_kind_is_refused_as_such(api, content_type):
    answer = await api.send("POST", "/api/review", b'{"name": "x"}', **{"Content-Type": content_type.encode("latin-1")})
    assert_error(answer, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", " application/json ;x=y"]
)
async def test_json_may_be_declared_in_any_way_that_means_json(api, content_type):
    assert (await api.send("POST", "/api/review", b"{}", **{"Content-Type": content_type})).status_code == 201


def path_of(path: str, review: str) -> tuple[str, int]:
    return path.replace("{id}", review), 4 * MIB if "save-questions" in path else MIB


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_a_body_announced_as_too_large_is_refused_before_it_is_read(api, method, path):
    path, limit = path_of(path, await api.review())
    headers = {**api.headers, "Content-Type": "application/json", "Content-Length": str(limit + 1)}
    call = await api.exchange(method, path, list(headers.items()), [b" "] * 5).run()
    assert (call.status, json.loads(call.content)["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert json.loads(call.content)["metadata"] == {"limitBytes": limit}
    assert call.read_parts == 0


@pytest.mark.parametrize("length", [None, "5", "\xb2", "-1", "x"])
@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_a_body_is_refused_as_soon_as_it_grew_too_large_whatever_was_announced(api, method, path, length):
    path, limit = path_of(path, await api.review())
    headers = {**api.headers, "Content-Type": "application/json", **({"Content-Length": length} if length else {})}
    parts = [b" " * (MIB // 2)] * 20
    call = await api.exchange(method, path, list(headers.items()), parts).run()
    assert (call.status, json.loads(call.content)["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert call.read_parts == limit // (MIB // 2) + 1


async def test_a_body_in_many_small_parts_is_one_body(api):
    headers = [("Content-Type", "application/json"), *api.headers.items()]
    call = await api.exchange("POST", "/api/review", headers, [b"{", b"", b'"name"', b': "in', b' parts"}', b""]).run()
    assert (call.status, json.loads(call.content)["data"]["name"]) == (201, "in parts")


async def test_a_body_that_does_not_come_is_given_its_time_and_no_more(api, monkeypatch):
    monkeypatch.setattr("sengol_api.api.dispatch.BODY_SECONDS", 0.1)
    headers = [("Content-Type", "application/json"), ("Content-Length", "100"), *api.headers.items()]
    call = api.exchange("POST", "/api/review", headers, [b"{"])

    async def first_part_and_no_more():
        if call._body:
            return {"type": "http.request", "body": call._body.pop(), "more_body": True}
        return await asyncio.Event().wait()

    call._receive = first_part_and_no_more
    async with asyncio.timeout(20):
        await call.run()
    body = json.loads(call.content)
    assert (call.status, body["code"]) == (408, "TIMEOUT_ERROR")
    assert body["metadata"] == {"bodySeconds": 0.1, "receivedBytes": 1}
