"""The log of a job over connections that break, fall silent or end, from a server of our own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from queue import SimpleQueue

import pytest

import bench.cluster.job_server
from bench.cluster.job_server import JobServer
from bench.errors import ClusterError

pytest.importorskip("aiohttp")
pytest.importorskip("requests")

from aiohttp import web
from ray.job_submission import JobSubmissionClient

NAME = "study-1"

pytestmark = pytest.mark.filterwarnings("ignore:ssl=None is deprecated")  # Ray's client asks so


@dataclass
class Script:
    """What the server does.

    Attributes:
        texts: what each connection sends of the log, the last one again and again.
        holds: connections that are left open then, without a word.
        over_after: connections after which the job has ended.
        turned_away: whether requests are refused as without a token.
        opened: connections so far.
    """

    texts: tuple[str, ...]
    holds: frozenset[int] = frozenset()
    over_after: int = 1
    turned_away: bool = False
    opened: int = field(default=0, init=False)


async def _version(request: web.Request) -> web.Response:
    return web.json_response({"version": "4", "ray_version": "2.60.0", "ray_commit": "x"})


def _application(script: Script) -> web.Application:
    async def job(request: web.Request) -> web.Response:
        if script.turned_away:
            return web.Response(status=403, text="Authentication failed")
        status = "SUCCEEDED" if script.opened >= script.over_after else "RUNNING"
        details = {"submission_id": NAME, "status": status, "type": "SUBMISSION", "entrypoint": "x"}
        return web.json_response(details)

    async def log(request: web.Request) -> web.WebSocketResponse:
        number = script.opened
        script.opened += 1
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(script.texts[min(number, len(script.texts) - 1)])
        if number in script.holds:
            await socket.receive()
        await socket.close()
        return socket

    application = web.Application()
    application.router.add_get("/api/version", _version)
    application.router.add_get(f"/api/jobs/{NAME}", job)
    application.router.add_get(f"/api/jobs/{NAME}/logs/tail", log)
    return application


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Script], JobServer]]:
    """Servers that act by a script, asked by Ray's own client without long pauses."""
    monkeypatch.setattr(bench.cluster.job_server, "PAUSE", 0.01)
    with contextlib.ExitStack() as stack:

        def start(script: Script) -> JobServer:
            url = stack.enter_context(_served(_application(script)))
            return JobServer(cluster=url, client=JobSubmissionClient(url))

        yield start


@contextlib.contextmanager
def _served(application: web.Application) -> Iterator[str]:
    """The address of an application that is served by a thread of its own."""
    ports: SimpleQueue[int] = SimpleQueue()
    loop, over = asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        runner = web.AppRunner(application, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ports.put(runner.addresses[0][1])
        await over.wait()
        await runner.cleanup()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        yield f"http://127.0.0.1:{ports.get(timeout=10)}"
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


def followed(server: JobServer) -> tuple[list[str], bool]:
    lines: list[str] = []
    ended = server.follow(NAME, lines.append)
    return lines, ended


def test_every_line_comes_once_over_connections_that_end_early(
    serve: Callable[[Script], JobServer],
) -> None:
    script = Script(texts=("one\ntw", "one\ntwo\n", "one\ntwo\nthree"), over_after=3)

    assert followed(serve(script)) == (["one", "two", "three"], True)
    assert script.opened == 3


def test_a_connection_without_a_word_is_opened_again(
    monkeypatch: pytest.MonkeyPatch, serve: Callable[[Script], JobServer]
) -> None:
    monkeypatch.setattr(bench.cluster.job_server, "SILENCE", 0.2)
    script = Script(texts=("one\n", "one\ntwo\n"), holds=frozenset({0}), over_after=2)

    assert followed(serve(script)) == (["one", "two"], True)


def test_a_job_that_runs_is_followed_however_often_its_connection_ends(
    serve: Callable[[Script], JobServer],
) -> None:
    most = bench.cluster.job_server.MOST_PAUSES
    script = Script(texts=("one\n",), over_after=most + 5)

    assert followed(serve(script)) == (["one"], True)
    assert script.opened == most + 5


def test_a_server_that_turns_us_away_for_good_is_given_up(
    serve: Callable[[Script], JobServer],
) -> None:
    server = serve(Script(texts=("one\n",), turned_away=True))

    assert followed(server) == (["one"], False)
    with pytest.raises(ClusterError, match=r"--cluster http://127\.0\.0\.1"):
        server.job(NAME)
