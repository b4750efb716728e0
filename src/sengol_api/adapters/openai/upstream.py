"""One provider behind its SDK: requests go out; bytes and headers come back, or one of our errors."""

import asyncio
import ssl
import weakref
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sengol_api.adapters.openai.answers import Progress
from sengol_api.adapters.openai.errors import ModelError
from sengol_api.adapters.openai.options import Provider
from sengol_api.adapters.openai.streaming import assembled
from sengol_api.adapters.openai.taxonomy import from_sdk
from sengol_api.adapters.openai.validation import Completion, chat_from
from sengol_api.observability.trace_context import outgoing
from sengol_api.resilience import remaining
from sengol_api.review.provenance import count_call

if TYPE_CHECKING:
    from openai import AsyncOpenAI

CONNECT: Final = 5.0
"""Seconds for a connection to come about. All else is under the time limit of the attempt."""
IDLE: Final = 30.0
"""Seconds for which a connection is kept that nobody uses."""

Headers = Mapping[str, str]


class Answered(NamedTuple):
    """The bytes of an answer with status 200."""

    content: bytes
    headers: Headers


class Upstream:
    """One provider.

    The SDK is imported when the first request is made, in a thread: that takes a second or two. It keeps connections, and those
    belong to an event loop, so each loop gets an SDK client of its own.

    Args:
        provider: who is asked.
        wall: seconds since the epoch.
    """

    def __init__(self, provider: Provider, wall: Callable[[], float]) -> None:
        self.provider = provider
        self._wall = wall
        self._made: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Future[AsyncOpenAI]] = weakref.WeakKeyDictionary()

    async def sdk(self) -> "AsyncOpenAI":
        """The SDK client of this event loop."""
        making = self._making()
        # Others wait for it as well: who is cancelled meanwhile does not take it with them.
        return making.result() if making.done() else await asyncio.shield(making)

    async def loading(self) -> None:
        """Wait until the SDK is there, or the caller's deadline is over."""
        making = self._making()
        if not making.done():
            await asyncio.wait({making}, timeout=remaining())

    def _making(self) -> "asyncio.Future[AsyncOpenAI]":
        loop = asyncio.get_running_loop()
        making = self._made.get(loop)
        if making is None or (making.done() and (making.cancelled() or making.exception() is not None)):
            making = self._made[loop] = asyncio.ensure_future(asyncio.to_thread(_make, self.provider))
        return making

    async def close(self) -> None:
        """Close the connections of this event loop; those of a client that was handed in stay with who made it."""
        making = self._made.pop(asyncio.get_running_loop(), None)
        if making is not None and self.provider.sdk is None:
            await (await making).close()

    async def complete(self, body: Mapping[str, Any]) -> Answered:
        """A chat request.

        Raises:
            ModelError: there is no answer.
        """
        sdk = await self.sdk()
        return await self._whole(sdk.chat.completions.with_raw_response.create, _as_it_stands(body))

    async def embed(self, body: Mapping[str, Any]) -> Answered:
        """An embedding request.

        Raises:
            ModelError: there is no answer.
        """
        sdk = await self.sdk()
        return await self._whole(sdk.embeddings.with_raw_response.create, body)

    async def _whole(self, create: Callable[..., Awaitable[Any]], body: Mapping[str, Any]) -> Answered:
        count_call()
        try:
            response = (await create(**body, extra_headers=outgoing())).http_response
            return Answered(response.content, response.headers)
        except Exception as error:  # noqa: BLE001 - told apart in one place
            failure = self._translated(error)
        raise failure

    async def stream(
        self, body: Mapping[str, Any], tell: Callable[[Progress], object], told: Callable[[Headers], None]
    ) -> Completion:
        """A chat request whose answer comes piece by piece.

        Args:
            body: of the request.
            tell: is called after each piece; it must not raise.
            told: is given the headers of the answer, which come first.

        Raises:
            ModelError: there is no answer, or it broke off.
        """
        sdk = await self.sdk()
        count_call()
        try:
            create = sdk.chat.completions.with_raw_response.create
            streamed: Any = {"stream": True, "stream_options": {"include_usage": True}, "extra_headers": outgoing()}
            response: Any = await create(**_as_it_stands(body), **streamed)
            told(response.headers)
            if "json" in response.headers.get("content-type", ""):  # a server that does not stream, or says why it cannot
                return chat_from(await response.http_response.aread(), self.provider.name)
            stream = response.parse()
            try:
                return await assembled(stream, tell)
            finally:
                with suppress(Exception):
                    await stream.close()
        except Exception as error:  # noqa: BLE001 - told apart in one place
            failure = self._translated(error)
        raise failure

    def _translated(self, error: Exception) -> Exception:
        """Ours for theirs. To be raised outside of the handler: nothing may lead from it to the request, its key and prompt."""
        import httpx2
        import openai

        if isinstance(error, openai.OpenAIError | httpx2.HTTPError | ValueError) and not isinstance(error, ModelError):
            return from_sdk(error, self.provider.name, wall=self._wall())
        return error


def _as_it_stands(body: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments for a body that is in the words of the wire already.

    What the SDK is given by name, it walks through for words to translate: much of what a request costs, and on the event loop.
    What is in ``extra_body`` takes the place of that, and goes out as it is. The model has to be named: Azure's addresses are made
    of it.
    """
    return {"model": body["model"], "messages": [], "extra_body": body}


@cache
def _trusted() -> ssl.SSLContext:
    """The certificates of this machine, read once: that takes a tenth of a second."""
    import httpx2

    return httpx2.create_ssl_context()


def _make(provider: Provider) -> "AsyncOpenAI":
    import httpx2
    import openai
    import openai.resources.chat.completions
    import openai.resources.embeddings

    if provider.sdk is not None:
        theirs: AsyncOpenAI = provider.sdk.with_options(max_retries=0)
        return theirs
    http = httpx2.AsyncClient(
        verify=_trusted(),
        timeout=httpx2.Timeout(None, connect=CONNECT),
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=IDLE),
        follow_redirects=False,
    )
    sdk = openai.AsyncOpenAI(api_key=provider.key, base_url=provider.url, max_retries=0, http_client=http, timeout=http.timeout)
    # Whatever the environment says of them: it is meant for one account, and there may be several.
    sdk.organization = provider.organization or None
    sdk.project = provider.project or None
    return sdk
