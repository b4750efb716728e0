"""Who uses the service."""

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """An account; its password is never part of it."""

    id: str
    email: str
    name: str | None
    company: str | None
    role: str
    created_at: dt.datetime
