"""The main job on the wire: a system goes in, questions with their evidence come out."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from sengol_api.api.wire.base import Choices, DegradedOut, In, Line, Out, SkipCache, Text, Texts, Weight
from sengol_api.api.wire.incidents import SummaryOut
from sengol_api.review.area import DOMAINS, Domain
from sengol_api.review.incident import Severity
from sengol_api.validation import CONTROL_FREE, END, matching

QuestionId = Annotated[
    str, matching(r"^(ai|cyber|cloud|compliance)\.[a-z0-9][a-z0-9-]{0,99}" + END, "takes a question's id, like ai.prompt-injection")
]


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
    skip_cache: SkipCache = False

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
    catalogue_text: Annotated[Text, Meta(description="The question in the catalogue's own words, where a model adapted text")] = ""
    cited_incidents: Annotated[
        list[Line], Meta(max_length=50, description="Ids of those relatedIncidents that a model's sentence in importance rests on")
    ] = []


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


class UnrecognisedOut(Out):
    """A value that changed nothing because it means nothing to the service."""

    field: Annotated[str, Meta(description="techStack stands for all three lists of technology")]
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
    served: dict[str, list[str]]
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
    hints: Annotated[list[str], Meta(description="What was left out for want of a word in the request")]


class GeneratedOut(Out):
    """The answer of the main job."""

    risk_questions: list[QuestionOut]
    compliance_questions: list[QuestionOut]
    scoring_formula: dict[str, str]
    incident_summary: SummaryOut
    generation_metadata: GenerationMetadataOut
