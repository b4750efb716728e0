"""The journey of the README, against the real process with the real corpus."""

import itertools

import pytest

from support.wire import SYSTEM, events

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def client(first_start):
    with first_start.log_in("journey@example.com") as client:
        yield client


@pytest.fixture(scope="module")
def review(client) -> str:
    return client.post("/api/review", json={"name": "Triage assistant"}).json()["data"]["id"]


@pytest.fixture(scope="module")
def generated(client, review) -> dict:
    answer = client.post(f"/api/review/{review}/generate-questions", json=SYSTEM)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def test_three_domains_give_60_to_75_questions_with_incidents_and_their_sources(generated):
    questions = generated["riskQuestions"]
    assert 60 <= len(questions) <= 75
    assert len({q["id"] for q in questions}) == len(questions)
    for question in questions:
        assert question["text"].endswith("?")
        assert question["mitigations"]
        assert question["weightageExplanation"]
    evidenced = [q for q in questions if q["relatedIncidents"]]
    assert len(evidenced) >= 0.9 * len(questions)
    for incident in (i for q in evidenced for i in q["relatedIncidents"]):
        assert incident["sourceUrl"].startswith(("https://", "http://"))
        assert 0 < incident["similarity"] <= 1


def test_questions_do_not_all_show_the_same_incidents(generated):
    shown = [{i["id"] for i in q["relatedIncidents"]} for q in generated["riskQuestions"]]
    pairs = [(a, b) for a, b in itertools.combinations(shown, 2) if a | b]
    assert sum(len(a & b) / len(a | b) for a, b in pairs) / len(pairs) <= 0.2


def test_the_laws_of_the_place_and_the_data_apply(generated):
    regimes = {regime["id"] for regime in generated["generationMetadata"]["regimes"]}
    assert {"gdpr", "hipaa", "eu-ai-act"} <= regimes


def test_the_same_again_is_a_hit_with_the_same_questions(client, review, generated):
    again = client.post(f"/api/review/{review}/generate-questions", json=SYSTEM).json()["data"]
    assert again["generationMetadata"]["cache"] == "hit"
    assert again["riskQuestions"] == generated["riskQuestions"]


def test_a_stream_tells_the_same_questions(client, review, generated):
    answer = client.post(f"/api/review/{review}/generate-questions", json=SYSTEM, headers={"Accept": "text/event-stream"})
    told = events(answer.content)
    assert [data["id"] for name, data in told if name == "question"] == [q["id"] for q in generated["riskQuestions"]]


def test_questions_are_saved_answered_and_scored(client, review, generated):
    questions = {name: generated[name] for name in ("riskQuestions", "complianceQuestions")}
    saved = client.put(f"/api/review/{review}/save-questions", json=questions)
    assert saved.json()["data"]["riskQuestions"] == len(questions["riskQuestions"])
    answers = {"ai.prompt-injection": "partially_addressed", "cyber.multi-factor-authentication": "addressed"}
    assert client.put(f"/api/review/{review}/answers", json=answers).json()["data"]["answers"] == answers
    score = client.get(f"/api/review/{review}/score").json()["data"]
    terms = score["risk"]["terms"]
    due = sum(t["points"] * t["weight"] for t in terms) / sum(t["weight"] for t in terms)
    assert score["score"] == pytest.approx(due, abs=1e-4)
    detail = client.get(f"/api/review/{review}").json()["data"]
    assert (detail["riskQuestions"], detail["answers"]) == (questions["riskQuestions"], answers)


def test_incidents_are_searched_and_counted(client):
    answer = client.post("/api/incidents/search", json={"query": "Capital One S3 bucket breach through SSRF", "limit": 5})
    assert any("Capital One" in i["title"] for i in answer.json()["data"]["incidents"])
    statistics = client.get("/api/incidents/statistics").json()["data"]
    assert statistics["total"] > 15_000
    assert statistics["costs"]["fine"]["median"] > 0


def test_the_documentation_is_there(client):
    assert "generate-questions" in client.get("/docs").text
    assert client.get("/openapi.json").json()["openapi"] == "3.1.0"


@pytest.mark.parametrize(
    "path", ["/%00", "/%ff%fe", "/api/review/%00", "/api/review/%ed%a0%80", "/..%2f..%2fetc", "/api/review?page=%ff"]
)
def test_strange_addresses_are_errors_in_the_one_shape(client, path):
    answer = client.get(path)
    assert answer.status_code in {400, 404}, answer.text
    assert answer.json()["requestId"] == answer.headers["x-request-id"]
