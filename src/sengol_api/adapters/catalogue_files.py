"""The catalogue, the regimes and the vocabulary, from the package's data files."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cache
from importlib.resources import files
from typing import Any, Final, TypeVar

import msgspec
import yaml

from sengol_api.review.area import DOMAINS, Area, Catalogue
from sengol_api.review.regime import Regime
from sengol_api.review.vocabulary import Term, Vocabulary

T = TypeVar("T")
_CAPITAL: Final = re.compile(r"[A-Z]")
DATA: Final = files("sengol_api.data")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _read(name: str) -> bytes:
    return DATA.joinpath(name).read_bytes()


def _parse(name: str) -> Any:  # noqa: ANN401 - whatever the file holds; converted to types right after
    return yaml.load(_read(name), Loader=_Loader)  # noqa: S506 - the safe loader, in C


@cache
def load_vocabulary() -> Vocabulary:
    """The words for industries, data, technology and places."""
    return Vocabulary(msgspec.convert(_parse("vocabulary.yaml"), dict[str, tuple[Term, ...]]))


@cache
def load_catalogue() -> Catalogue:
    """All areas and regimes; the version is a hash of the files.

    Raises:
        ValueError: a file has a key that nothing reads, or a value of a wrong type.
    """
    names = [f"catalogue/{domain}.yaml" for domain in DOMAINS]
    regimes = [_entry(entry, Regime) for entry in _parse("regimes.yaml")]
    labels = {**_parse("techniques.yaml"), **{clause.id: _uncapitalised(clause.title) for r in regimes for clause in r.clauses}}
    areas = [_named(_entry(entry, Area), labels) for name in names for entry in _parse(name)]
    version = hashlib.sha256(b"".join(_read(name) for name in [*names, "regimes.yaml", "techniques.yaml", "vocabulary.yaml"]))
    return Catalogue(tuple(areas), {regime.id: regime for regime in regimes}, version.hexdigest()[:16])


def _named(area: Area, names: Mapping[str, str]) -> Area:
    """The area with the names of those of its labels that are codes."""
    return replace(area, label_names={label: names[label] for label in area.labels if label in names})


def _uncapitalised(title: str) -> str:
    return title[:1].lower() + title[1:]


def _entry(value: Any, kind: type[T]) -> T:  # noqa: ANN401 - what YAML gave
    """An entry of a file as an object of the domain."""
    entry = _snake(value)
    if strange := entry.keys() - {field.name for field in fields(kind)}:  # type: ignore[arg-type]
        raise ValueError(f"{entry.get('id')}: unknown keys {', '.join(sorted(strange))}")
    return msgspec.convert(entry, kind)


def _snake(value: Any) -> Any:  # noqa: ANN401 - what YAML gave
    """Keys in our spelling, texts on one line."""
    if isinstance(value, dict):
        return {_CAPITAL.sub(lambda m: "_" + m[0].lower(), key): _snake(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_snake(item) for item in value]
    return " ".join(value.split()) if isinstance(value, str) else value
