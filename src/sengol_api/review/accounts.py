"""Who uses the service."""

import datetime as dt
from dataclasses import dataclass
from typing import Literal, TypeAlias

Role: TypeAlias = Literal["user", "admin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account; its password is never part of it.

    Attributes:
        role: ``admin`` may steer the service; read anew with every request, so that a change of it counts at once.
    """

    id: str
    email: str
    name: str | None
    company: str | None
    role: Role
    created_at: dt.datetime
