"""The application: every operation on its path, the documentation beside them, the middleware around them."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache, partial
from typing import Any, Final

import msgspec
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from sengol_api.api import docs_page
from sengol_api.api.dispatch import PathEndpoint
from sengol_api.api.door import Door
from sengol_api.api.errors import MethodNotAllowedError, respond_to
from sengol_api.api.in_flight import InFlight, shutting_down
from sengol_api.api.middleware import Cors, Faults, RequestContext
from sengol_api.api.openapi import document
from sengol_api.api.operations import Operation
from sengol_api.api.routes import admin, auth, health, incidents, questions, reviews
from sengol_api.api.routes.metrics import Metrics
from sengol_api.api.security import BoundedHead, security_headers
from sengol_api.api.services import ApiOptions, Services
from sengol_api.api.status import page as status_page
from sengol_api.api.status.stream import StatusStream, sampler_of
from sengol_api.observability.events import observe
from sengol_api.observability.telemetry import Telemetry
from sengol_api.ops.status.host import HostStatus
from sengol_api.ops.status.worker import WorkerStatus
from sengol_api.review.errors import NotFoundError

OPERATIONS: Final[tuple[Operation, ...]] = (
    *auth.OPERATIONS,
    *reviews.OPERATIONS,
    *questions.OPERATIONS,
    *incidents.OPERATIONS,
    *health.OPERATIONS,
    *admin.OPERATIONS,
)


@cache
def openapi() -> dict[str, Any]:
    """The OpenAPI document of all operations."""
    return document(OPERATIONS)


class _Page:
    """A fixed answer to GET, made at the first request."""

    def __init__(self, content: Callable[[], bytes], media_type: str, headers: dict[str, str]) -> None:
        self._content = cache(content)
        self._media_type = media_type
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in {"GET", "HEAD"}:
            response: ASGIApp = Response(self._content(), 200, self._headers, self._media_type)
        else:
            allowed = ["GET", "HEAD"]
            error = MethodNotAllowedError(
                f"{scope['method']} is not a method of this route; it has GET, HEAD.", {"allowed": allowed}
            )
            response = respond_to(scope, error)
        await response(scope, receive, send)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    error = NotFoundError("There is no such route; GET /docs lists those there are.", {"path": scope["path"][:200]})
    await respond_to(scope, error)(scope, receive, send)


class _Labelled:
    """Leaves the path's template where the log finds it: ids do not belong in a label."""

    def __init__(self, path: str, app: ASGIApp) -> None:
        self._path = path
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["route"] = self._path
        await self._app(scope, receive, send)


class _Fixed:
    """Paths without parameters, by a look into a table: Starlette's router tries one route after the other."""

    def __init__(self, apps: Mapping[str, ASGIApp], others: ASGIApp) -> None:
        self._apps = dict(apps)
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._apps.get(scope["path"], self._others) if scope["type"] == "http" else self._others
        await app(scope, receive, send)


def _status(telemetry: Telemetry, services: Callable[[], Services], options: ApiOptions) -> dict[str, ASGIApp]:
    """The status page: its files and its stream."""
    headers = {"Content-Security-Policy": status_page.CONTENT_SECURITY_POLICY, "Referrer-Policy": "no-referrer"}
    found: dict[str, ASGIApp] = {
        status_page.path_of(file): _Page(partial(status_page.content_of, file), status_page.media_type_of(file), headers)
        for file in status_page.FILES
    }
    found[status_page.STREAM] = StatusStream(sampler_of(HostStatus(telemetry)), services, options.trusted_proxies)
    return found


def create_app(
    open_services: Callable[[], AbstractAsyncContextManager[Services]],
    options: ApiOptions | None = None,
    telemetry: Telemetry | None = None,
) -> ASGIApp:
    """Make the ASGI application.

    Args:
        open_services: opens what the operations need when the server starts, and closes it when the server stops.
        options: of the HTTP face.
        telemetry: what this worker tells of itself; by default of one without others, and without traces.
    """
    chosen = options or ApiOptions()
    telling = telemetry or Telemetry()
    opened: list[Services] = []

    @asynccontextmanager
    async def lifespan(_app: Router) -> AsyncIterator[None]:
        async with open_services() as services, telling.running():
            observe(services.registry, telling)
            own = WorkerStatus(services.health, services.registry, services.background, services.drain, telling)
            async with own.running():
                opened.append(services)
                try:
                    yield
                finally:
                    opened.clear()
        await services.drain.closed()

    def services() -> Services:
        if not opened:
            raise shutting_down()
        return opened[0]

    by_path: dict[str, dict[str, Operation]] = {}
    for operation in OPERATIONS:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    endpoints: dict[str, ASGIApp] = {path: PathEndpoint(operations, services, chosen) for path, operations in by_path.items()}
    endpoints["/openapi.json"] = _Page(lambda: msgspec.json.encode(openapi()), "application/json", {})
    endpoints["/docs"] = _Page(
        lambda: docs_page.page(openapi()).encode(),
        "text/html",
        {"Content-Security-Policy": docs_page.CONTENT_SECURITY_POLICY, "Referrer-Policy": "no-referrer"},
    )
    endpoints["/metrics"] = Metrics(telling)
    endpoints.update(_status(telling, services, chosen))
    labelled = {path: _Labelled(path, app) for path, app in endpoints.items()}
    routes = [Route(path, app) for path, app in labelled.items() if "{" in path]
    router = Router(routes, redirect_slashes=False, default=_not_found, lifespan=lifespan)
    fixed = _Fixed({path: app for path, app in labelled.items() if "{" not in path}, router)
    door = Door(fixed, OPERATIONS, lambda: opened[0] if opened else None)
    inner: ASGIApp = InFlight(Faults(door), lambda: opened[0].drain if opened else None)
    if chosen.origins:
        inner = Cors(
            inner,
            allow_origins=chosen.origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "If-Match", "X-Priority", "X-Request-Id", "X-Request-Timeout-Ms"],
            expose_headers=["ETag", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id"],
            max_age=600,
        )
    headers = security_headers(chosen.hsts_seconds)
    return RequestContext(BoundedHead(inner), slow_request=chosen.slow_request, telemetry=telling, headers=headers)
