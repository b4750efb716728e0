"""The shapes on the wire. Requests are strict: unknown fields are errors. Names are camelCase there, snake_case here."""

from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from sengol_api.review.area import DOMAINS, Domain
from sengol_api.review.incident import CostKind, Kind, Severity
from sengol_api.review.reviews import Answer
from sengol_api.validation import CONTROL_FREE, END, ONE_LINE, matching

T = TypeVar("T")

Weight = Annotated[float, Meta(ge=0, le=1)]
Line = Annotated[str, Meta(min_length=1, max_length=200), ONE_LINE]
Choices = Annotated[list[Line], Meta(max_length=50)]
QuestionId = Annotated[
    str, matching(r"^(ai|cyber|cloud|compliance)\.[a-z0-9][a-z0-9-]{0,99}" + END, "takes a question's id, like ai.prompt-injection")
]
Text = Annotated[str, Meta(max_length=5000), CONTROL_FREE]
Texts = Annotated[list[Text], Meta(max_length=50)]


class In(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Base of what clients send."""


class Out(msgspec.Struct, rename="camel", kw_only=True):
    """Base of what clients get."""


class Success(Out, Generic[T]):
    """Every successful answer but those of the health routes."""

    data: T
    success: bool = True


# --- accounts


class RegisterIn(In):
    """A new account."""

    email: Annotated[
        str,
        Meta(max_length=254),
        matching(
            r"^[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]+\.[^@\s\x00-\x1f\x7f]+" + END, "takes an address like name@example.com"
        ),
    ]
    password: Annotated[str, Meta(min_length=8, max_length=100)]
    name: Line | None = None
    company: Line | None = None


class LoginIn(In):
    """Proof of an account."""

    email: Annotated[str, Meta(min_length=1, max_length=254)]
    password: Annotated[str, Meta(min_length=1, max_length=100)]


class UserOut(Out):
    """An account."""

    id: str
    email: str
    name: str | None
    company: str | None
    role: str
    created_at: str


class SessionOut(Out):
    """An account with a token for the Authorization header."""

    user: UserOut
    token: str
    expires_at: str


# --- the main job


class GenerateIn(In):
    """The system under review. Only the description is required; the more is said, the better the questions fit."""

    system_description: Annotated[
        str,
        Meta(min_length=10, max_length=10_000, description="What the system does, for whom, with what data"),
        CONTROL_FREE,
    ]
    selected_domains: Annotated[
        list[Domain], Meta(min_length=1, max_length=4, description="Areas to ask about; all four by default")
    ] = msgspec.field(default_factory=lambda: list(DOMAINS))
    jurisdictions: Annotated[Choices, Meta(description="Where it operates: EU, Germany, US, California, ...")] = []
    industry: Annotated[Line | None, Meta(description="healthcare, finance, retail, ...")] = None
    company_size: Annotated[Line | None, Meta(description="For your records: it changes no question")] = None
    budget_range: Annotated[Line | None, Meta(description="For your records: it changes no question")] = None
    selected_tech: Annotated[Choices, Meta(description="Technology from a list: llm, kubernetes, s3, ...")] = []
    custom_tech: Annotated[Choices, Meta(description="Technology in your own words; names of products find their advisories")] = []
    tech_stack: Annotated[Choices, Meta(description="More of the same; the three lists are read as one")] = []
    data_types: Annotated[Choices, Meta(description="Data it handles: pii, phi, payment-card, biometric, ...")] = []
    system_criticality: Annotated[
        Literal["low", "medium", "high", "critical"], Meta(description="Moves every base weight; medium by default")
    ] = "medium"
    max_questions: Annotated[int, Meta(ge=1, le=120, description="Shared evenly by the domains; 75 by default")] = 75
    questions_per_domain: Annotated[int, Meta(ge=1, le=40, description="25 by default")] = 25
    min_weight: Annotated[float, Meta(ge=0, le=1, description="Leave out questions of less final weight; 0 by default")] = 0.0

    def __post_init__(self) -> None:
        if len(self.system_description.strip()) < 10:
            raise ValueError("systemDescription takes at least 10 characters besides white space")


class RegulationOut(In):
    """A clause that asks for the control."""

    id: Line
    name: Line
    clause: Line
    title: Text
    status: Literal["binding", "upcoming", "voluntary"]
    url: Text


class RelatedIncidentOut(In):
    """An incident that a question stands on."""

    id: Line
    title: Text
    organization: Text | None
    date: Line | None
    severity: Severity
    similarity: Weight
    source_url: Text
    why_matched: Text


class EvidenceOut(In):
    """All that matched, of which ``relatedIncidents`` shows the best: the numbers in the evidence formula."""

    incidents: Annotated[int, Meta(ge=0)]
    similarity: Weight
    severity: Weight


class QuestionOut(In):
    """A question with its evidence. The same shape goes out and comes back to be saved."""

    id: QuestionId
    domain: Domain
    text: Text
    label: Line
    description: Text
    good: Text
    priority: Literal["critical", "high", "medium", "low"]
    category: Line
    importance: Text
    examples: Texts
    mitigations: Texts
    regulations: Annotated[list[RegulationOut], Meta(max_length=50)]
    base_weight: Weight
    evidence_weight: Weight
    industry_weight: Weight
    final_weight: Weight
    weightage_explanation: Text
    evidence_query: Text
    evidence: EvidenceOut
    related_incidents: Annotated[list[RelatedIncidentOut], Meta(max_length=50)]
    generated_from: Literal["llm", "evidence", "hybrid"]
    confidence: Weight


class SpreadOut(Out):
    """Median and quartiles of n values; null with a note when n is too small to speak of."""

    n: int
    median: float | None
    lower_quartile: float | None
    upper_quartile: float | None
    note: str | None = None


class SummaryOut(Out):
    """What the incidents have in common."""

    total: int
    by_severity: dict[str, int]
    by_industry: dict[str, int]
    by_type: dict[str, int]
    by_attack: dict[str, int]
    by_year: dict[str, int]
    by_country: dict[str, int]
    by_source: dict[str, int]
    earliest: str | None
    latest: str | None
    costs: dict[CostKind, SpreadOut]
    records_affected: SpreadOut
    downtime_hours: SpreadOut


class RegimeOut(Out):
    """A regime that concerns the system."""

    id: str
    name: str
    full_name: str
    status: Literal["binding", "upcoming", "voluntary"]
    effective_from: str | None
    as_of: str
    url: str
    note: str


class DegradedOut(Out):
    """A part of the answer that was not made as it should be."""

    dependency: str
    served: str
    reason: str


class UnrecognisedOut(Out):
    """A value that changed nothing because it means nothing to the service."""

    field: str
    value: str


class GenerationMetadataOut(Out):
    """How the answer was made."""

    timestamp: str
    generation_time_ms: float
    llm_model: str | None
    incident_search_count: int
    avg_similarity_score: float
    cache: Literal["hit", "stale", "miss"]
    degraded: list[DegradedOut]
    deadline_ms: int
    upstream_calls: int
    as_of: str
    corpus_version: str
    catalogue_version: str
    attribution: str
    regimes: list[RegimeOut]
    recognised_tech: list[str]
    mentioned_data_types: list[str]
    unrecognised: list[UnrecognisedOut]


class GeneratedOut(Out):
    """The answer of the main job."""

    risk_questions: list[QuestionOut]
    compliance_questions: list[QuestionOut]
    scoring_formula: dict[str, str]
    incident_summary: SummaryOut
    generation_metadata: GenerationMetadataOut


# --- reviews


class ReviewIn(In):
    """A new review."""

    name: Line = "Untitled review"


class ReviewOut(Out):
    """A review; ``revision`` counts its saved sets of questions."""

    id: str
    name: str
    revision: int
    created_at: str
    updated_at: str


class PageIn(In):
    """Which page of a list."""

    page: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class ReviewPageOut(Out):
    """A page of reviews, newest first."""

    reviews: list[ReviewOut]
    page: int
    limit: int
    total: int


class SaveQuestionsIn(In):
    """The questions to keep, as generate-questions gave them or fewer."""

    risk_questions: Annotated[list[QuestionOut], Meta(max_length=200)]
    compliance_questions: Annotated[list[QuestionOut], Meta(max_length=200)]


class SavedOut(Out):
    """What was kept."""

    revision: int
    risk_questions: int
    compliance_questions: int


class ReviewDetailOut(ReviewOut):
    """A review with its questions as saved and its answers."""

    risk_questions: msgspec.Raw | list[QuestionOut]
    compliance_questions: msgspec.Raw | list[QuestionOut]
    answers: dict[str, Answer]


AnswersIn = Annotated[dict[QuestionId, Answer], Meta(min_length=1, max_length=400)]


class AnswersOut(Out):
    """All answers of the review after the write."""

    answers: dict[str, Answer]


class TermOut(Out):
    """What one question adds to its part: points × weight."""

    question_id: str
    answer: Answer | None
    points: float
    weight: float


class PartOut(Out):
    """Risk or compliance; the score is null when nothing is applicable."""

    score: float | None
    total_weight: float
    not_applicable: int
    unanswered: int
    terms: list[TermOut]


class ScoreOut(Out):
    """0-100 with its formula and every term; null when no question is applicable."""

    score: float | None
    formula: str
    revision: int
    risk: PartOut
    compliance: PartOut


# --- incidents


class FilterIn(In):
    """Conditions: the values of one are joined by or, the conditions by and."""

    industries: Choices = []
    severities: Annotated[list[Severity], Meta(max_length=5)] = []
    incident_types: Choices = []
    attack_types: Choices = []
    countries: Choices = []
    sources: Choices = []
    kinds: Annotated[list[Kind], Meta(max_length=2)] = []
    year_from: Annotated[int, Meta(ge=1900, le=2200)] | None = None
    year_to: Annotated[int, Meta(ge=1900, le=2200)] | None = None

    def __post_init__(self) -> None:
        if self.year_from is not None and self.year_to is not None and self.year_from > self.year_to:
            raise ValueError(f"yearFrom ({self.year_from}) is after yearTo ({self.year_to})")


Query = Annotated[str, Meta(min_length=2, max_length=2000), CONTROL_FREE]


class SearchIn(In):
    """A search for incidents."""

    query: Query
    filter: FilterIn = msgspec.field(default_factory=FilterIn)
    limit: Annotated[int, Meta(ge=1, le=100)] = 10


class BatchSearchIn(In):
    """Several searches under one filter."""

    queries: Annotated[list[Query], Meta(min_length=1, max_length=50)]
    filter: FilterIn = msgspec.field(default_factory=FilterIn)
    limit: Annotated[int, Meta(ge=1, le=100)] = 10


class IncidentOut(Out):
    """An incident; what the source does not say is null. ``cost`` is in US dollars."""

    id: str
    title: str
    text: str
    kind: Kind
    incident_type: str | None
    attack_type: str | None
    organization: str | None
    industry: str | None
    country: str | None
    severity: Severity
    severity_basis: str
    date: str | None
    cost: float | None
    cost_kind: CostKind | None
    records_affected: int | None
    downtime_hours: float | None
    had_mfa: bool | None
    had_backups: bool | None
    had_ir_plan: bool | None
    tags: list[str]
    labels: list[str]
    source: str
    source_url: str
    licence: str
    derived: list[str]


class FoundOut(IncidentOut):
    """An incident with its similarity to the query, 0-1."""

    similarity: float


class SearchOut(Out):
    """Found incidents, best first."""

    query: str
    incidents: list[FoundOut]
    corpus_version: str
    attribution: str


class BatchSearchOut(Out):
    """One result per query, in the order of the queries."""

    results: list[SearchOut]


class StatisticsIn(In):
    """A filter as a query string; several values with commas between."""

    industries: Line = ""
    severities: Line = ""
    incident_types: Line = ""
    attack_types: Line = ""
    countries: Line = ""
    sources: Line = ""
    kinds: Line = ""
    year_from: Annotated[int, Meta(ge=1900, le=2200)] | msgspec.UnsetType = msgspec.UNSET
    year_to: Annotated[int, Meta(ge=1900, le=2200)] | msgspec.UnsetType = msgspec.UNSET


class StatisticsOut(SummaryOut):
    """A summary of the incidents that the filter admits."""

    corpus_version: str
    attribution: str


# --- operation


class HealthOut(Out):
    """That the process serves."""

    status: Literal["ok"]
    timestamp: str
    uptime: float
    version: str


class LiveOut(Out):
    """That the event loop turns."""

    status: Literal["ok"]


class ErrorOut(Out):
    """Every error, whatever raised it."""

    error: str
    code: str
    status_code: int
    metadata: dict[str, Any]
    request_id: str
