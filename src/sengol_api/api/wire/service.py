"""The service itself on the wire: its health, its errors."""

from typing import Any, Literal

from sengol_api.api.wire.base import Out


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
