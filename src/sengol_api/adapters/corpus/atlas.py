"""Case studies of MITRE ATLAS, from its released ``ATLAS.yaml`` or from a single case-study file."""

from typing import Any, Final

SITE: Final = "https://atlas.mitre.org/studies/"


def atlas_studies(document: Any) -> list[Any]:  # noqa: ANN401 - any YAML
    """The case studies of a document.

    Raises:
        ValueError: there is no case study in the document.
    """
    if not isinstance(document, dict):
        raise ValueError(f"takes an ATLAS document, got {type(document).__name__}")  # noqa: TRY004
    studies = document.get("case-studies", [document] if "summary" in document else None)
    if not isinstance(studies, list):
        raise ValueError("holds no case-studies")  # noqa: TRY004
    return studies


def atlas_record(study: Any) -> dict[str, Any]:  # noqa: ANN401 - any YAML
    """A record with our field names.

    Raises:
        ValueError: the study is no object.
    """
    if not isinstance(study, dict):
        raise ValueError(f"takes a case study as an object, got {type(study).__name__}")  # noqa: TRY004 - reported as a bad record
    procedure = study.get("procedure")
    steps = procedure if isinstance(procedure, list) else []
    identity = study.get("id")
    record = {
        "id": f"atlas:{identity}" if identity else None,
        "title": study.get("name"),
        "text": study.get("summary"),
        "incidentType": "ai-incident",
        "organization": study.get("target"),
        "date": str(study["incident-date"])[:10] if study.get("incident-date") else None,
        "labels": sorted({str(step["technique"]) for step in steps if isinstance(step, dict) and step.get("technique")}),
        "source": "MITRE ATLAS",
        "sourceUrl": f"{SITE}{identity}" if identity else None,
        "licence": "Apache-2.0",
    }
    return {key: value for key, value in record.items() if value is not None}
