"""The catalogue, the regimes and the vocabulary, from the package's data files."""

import hashlib
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
import yaml

from sengol_api.review.area import DOMAINS, Area, Catalogue, ClauseRef, Relevance
from sengol_api.review.regime import Clause, Regime
from sengol_api.review.vocabulary import Term, Vocabulary

DATA: Final = files("sengol_api.data")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _AreaFile(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    id: str
    label: str
    category: str
    base: float
    question: str
    description: str
    good: str
    examples: tuple[str, ...]
    mitigations: tuple[str, ...]
    clauses: tuple[ClauseRef, ...]
    search: str
    labels: tuple[str, ...] = ()
    attack_types: tuple[str, ...] = ()
    relevance: Relevance = Relevance()
    only_under: tuple[str, ...] = ()


class _ClauseFile(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    id: str
    title: str
    effective_from: Any = None


class _RegimeFile(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    id: str
    name: str
    full_name: str
    version: str
    kind: str
    role: str
    source_url: str
    as_of: Any
    effective_from: Any = None
    jurisdictions: tuple[str, ...] = ()
    industries: tuple[str, ...] = ()
    data_types: tuple[str, ...] = ()
    tech: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    clauses: tuple[_ClauseFile, ...] = ()
    note: str = ""


def _read(name: str) -> bytes:
    return DATA.joinpath(name).read_bytes()


def _parse(name: str) -> Any:  # noqa: ANN401 - whatever the file holds; converted to types right after
    return yaml.load(_read(name), Loader=_Loader)  # noqa: S506 - the safe loader, in C


def _one_line(text: str) -> str:
    return " ".join(text.split())


@cache
def load_vocabulary() -> Vocabulary:
    """The words for industries, data, technology and places."""
    return Vocabulary(msgspec.convert(_parse("vocabulary.yaml"), dict[str, tuple[Term, ...]]))


@cache
def load_catalogue() -> Catalogue:
    """All areas and regimes; the version is a hash of the files."""
    names = [f"catalogue/{domain}.yaml" for domain in DOMAINS]
    areas = [_area(entry) for name in names for entry in msgspec.convert(_parse(name), list[_AreaFile])]
    regimes = [_regime(entry) for entry in msgspec.convert(_parse("regimes.yaml"), list[_RegimeFile])]
    version = hashlib.sha256(b"".join(_read(name) for name in [*names, "regimes.yaml", "vocabulary.yaml"]))
    return Catalogue(tuple(areas), {regime.id: regime for regime in regimes}, version.hexdigest()[:16])


def _area(entry: _AreaFile) -> Area:
    fields: dict[str, Any] = {
        name: _one_line(value) if isinstance(value, str) else value for name, value in msgspec.structs.asdict(entry).items()
    }
    return Area(**fields)


def _regime(entry: _RegimeFile) -> Regime:
    fields = msgspec.structs.asdict(entry)
    fields["clauses"] = tuple(
        Clause(id=clause.id, title=clause.title, effective_from=clause.effective_from) for clause in entry.clauses
    )
    return Regime(**fields)
