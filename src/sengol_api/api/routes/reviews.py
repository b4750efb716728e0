"""Reviews: make, read, list, remove, answer, score."""

import uuid

import msgspec

from sengol_api.api import examples, present, wire
from sengol_api.api.operations import Answer, Call, Example, Operation
from sengol_api.review import score as scoring
from sengol_api.review.errors import NotFoundError, Problem, ValidationError
from sengol_api.review.reviews import Review


class _Document(msgspec.Struct, rename="camel"):
    """A saved set of questions, passed on as it was saved."""

    risk_questions: msgspec.Raw
    compliance_questions: msgspec.Raw


_EMPTY = _Document(msgspec.Raw(b"[]"), msgspec.Raw(b"[]"))


async def owned(call: Call) -> Review:
    """The review of the path, if it is the caller's; another's does not exist for them."""
    review_id = call.path["id"]
    review = await call.services.reviews.get(call.user.id, review_id)
    if review is None:
        raise NotFoundError("There is no such review.", {"reviewId": review_id[:64]})
    return review


async def create(call: Call) -> Answer:
    """Make a review."""
    now = call.services.now()
    review = Review(id=str(uuid.uuid4()), owner_id=call.user.id, name=call.body.name, revision=0, created_at=now, updated_at=now)
    await call.services.reviews.add(review)
    return Answer(present.review(review), headers={"Location": f"/api/review/{review.id}"})


async def list_all(call: Call) -> Answer:
    """A page of the caller's reviews."""
    page: wire.PageIn = call.query
    reviews, total = await call.services.reviews.list(call.user.id, offset=(page.page - 1) * page.limit, limit=page.limit)
    found = [present.review(review) for review in reviews]
    return Answer(wire.ReviewPageOut(reviews=found, page=page.page, limit=page.limit, total=total))


async def read(call: Call) -> Answer:
    """A review with its questions and answers."""
    review = await owned(call)
    questions = await call.services.reviews.questions(call.user.id, review.id)
    answers = await call.services.reviews.answers(call.user.id, review.id)
    document = msgspec.json.decode(questions.document, type=_Document) if questions else _EMPTY
    detail = wire.ReviewDetailOut(
        **present.review_fields(review),
        risk_questions=document.risk_questions,
        compliance_questions=document.compliance_questions,
        answers=answers,
    )
    return Answer(detail, headers={"ETag": f'"{review.revision}"'})


async def remove(call: Call) -> Answer:
    """Remove a review and all that belongs to it."""
    review = await owned(call)
    await call.services.reviews.delete(call.user.id, review.id)
    return Answer({"id": review.id})


async def answer(call: Call) -> Answer:
    """Keep answers. Those of other questions stay: two people can answer one review at once."""
    review = await owned(call)
    questions = await call.services.reviews.questions(call.user.id, review.id)
    unknown = [key for key in call.body if questions is None or key not in questions]
    if unknown:
        hint = "is not among the saved questions of this review; save them first with save-questions"
        raise ValidationError([Problem(key, hint, "unknown_question") for key in unknown])
    await call.services.reviews.put_answers(call.user.id, review.id, call.body, now=call.services.now())
    return Answer(wire.AnswersOut(answers=await call.services.reviews.answers(call.user.id, review.id)))


async def score(call: Call) -> Answer:
    """The score of the saved questions with the answers so far."""
    review = await owned(call)
    questions = await call.services.reviews.questions(call.user.id, review.id)
    answers = await call.services.reviews.answers(call.user.id, review.id)
    risk, compliance = (questions.risk, questions.compliance) if questions else ({}, {})
    revision = questions.revision if questions else 0
    return Answer(present.score(scoring.score(risk, compliance, answers), revision=revision))


OPERATIONS = (
    Operation(
        method="POST",
        path="/api/review",
        name="createReview",
        summary="Make a review",
        description="A review holds the questions about one system, and their answers.",
        tag="Reviews",
        handler=create,
        body=wire.ReviewIn,
        answer=wire.Success[wire.ReviewOut],
        status=201,
        example=Example(wire.Success(data=examples.REVIEW), wire.ReviewIn(name="Triage assistant")),
    ),
    Operation(
        method="GET",
        path="/api/review",
        name="listReviews",
        summary="List your reviews",
        description="Newest first, a page at a time.",
        tag="Reviews",
        handler=list_all,
        query=wire.PageIn,
        answer=wire.Success[wire.ReviewPageOut],
        example=Example(wire.Success(data=wire.ReviewPageOut(reviews=[examples.REVIEW], page=1, limit=20, total=1))),
    ),
    Operation(
        method="GET",
        path="/api/review/{id}",
        name="getReview",
        summary="Read a review",
        description="With its saved questions and its answers. The ETag is the revision, for If-Match on save-questions.",
        tag="Reviews",
        handler=read,
        answer=wire.Success[wire.ReviewDetailOut],
        example=Example(wire.Success(data=examples.DETAIL)),
    ),
    Operation(
        method="DELETE",
        path="/api/review/{id}",
        name="deleteReview",
        summary="Remove a review",
        description="With its questions and answers, for good.",
        tag="Reviews",
        handler=remove,
        answer=wire.Success[dict[str, str]],
        example=Example(wire.Success(data={"id": examples.REVIEW_ID})),
    ),
    Operation(
        method="PUT",
        path="/api/review/{id}/answers",
        name="putAnswers",
        summary="Answer questions",
        description=(
            "By question id: `addressed`, `partially_addressed`, `not_addressed` or `not_applicable`. Answers to questions that "
            "are not named stay as they are; doing it twice changes nothing. Acknowledged means durable."
        ),
        tag="Reviews",
        handler=answer,
        body=wire.AnswersIn,
        answer=wire.Success[wire.AnswersOut],
        example=Example(wire.Success(data=wire.AnswersOut(answers={"ai.prompt-injection": "addressed"})), examples.ANSWERS),
    ),
    Operation(
        method="GET",
        path="/api/review/{id}/score",
        name="getScore",
        summary="Score a review",
        description="0-100 from the saved questions and the answers, with the formula and every term of it.",
        tag="Reviews",
        handler=score,
        answer=wire.Success[wire.ScoreOut],
        example=Example(wire.Success(data=examples.SCORE)),
    ),
)
