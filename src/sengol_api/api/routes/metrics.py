"""``GET /metrics``: the metrics of all workers of this server, for Prometheus. Never refused, never timed out, without a token."""

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sengol_api.api.errors import MethodNotAllowedError, respond_to
from sengol_api.observability.metrics.text import CONTENT_TYPE
from sengol_api.observability.telemetry import Telemetry


class Metrics:
    """The page, as an ASGI application.

    Args:
        telemetry: of this worker, which asks the others.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] in {"GET", "HEAD"}:
            response: ASGIApp = Response(await self._telemetry.exposition(), headers={"Content-Type": CONTENT_TYPE})
        else:
            allowed = {"allowed": ["GET", "HEAD"]}
            error = MethodNotAllowedError(f"{scope['method']} is not a method of this route; it has GET, HEAD.", allowed)
            response = respond_to(scope, error)
        await response(scope, receive, send)
