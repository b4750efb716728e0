"""What a client may rely on in every answer."""

import json

from sengol_api.api.errors import STATUS

UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
DESCRIPTION = "A chatbot answers questions of patients from documents; its prompt holds their records."

SYSTEM = {
    "systemDescription": (
        "A chatbot answers patients from their medical records and books appointments: GPT-4o with retrieval, on AWS"
    ),
    "selectedDomains": ["ai", "cyber", "cloud"],
    "jurisdictions": ["Germany", "US"],
    "industry": "healthcare",
    "dataTypes": ["phi"],
    "systemCriticality": "high",
}


def assert_error(response, code: str) -> dict:
    """The one shape of errors, with the status of the code; gives its metadata."""
    body = json.loads(response.content)
    assert (body["code"], response.status_code) == (code, STATUS[code][0]), body
    assert set(body) == {"error", "code", "statusCode", "metadata", "requestId"}
    assert body["statusCode"] == response.status_code
    assert body["requestId"] == response.headers["x-request-id"]
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert body["error"]
    assert "Traceback" not in response.text
    return body["metadata"]


def problems(response) -> dict[str, str]:
    """The problems of a request that is wrong: code by path, each told with a message."""
    found = assert_error(response, "VALIDATION_ERROR")["errors"]
    assert found
    assert all(set(problem) == {"path", "message", "code"} and problem["message"] for problem in found)
    assert len({(problem["path"], problem["code"]) for problem in found}) == len(found)
    return {problem["path"]: problem["code"] for problem in found}


def events(content: bytes) -> list[tuple[str, dict]]:
    """The events of a stream, in order."""
    found = []
    for block in content.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        assert name.startswith("event: ")
        assert data.startswith("data: ")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found
