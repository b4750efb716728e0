"""Requests and answers as the documentation shows them. A test checks each against its declared shape."""

from typing import Any, Final

from sengol_api.api import wire
from sengol_api.review import score as scoring
from sengol_api.review.weights import FORMULAS

REVIEW_ID: Final = "7f1c1c1e-2b1a-4d0e-9a53-0f0a3a6f5c11"
MOMENT: Final = "2026-11-24T09:30:00.000Z"
ATTRIBUTION: Final = "AI incidents: genai-incidents, CC BY 4.0, ..."

REGISTER: Final = wire.RegisterIn(email="reviewer@example.com", password="a long passphrase", name="R. Viewer")  # noqa: S106 - an example
LOGIN: Final = wire.LoginIn(email="reviewer@example.com", password="a long passphrase")  # noqa: S106 - an example
USER: Final = wire.UserOut(
    id="0f7d4c1e-9a53-4d0e-8c11-7f1c1c1e2b1a",
    email="reviewer@example.com",
    name="R. Viewer",
    company=None,
    role="user",
    created_at=MOMENT,
)
SESSION: Final = wire.SessionOut(user=USER, token="eyJhbGciOiJIUzI1NiIs...", expires_at="2026-12-01T09:30:00.000Z")  # noqa: S106 - an example
REVIEW: Final = wire.ReviewOut(id=REVIEW_ID, name="Triage assistant", revision=0, created_at=MOMENT, updated_at=MOMENT)

GENERATE: Final = wire.GenerateIn(
    system_description=(
        "A chatbot that answers patients' questions from our knowledge base and their medical records, and books "
        "appointments. Retrieval-augmented GPT-4o behind a web portal on AWS, 40 000 patients in Germany and the US."
    ),
    selected_domains=["ai", "cyber", "cloud"],
    jurisdictions=["Germany", "US"],
    industry="healthcare",
    selected_tech=["llm", "rag", "aws"],
    data_types=["phi", "pii"],
    system_criticality="high",
)
QUESTION: Final = wire.QuestionOut(
    id="ai.prompt-injection",
    domain="ai",
    text="Is text from users, documents, tools and the web kept apart from instructions, so that it cannot make the model act?",
    label="Prompt injection",
    description="A model cannot tell data from orders: whoever writes what it reads can steer it.",
    good="Untrusted text never reaches a model that can act without a check between the two.",
    priority="high",
    category="Input and output",
    importance=(
        "Asked of this system because it uses a large language model; 2 of the 24 incidents behind it happened in the "
        "healthcare sector."
    ),
    examples=["A web page with hidden text made an assistant send its user's mail to a stranger."],
    mitigations=["Give the model no tool that it may use on untrusted text without confirmation."],
    regulations=[
        wire.RegulationOut(
            id="owasp-llm",
            name="OWASP Top 10 for LLM applications",
            clause="LLM01",
            title="Prompt injection",
            status="voluntary",
            url="https://genai.owasp.org/llm-top-10/",
        ),
    ],
    base_weight=0.9,
    evidence_weight=0.76,
    industry_weight=0.5,
    final_weight=0.778,
    weightage_explanation=(
        "0.5×0.90 base + 0.3×0.76 evidence (24 matching incidents, similarity 0.55, severity 0.65) + 0.2×0.50 industry = 0.78"
    ),
    evidence_query="Prompt injection. hidden instructions in a document ...",
    evidence=wire.EvidenceOut(incidents=24, similarity=0.55, severity=0.65),
    related_incidents=[
        wire.RelatedIncidentOut(
            id="INC-00001",
            title="Assistant leaks mail after reading a crafted message",
            organization="Example Corp",
            date="2025-06",
            severity="high",
            similarity=0.61,
            source_url="https://example.com/report",
            why_matched="labelled prompt injection (LLM01); same kind of attack: prompt injection",
        ),
    ],
    generated_from="evidence",
    confidence=0.825,
    catalogue_text="Is text from outside kept apart from instructions, so that it cannot make the model act?",
)
_NO_SPREAD: Final = wire.SpreadOut(
    n=2, median=None, lower_quartile=None, upper_quartile=None, note="insufficient data: 2 of at least 5 values"
)
_SUMMARY_FIELDS: Final[dict[str, Any]] = {
    "total": 412,
    "by_severity": {"medium": 201, "high": 150, "critical": 61},
    "by_industry": {"unknown": 260, "healthcare": 80, "technology": 72},
    "by_type": {"ai-incident": 300, "data-breach": 112},
    "by_attack": {"prompt-injection": 40, "unknown": 372},
    "by_year": {"2024": 180, "2025": 232},
    "by_country": {"unknown": 350, "US": 62},
    "by_source": {"AI Incident Database": 250, "OECD AI Incidents Monitor": 162},
    "earliest": "2024-01-03",
    "latest": "2025-12-20",
    "costs": {
        "loss": wire.SpreadOut(n=9, median=76_000_000.0, lower_quartile=10_000_000.0, upper_quartile=300_000_000.0),
        "fine": wire.SpreadOut(n=11, median=4_750_000.0, lower_quartile=1_250_000.0, upper_quartile=16_000_000.0),
        "ransom": _NO_SPREAD,
    },
    "records_affected": wire.SpreadOut(n=31, median=3_900_000.0, lower_quartile=900_000.0, upper_quartile=11_000_000.0),
    "downtime_hours": _NO_SPREAD,
}
GENERATED: Final = wire.GeneratedOut(
    risk_questions=[QUESTION],
    compliance_questions=[],
    scoring_formula={**FORMULAS, "score": scoring.FORMULA},
    incident_summary=wire.SummaryOut(**_SUMMARY_FIELDS),
    generation_metadata=wire.GenerationMetadataOut(
        timestamp=MOMENT,
        generation_time_ms=74.2,
        llm_model=None,
        incident_search_count=412,
        avg_similarity_score=0.52,
        cache="miss",
        degraded=[],
        served={"embeddings": ["fresh"]},
        deadline_ms=120_000,
        upstream_calls=0,
        as_of="2026-11-24",
        corpus_version="5f0c6a7be1d2a3b4",
        catalogue_version="0a1b2c3d4e5f6071",
        attribution=ATTRIBUTION,
        regimes=[
            wire.RegimeOut(
                id="gdpr",
                name="GDPR",
                full_name="General Data Protection Regulation, Regulation (EU) 2016/679",
                status="binding",
                effective_from="2018-05-25",
                as_of="2026-11-24",
                url="https://eur-lex.europa.eu/eli/reg/2016/679/oj",
                note="",
            ),
        ],
        recognised_tech=["aws", "chatbot", "llm", "rag", "web-app"],
        mentioned_data_types=[],
        unrecognised=[wire.UnrecognisedOut(field="jurisdictions", value="Atlantis")],
        hints=[],
    ),
)
SAVE: Final = wire.SaveQuestionsIn(risk_questions=[QUESTION], compliance_questions=[])
SAVED: Final = wire.SavedOut(revision=1, risk_questions=1, compliance_questions=0)
ANSWERS: Final = {"ai.prompt-injection": "partially_addressed"}
DETAIL: Final = wire.ReviewDetailOut(
    id=REVIEW_ID,
    name="Triage assistant",
    revision=1,
    created_at=MOMENT,
    updated_at=MOMENT,
    risk_questions=[QUESTION],
    compliance_questions=[],
    answers={"ai.prompt-injection": "partially_addressed"},
)
SCORE: Final = wire.ScoreOut(
    score=50.0,
    formula=scoring.FORMULA,
    revision=1,
    risk=wire.PartOut(
        score=50.0,
        total_weight=0.778,
        not_applicable=0,
        unanswered=0,
        terms=[wire.TermOut(question_id="ai.prompt-injection", answer="partially_addressed", points=50.0, weight=0.778)],
    ),
    compliance=wire.PartOut(score=None, total_weight=0.0, not_applicable=0, unanswered=0, terms=[]),
)

SEARCH: Final = wire.SearchIn(
    query="chatbot gave dangerous medical advice",
    filter=wire.FilterIn(industries=["healthcare"], year_from=2023),
    limit=5,
)
FOUND: Final = wire.FoundOut(
    id="cyber-2017-equifax",
    title="Equifax: unpatched web server exposes 147 million people",
    text="Attackers came in through a known flaw in a web framework that had not been patched ...",
    kind="incident",
    incident_type="data-breach",
    attack_type="vulnerability-exploit",
    organization="Equifax",
    industry="finance",
    country="US",
    severity="critical",
    severity_basis="records>=10M",
    date="2017-09-07",
    cost=700_000_000.0,
    cost_kind="loss",
    records_affected=147_000_000,
    downtime_hours=None,
    had_mfa=None,
    had_backups=None,
    had_ir_plan=None,
    tags=["late-detection", "unpatched"],
    labels=["T1190"],
    source="FTC",
    source_url="https://example.com/report",
    licence="facts",
    derived=[],
    similarity=0.58,
)
FOUND_ALL: Final = wire.SearchOut(
    query=SEARCH.query, incidents=[FOUND], degraded=[], corpus_version="5f0c6a7be1d2a3b4", attribution=ATTRIBUTION
)
BATCH: Final = wire.BatchSearchIn(queries=["credential stuffing", "expired certificate outage"], limit=3)
STATISTICS: Final = wire.StatisticsOut(**_SUMMARY_FIELDS, corpus_version="5f0c6a7be1d2a3b4", attribution=ATTRIBUTION)

_ERRORS: Final[list[tuple[str, int, str, dict[str, Any]]]] = [
    (
        "VALIDATION_ERROR",
        400,
        "The request has 1 problem: see metadata.errors.",
        {
            "errors": [
                {
                    "path": "systemDescription",
                    "message": "takes at least 10 characters, got 4",
                    "code": "too_short",
                },
            ],
        },
    ),
    ("AUTHENTICATION_ERROR", 401, "The token has expired. Log in again.", {}),
    ("AUTHORIZATION_ERROR", 403, "This needs an administrator.", {}),
    ("NOT_FOUND", 404, "There is no such review.", {"reviewId": REVIEW_ID}),
    (
        "METHOD_NOT_ALLOWED",
        405,
        "PATCH is not a method of this route; it has GET, HEAD.",
        {"allowed": ["GET", "HEAD"]},
    ),
    ("TIMEOUT_ERROR", 408, "The request took longer than the 50 ms that it had.", {"deadlineMs": 50}),
    (
        "CONFLICT",
        412,
        "The review is at revision 3, not 2: somebody saved since you read it.",
        {"currentRevision": 3, "expectedRevision": 2},
    ),
    ("PAYLOAD_TOO_LARGE", 413, "The body is larger than the 1 MiB that this route takes.", {"limitBytes": 1048576}),
    ("UNSUPPORTED_MEDIA_TYPE", 415, "The body must be JSON and say so.", {"contentType": "text/plain"}),
    ("HEADERS_TOO_LARGE", 431, "The headers take 65600 bytes together.", {"limitBytes": 32768}),
    ("RATE_LIMIT_ERROR", 429, "More than 100 requests in a minute.", {"retryAfter": 12}),
    ("INTERNAL_ERROR", 500, "The service has a fault. Tell its operator the request id.", {}),
    (
        "DATABASE_ERROR",
        500,
        "The database could not be written to; nothing was changed.",
        {"cause": "OperationalError"},
    ),
    ("VECTORDB_ERROR", 503, "The vector index failed.", {}),
    ("LLM_ERROR", 503, "The language model failed.", {}),
    ("CIRCUIT_BREAKER_OPEN", 503, "d-vecDB fails and is not called for now.", {"retryAfter": 30}),
    ("OVERLOADED", 503, "The service has more to do than it can.", {"retryAfter": 2}),
    ("SHUTTING_DOWN", 503, "This replica is stopping. Ask again: another one serves.", {"retryAfter": 1}),
]
ERRORS: Final[dict[str, wire.ErrorOut]] = {
    code: wire.ErrorOut(error=text, code=code, status_code=status, metadata=metadata, request_id="9b2f0c4e")
    for code, status, text, metadata in _ERRORS
}
