"""The main job over HTTP: generate questions, as one answer or as a stream, and save them."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence

import msgspec
from starlette.responses import Response, StreamingResponse

from sengol_api.api import examples, present, wire
from sengol_api.api.dispatch import log_failure, out_of_time, wants_stream
from sengol_api.api.errors import describe, refusal
from sengol_api.api.operations import MIB, Answer, Call, Example, Operation
from sengol_api.api.rendering import rendered
from sengol_api.api.routes.reviews import owned
from sengol_api.api.services import Services
from sengol_api.resilience import Rejected, TimedOut, deadline
from sengol_api.review.errors import AppError, Problem, ValidationError
from sengol_api.review.facts import ReviewRequest
from sengol_api.review.generated import Outcome, Progress
from sengol_api.review.question import part_of
from sengol_api.review.reviews import QuestionSet
from sengol_api.review.weights import final_weight

_TOLERANCE = 5e-4
_REVISION = re.compile(r'(?:W/)?"(\d{1,9})"')


def to_request(body: wire.GenerateIn) -> ReviewRequest:
    """What was said, as sets: the order of a list means nothing."""
    return ReviewRequest(
        description=body.system_description,
        domains=frozenset(body.selected_domains),
        jurisdictions=frozenset(body.jurisdictions),
        industry=body.industry,
        tech=frozenset([*body.selected_tech, *body.custom_tech, *body.tech_stack]),
        data_types=frozenset(body.data_types),
        criticality=body.system_criticality,
        max_questions=body.max_questions,
        questions_per_domain=body.questions_per_domain,
        min_weight=body.min_weight,
    )


async def generate(call: Call) -> Answer | Response:
    """Generate questions; as a stream of events when the client asks for one."""
    await owned(call)
    request = to_request(call.body)
    if wants_stream(call.request):
        return StreamingResponse(_events(call, request), headers={"X-Accel-Buffering": "no"}, media_type="text/event-stream")
    outcome = await call.services.generate(request, user_id=call.user.id, skip_cache=call.body.skip_cache)
    return Answer(await rendered(outcome.generated, _how(call, outcome)))


def _at_hand(services: Services, body: wire.GenerateIn) -> bool:
    return not body.skip_cache and services.at_hand(to_request(body))


def _how(call: Call, outcome: Outcome) -> wire.GenerationMetadataOut:
    services = call.services
    return present.metadata(outcome, now=services.now(), deadline_ms=call.deadline_ms, attribution=services.attribution)


def _event(name: str, data: object) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"


async def _events(call: Call, request: ReviewRequest) -> AsyncIterator[bytes]:
    """Progress, each question, the whole result; or one error. A client that goes away cancels the work."""
    steps: asyncio.Queue[Progress | None] = asyncio.Queue()

    async def work() -> Outcome:
        try:
            with deadline(call.deadline_ms / 1000):
                made: Outcome = await call.admit(
                    lambda: call.services.generate(
                        request, user_id=call.user.id, on_progress=steps.put_nowait, skip_cache=call.body.skip_cache
                    )
                )
                return made
        finally:
            steps.put_nowait(None)

    task = asyncio.create_task(work())
    try:
        while (step := await steps.get()) is not None:
            yield _event("progress", {"stage": step.stage, "done": step.done, "total": step.total})
        outcome = await task
        result = await rendered(outcome.generated, _how(call, outcome))
        for part in (result.risk_questions, result.compliance_questions):
            for question in msgspec.json.decode(part, type=list[msgspec.Raw]):
                yield _event("question", question)
        yield _event("result", wire.Success(data=result))
    except Exception as error:  # noqa: BLE001 - the status line is sent: an event is the only way left to tell
        state = call.request.scope["state"]
        told = describe(_told(error, call.deadline_ms), state["request_id"])
        state["error_code"] = told.code
        log_failure(call.failures, call.request, error)
        yield _event("error", told)
    finally:
        task.cancel()


def _told(error: Exception, deadline_ms: int) -> AppError:
    if isinstance(error, AppError):
        return error
    if isinstance(error, Rejected):
        return refusal(error)
    if isinstance(error, TimedOut):
        return out_of_time(deadline_ms)
    return AppError("The service has a fault. Tell its operator the request id.")


async def save(call: Call) -> Answer:
    """Keep questions as the next revision of the review."""
    review = await owned(call)
    body: wire.SaveQuestionsIn = call.body
    problems = [*_misplaced(body), *_wrong_weights(body)]
    expected = _expected_revision(call.request.headers.get("if-match"), problems)
    if problems:
        raise ValidationError(problems)
    questions = QuestionSet(
        revision=0,
        risk={q.id: q.final_weight for q in body.risk_questions},
        compliance={q.id: q.final_weight for q in body.compliance_questions},
        document=msgspec.json.encode(body),
    )
    revision = await call.services.reviews.save_questions(
        call.user.id, review.id, questions, expected_revision=expected, now=call.services.now()
    )
    counts = len(body.risk_questions), len(body.compliance_questions)
    saved = wire.SavedOut(revision=revision, risk_questions=counts[0], compliance_questions=counts[1])
    return Answer(saved, headers={"ETag": f'"{revision}"'})


def _lists(body: wire.SaveQuestionsIn) -> Sequence[tuple[str, list[wire.QuestionOut]]]:
    return (("riskQuestions", body.risk_questions), ("complianceQuestions", body.compliance_questions))


def _misplaced(body: wire.SaveQuestionsIn) -> list[Problem]:
    """Ids that stand twice, in the wrong list, or under another domain."""
    problems = []
    seen: set[str] = set()
    for name, questions in _lists(body):
        for position, question in enumerate(questions):
            where = f"{name}[{position}]"
            if question.id in seen:
                problems.append(Problem(f"{where}.id", f"stands twice: {question.id}", "duplicate"))
            seen.add(question.id)
            if not question.id.startswith(f"{question.domain}."):
                problems.append(Problem(f"{where}.domain", f"is not the domain of {question.id}", "mismatch"))
            elif (part_of(question.domain) == "compliance") != (name == "complianceQuestions"):
                problems.append(Problem(f"{where}.id", f"does not belong in {name}", "mismatch"))
    return problems


def _wrong_weights(body: wire.SaveQuestionsIn) -> list[Problem]:
    """Final weights that do not follow from their parts: a score must not be moved by editing a number."""
    problems = []
    for name, questions in _lists(body):
        for position, question in enumerate(questions):
            due = final_weight(part_of(question.domain), question.base_weight, question.evidence_weight, question.industry_weight)
            if abs(due - question.final_weight) > _TOLERANCE:
                message = f"is {question.final_weight}, but its parts give {due}"
                problems.append(Problem(f"{name}[{position}].finalWeight", message, "mismatch"))
    return problems


def _expected_revision(header: str | None, problems: list[Problem]) -> int | None:
    if header is None or header.strip() == "*":
        return None
    match = _REVISION.fullmatch(header.strip())
    if match is None:
        message = f'takes the ETag of the review, for example "3", got {header[:20]!r}'
        problems.append(Problem("If-Match", message, "pattern"))
        return None
    return int(match[1])


OPERATIONS = (
    Operation(
        method="POST",
        path="/api/review/{id}/generate-questions",
        name="generateQuestions",
        summary="Generate the questions",
        description=(
            "The main job: 60-75 questions about a system, each with its own past incidents, weight, mitigations and clauses. "
            "With `Accept: text/event-stream` the same work as events: `progress`, `question`, then `result` or `error`. "
            "Nothing is kept until it is saved with save-questions."
        ),
        tag="Questions",
        handler=generate,
        body=wire.GenerateIn,
        answer=wire.Success[wire.GeneratedOut],
        streams=True,
        work="heavy",
        at_hand=_at_hand,
        example=Example(wire.Success(data=examples.GENERATED), examples.GENERATE),
    ),
    Operation(
        method="PUT",
        path="/api/review/{id}/save-questions",
        name="saveQuestions",
        summary="Save questions",
        description=(
            "Takes what generate-questions gave. Every save is a new revision and the earlier ones are kept. With If-Match the "
            "save fails with CONFLICT when somebody else saved in between. Acknowledged means durable."
        ),
        tag="Questions",
        handler=save,
        body=wire.SaveQuestionsIn,
        body_limit=4 * MIB,
        answer=wire.Success[wire.SavedOut],
        errors=("CONFLICT",),
        headers={"If-Match": "revision that the save is based on, as an ETag"},
        example=Example(wire.Success(data=examples.SAVED), examples.SAVE),
    ),
)
