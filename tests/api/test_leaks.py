"""What users write never stands in a log, nor in an answer to somebody else, whatever goes wrong."""

import logging

import pytest

from sengol_api.observability.logging import JsonFormatter
from support.wire import DESCRIPTION

SECRETS = {"description": "canary-description-7f3a", "password": "canary-password-9b1c", "name": "canary-name-4d2e"}
LEVELS = [logging.DEBUG, logging.INFO]


def written(caplog) -> str:
    """All records as the log file would have them, their traces and facts included; not those of the tests' own client."""
    return "\n".join(JsonFormatter().format(record) for record in caplog.records if not record.name.startswith("http"))


class Failing:
    """The main job fails with the description in its error's trace."""

    async def __call__(self, request, **_):
        raise RuntimeError("the work failed")


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("failing", [False, True])
async def test_no_description_password_or_token_is_logged(make_api, caplog, level, failing):
    caplog.set_level(level, "sengol_api")
    api = await make_api(**({"generate": Failing()} if failing else {}))
    account = {"email": "canary-address@example.com", "password": SECRETS["password"], "name": SECRETS["name"]}
    register = await api.client.post("/api/auth/register", json=account)
    token = register.json()["data"]["token"]
    await api.client.post("/api/auth/register", json=account)
    await api.client.post("/api/auth/login", json={**account, "name": "unknown"})
    await api.client.post("/api/auth/login", json={"email": account["email"], "password": SECRETS["password"] + "x"})
    await api.client.get("/api/review", headers={"Authorization": f"Bearer {token}x"})
    api.headers = {"Authorization": f"Bearer {token}"}
    review = await api.review(name=SECRETS["name"])
    path = f"/api/review/{review}/generate-questions"
    for body in (
        {"systemDescription": f"{DESCRIPTION} {SECRETS['description']}"},
        {"systemDescription": f"{SECRETS['description']}\x00 is wrong here"},
        {"systemDescription": DESCRIPTION, SECRETS["description"]: 1},
        f'{{"systemDescription": "{SECRETS["description"]}'.encode(),
    ):
        for accept in ("application/json", "text/event-stream"):
            await api.send("POST", path, body, Accept=accept)
    await api.send("POST", "/api/incidents/search", {"query": SECRETS["description"]})
    await api.get(f"/api/review/{SECRETS['name']}?page={SECRETS['name']}")
    text = written(caplog)
    assert text
    for secret in (*SECRETS.values(), account["email"], token, token.rpartition(".")[2]):
        assert secret not in text


async def test_a_request_is_one_line_with_its_template_status_and_id(api, caplog):
    caplog.set_level(logging.INFO)
    review = await api.review()
    caplog.clear()
    await api.get(f"/api/review/{review}/score", **{"X-Request-Id": "find-me"})
    (record,) = [r for r in caplog.records if r.name == "sengol_api.request"]
    assert (record.method, record.route, record.status) == ("GET", "/api/review/{id}/score", 200)
    assert review not in written(caplog)


async def test_the_problems_of_a_request_do_not_repeat_a_password(stranger):
    answer = await stranger.client.post("/api/auth/register", json={"email": "x", "password": SECRETS["password"] * 10})
    assert SECRETS["password"] not in answer.text
