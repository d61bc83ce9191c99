"""The application: its routes, and the way of a request from its first byte to the last one of its answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeAlias

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pe_audio_cli import __version__
from pe_audio_cli.models.inventory import inventory, stored_object
from pe_audio_cli.models.registry import TASKS
from pe_audio_cli.server.body import Pipe
from pe_audio_cli.server.guard import Guard, is_loopback, send_refusal
from pe_audio_cli.server.lobby import Lobby
from pe_audio_cli.server.media_types import MEDIA_TYPES, accepted
from pe_audio_cli.server.openapi import description
from pe_audio_cli.server.page import page_routes
from pe_audio_cli.server.questions import EmbedQuestion, EventQuestion, Question, SearchQuestion, TagQuestion
from pe_audio_cli.server.refusals import Refusal, error_body, refusal_of
from pe_audio_cli.server.service import Service
from pe_audio_cli.server.tickets import GivenUp, Ticket
from pe_audio_cli.server.uploads import Asked, read_request

__all__ = ["make_app"]

logger = logging.getLogger(__name__)

Read: TypeAlias = Callable[[Asked, str], Question]


def make_app(service: Service, hosts: Sequence[str] = (), token: str | None = None) -> ASGIApp:
    """Return the application.

    Args:
        service: what answers.
        hosts: the names by which the server may be called, besides those of the loopback address.
        token: what each request must carry; None where none is needed.
    """
    lobby = Lobby(service.limits.queue, service.n_parallel + 1)
    pool = ThreadPoolExecutor(service.limits.queue, thread_name_prefix="peaudio-request")

    def ask(read: Read, default: str) -> Ask:
        return Ask(service, lobby, pool, read, default)

    routes = [
        Route("/v1/tag", ask(TagQuestion.of, "jsonl"), methods=["POST"]),
        Route("/v1/localize", ask(EventQuestion.of, "jsonl"), methods=["POST"]),
        Route("/v1/embed", ask(EmbedQuestion.of, "npz"), methods=["POST"]),
        Route("/v1/search", ask(SearchQuestion.of, "jsonl"), methods=["GET", "POST"]),
        Route("/v1/models", _models, methods=["GET"]),
        Route("/healthz", partial(_health, service), methods=["GET"]),
        Route("/metrics", partial(_metrics, service, lobby), methods=["GET"]),
        Route("/openapi.json", partial(_description, token is not None), methods=["GET"]),
        *page_routes(),
    ]

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        pool.shutdown(wait=False, cancel_futures=True)

    app = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={404: _not_found, 405: _wrong_method, Exception: _unforeseen},
    )
    app.router.redirect_slashes = False
    return Guard(app, hosts, token, service.metrics, [route.path for route in routes if isinstance(route, Route)])


class Ask:
    """An endpoint: reads a question, waits for its turn, and sends the answer.

    Args:
        service: what answers.
        lobby: counts the requests.
        pool: the threads in which answers are made.
        read: makes a question of what was asked; it gets the format that the client accepts.
        default: the format where the client accepts anything.
    """

    def __init__(self, service: Service, lobby: Lobby, pool: ThreadPoolExecutor, read: Read, default: str) -> None:
        self._service, self._lobby, self._pool = service, lobby, pool
        self._read, self._default = read, default

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body_is_here = False

        async def noted() -> Message:
            nonlocal body_is_here
            message = await receive()
            body_is_here = message["type"] == "http.disconnect" or not message.get("more_body", False)
            return message

        request = Request(scope, noted)
        answer = _Answer(send, self._service.limits.timeout)
        client = _client_of(request)
        try:
            with self._lobby.place(client):
                await self._ask(request, client, answer)
        except Refusal as refusal:
            is_expected = not body_is_here and refusal.error.kind != "slow-upload"
            await answer.refuse(refusal, receive if is_expected else None)

    async def _ask(self, request: Request, client: str, answer: _Answer) -> None:
        asked = await read_request(request, self._service.limits)
        try:
            format = accepted(request.headers.get("accept", ""), self._default)
            try:
                question = self._read(asked, format)
            except Exception as error:
                raise refusal_of(error, asked.name if asked.upload else "") from error
            ticket = Ticket(client, self._service.limits.timeout)
            gone = asyncio.ensure_future(_until_gone(request, ticket))
            try:
                await self._work(question, asked, ticket, gone, answer)
            finally:
                gone.cancel()
        finally:
            asked.close()

    async def _work(
        self, question: Question, asked: Asked, ticket: Ticket, gone: asyncio.Future[None], answer: _Answer
    ) -> None:
        entering = asyncio.ensure_future(self._lobby.enter(ticket.client))
        limit = self._service.limits.timeout
        await asyncio.wait([entering, gone], timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        if not entering.done():
            entering.cancel()
            if ticket.reason is not None and not gone.done():
                raise ticket.reason
            return
        try:
            pipe = Pipe(ticket)
            loop = asyncio.get_running_loop()
            work = loop.run_in_executor(self._pool, _caught, self._service, question, asked, ticket, pipe)
            try:
                while (block := await pipe.next(work)) is not None:
                    await answer.send(block, MEDIA_TYPES[question.format])
            except BaseException:
                ticket.give_up(Refusal("internal", "the answer could not be sent"))
                await asyncio.wait([work])
                raise
            error = await work
            if isinstance(error, GivenUp):
                error = ticket.reason
            if error is not None:
                raise refusal_of(error, asked.name if asked.upload else "") from error
            await answer.end(pipe.rest, MEDIA_TYPES[question.format])
        finally:
            self._lobby.leave(ticket.client)


def _caught(
    service: Service, question: Question, asked: Asked, ticket: Ticket, pipe: Pipe
) -> Exception | GivenUp | None:
    """Return what the work on an answer raises: a future would drop a BaseException's traceback, or stop the loop."""
    try:
        service.answer(question, asked, ticket, pipe.emit)
    except (Exception, GivenUp) as error:
        if not isinstance(error, (Refusal, GivenUp)):
            logger.debug("a request failed", exc_info=error)
        return error
    return None


class _Answer:
    """The answer to one request: as a whole with its length, or in blocks if it is long."""

    def __init__(self, send: Send, seconds: float) -> None:
        self._send, self._seconds = send, seconds
        self._has_begun = False

    async def send(self, block: bytes, media_type: str) -> None:
        """Send a block of several."""
        if not self._has_begun:
            await self._begin({"content-type": media_type})
        message = {"type": "http.response.body", "body": block, "more_body": True}
        await asyncio.wait_for(self._send(message), self._seconds)  # of a client that reads nothing

    async def end(self, rest: bytes, media_type: str) -> None:
        """Send the last block."""
        if not self._has_begun:
            await self._begin({"content-type": media_type, "content-length": str(len(rest))})
        await asyncio.wait_for(self._send({"type": "http.response.body", "body": rest}), self._seconds)

    async def refuse(self, refusal: Refusal, receive: Receive | None) -> None:
        """Send an error; if the answer has begun, break it off, so that nobody takes a part for the whole."""
        if self._has_begun:
            raise RuntimeError(f"an answer ends early: {refusal}")
        await send_refusal(refusal, self._send, receive)

    async def _begin(self, headers: dict[str, str]) -> None:
        self._has_begun = True
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": 200, "headers": raw})


async def _until_gone(request: Request, ticket: Ticket) -> None:
    """Wait until the client closes the connection, and end the work for it."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    ticket.give_up(Refusal("internal", "the client has gone"))


def _client_of(request: Request) -> str:
    """Return who takes turns: a client's address or, on this machine, where all share one, its connection."""
    if request.client is None:
        return "local"
    host, port = request.client.host, request.client.port
    return f"{host} {port}" if is_loopback(host) else host


async def _models(request: Request) -> Response:
    found = await asyncio.to_thread(inventory)
    content = json.dumps([stored_object(each) for each in found], indent=2) + "\n"
    return Response(content, media_type="application/json")


async def _health(service: Service, request: Request) -> Response:
    models = {}
    for task in TASKS:
        loaded = service.loaded(task)
        facts = loaded.encoder.facts
        models[task] = {
            "model": service.model.name,
            "fingerprint": facts.fingerprint,
            "backend": facts.backend,
            "default_labels": list(facts.default_labels),
        }
    index = None
    if service.index is not None:
        index = {"recordings": service.index.n_recordings, "windows": service.index.n_windows}
    return JSONResponse({"status": "ok", "version": __version__, "models": models, "index": index})


async def _metrics(service: Service, lobby: Lobby, request: Request) -> Response:
    gauges = {
        "peaudio_requests_present": ("Requests at the server, those that wait included.", float(lobby.n_present)),
        "peaudio_encoder_waiting": ("Calls of the encoder that wait for their turn.", float(service.gate.n_waiting)),
        "peaudio_encoder_seconds": ("Seconds that calls of the encoder took, all together.", service.gate.seconds),
    }
    return PlainTextResponse(service.metrics.text(gauges), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _description(needs_token: bool, request: Request) -> Response:
    return JSONResponse(description(needs_token))


async def _not_found(request: Request, error: Exception) -> Response:
    return _refused(Refusal("not-found", "there is nothing at this address: see /openapi.json"))


async def _wrong_method(request: Request, error: Exception) -> Response:
    headers = dict(getattr(error, "headers", None) or {})
    return _refused(Refusal("method", "this address takes another method: see /openapi.json", headers=headers))


async def _unforeseen(request: Request, error: Exception) -> Response:
    return _refused(refusal_of(error))


def _refused(refusal: Refusal) -> Response:
    headers = {"content-type": "application/json", **refusal.headers}
    return Response(error_body(refusal.error), refusal.status, headers)
