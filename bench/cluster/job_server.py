"""A cluster's job server: reached, through a tunnel if need be, to run, show and stop drivers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import psutil
from ray.exceptions import AuthenticationError, RayError

from bench.cluster import token
from bench.cluster.join import LOCAL
from bench.errors import ClusterError

if TYPE_CHECKING:
    from ray.job_submission import JobDetails, JobSubmissionClient

PURPOSE = "paretune"
"""Key of a job's metadata by which ours are told from others: what they do."""

STUDY, FOLDER, PYTHON = "study", "folder", "python"
"""Further keys: name of the study, its run folder and the python that runs it, as the cluster sees
them."""

SWEEP, FETCH = "sweep", "fetch"
"""What our jobs do."""

STOPPABLE = {"RAY_JOB_STOP_WAIT_TIME_S": "600"}
"""Variables of a driver that writes its report when it is stopped; Ray kills others after 3 s."""

PAUSE, MOST_PAUSES = 2.0, 15
"""Seconds before a broken connection is tried again, and how often in a row without an answer."""

SILENCE, MOST_SILENCE = 60.0, 960.0
"""Seconds without a line after which a new connection is tried, as this one may be dead; twice as
long every time that nothing new came of it, up to the second figure."""

BROKEN = (RuntimeError, OSError, RayError)
"""What Ray's client raises where there is no connection, or none for us."""

OVER = frozenset({"succeeded", "failed", "stopped"})


@dataclass(frozen=True, kw_only=True)
class Job:
    """One of our jobs.

    Attributes:
        name: by which the cluster knows it.
        study: name of the study.
        folder: its run folder as the cluster sees it.
        python: that runs it.
        status: ``pending``, ``running``, ``succeeded``, ``failed`` or ``stopped``.
        exit_code: of its driver; ``None`` while it runs, or if Ray does not say.
        message: what Ray says about it.
        began: when it was submitted.
    """

    name: str
    study: str
    folder: str
    python: str
    status: str
    exit_code: int | None
    message: str
    began: datetime | None

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.status in OVER

    @classmethod
    def of(cls, details: JobDetails) -> Job:
        """What Ray knows of it."""
        labels = details.metadata or {}
        start = details.start_time
        return cls(
            name=details.submission_id or "",
            study=labels.get(STUDY, ""),
            folder=labels.get(FOLDER, ""),
            python=labels.get(PYTHON, "python"),
            status=details.status.value.lower(),
            exit_code=details.driver_exit_code,
            message=details.message or "",
            began=datetime.fromtimestamp(start / 1000, UTC) if start else None,
        )


@dataclass(frozen=True, kw_only=True)
class JobServer:
    """The job server of a cluster that has let us in.

    Attributes:
        cluster: as a person named it.
        client: Ray's.
    """

    cluster: str
    client: JobSubmissionClient

    def submit(
        self,
        name: str,
        entrypoint: str,
        labels: Mapping[str, str],
        *,
        package: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        """Has a command run on the head node.

        Args:
            name: of the job.
            entrypoint: a line for the shell.
            labels: its metadata.
            package: zip file whose content is the folder it runs in.
            variables: of its environment.

        Raises:
            ClusterError: the cluster does not take it.
        """
        environment: dict[str, Any] = {"env_vars": dict(variables or {})}
        if package is not None:
            environment["working_dir"] = str(package)
        with self._asked():
            self.client.submit_job(
                entrypoint=entrypoint,
                submission_id=name,
                runtime_env=environment,
                metadata=dict(labels),
            )

    def job(self, name: str) -> Job:
        """A job by name.

        Raises:
            ClusterError: there is none, or the cluster does not answer.
        """
        with self._asked():
            try:
                return Job.of(self.client.get_job_info(name))
            except RuntimeError as error:
                if "does not exist" not in str(error):
                    raise
                raise ClusterError(
                    f"{name}: is no job of {self.cluster}; those there are:"
                    f" paretune jobs --cluster {self.cluster}"
                ) from error

    def sweeps(self) -> list[Job]:
        """Our sweeps, the latest last.

        Raises:
            ClusterError: the cluster does not answer.
        """
        with self._asked():
            found = self.client.list_jobs()
        ours = [Job.of(job) for job in found if (job.metadata or {}).get(PURPOSE) == SWEEP]
        return sorted(ours, key=lambda job: job.began or datetime.min.replace(tzinfo=UTC))

    def stop(self, name: str) -> None:
        """Asks a job to end.

        Raises:
            ClusterError: there is none, or the cluster does not answer.
        """
        with self._asked():
            self.client.stop_job(name)

    def delete(self, name: str) -> None:
        """Has the cluster forget a job that has ended.

        Raises:
            ClusterError: it does not.
        """
        with self._asked():
            self.client.delete_job(name)

    @contextlib.contextmanager
    def _asked(self) -> Iterator[None]:
        """Says of which cluster a question went wrong.

        Raises:
            ClusterError: it did.
        """
        try:
            yield
        except BROKEN as error:
            raise ClusterError(f"--cluster {self.cluster}: {last_line(str(error))}") from error

    @property
    def nodes(self) -> int | None:
        """Machines that are up; ``None`` if the cluster does not tell."""
        try:
            answer = self.client._do_request("GET", "/nodes?view=summary")
            summary = answer.json()["data"]["summary"]
            return sum(bool(node["raylet"]["state"] == "ALIVE") for node in summary)
        except (*BROKEN, ValueError, LookupError, TypeError):
            return None

    def follow(self, name: str, take: Callable[[str], None]) -> bool:
        """Passes on every line that a job has printed, and those to come until it has ended.

        A connection that breaks is opened again, and what was passed on is not repeated.

        Args:
            name: of the job.
            take: given each line, without its end.

        Returns:
            Whether the job has ended; else the cluster does not answer any more.
        """
        return asyncio.run(_Reader(self, name, take).read())


class _Reader:
    """Reads the log of a job over connections that may break."""

    def __init__(self, server: JobServer, name: str, take: Callable[[str], None]) -> None:
        self._server = server
        self._name = name
        self._take = take
        self._seen = 0
        self._open = ""

    async def read(self) -> bool:
        from aiohttp import ClientError

        pauses, patience = 0, SILENCE
        while pauses <= MOST_PAUSES:
            seen, whole = self._seen, False
            try:
                whole = await self._connection(patience)
            except (*BROKEN, ClientError):
                pass  # whether for good is seen in what follows
            patience = SILENCE if self._seen > seen else min(2 * patience, MOST_SILENCE)
            try:
                is_over = self._server.job(self._name).is_over
                if is_over and whole:
                    self._finish()
                    return True
                pauses = pauses + 1 if is_over else 0
            except (*BROKEN, ClientError, ClusterError):
                pauses += 1
            await asyncio.sleep(PAUSE)
        return False

    async def _connection(self, patience: float) -> bool:
        """Reads until the server says that this was all, or nothing comes for so many seconds.

        Returns:
            Whether it was all.
        """
        repeated = self._seen  # every connection begins with the first line
        log = self._server.client.tail_job_logs(self._name)
        async with aclosing(cast("AsyncGenerator[str, None]", log)) as chunks:
            while True:
                try:
                    chunk = await asyncio.wait_for(anext(chunks), patience)
                except StopAsyncIteration:
                    return True
                except TimeoutError:
                    return False
                new, repeated = chunk[repeated:], max(0, repeated - len(chunk))
                self._seen += len(new)
                *lines, self._open = (self._open + new).split("\n")
                for line in lines:
                    self._take(line)

    def _finish(self) -> None:
        if self._open:
            self._take(self._open)
            self._open = ""


def last_line(text: str) -> str:
    """What is wrong, of an answer that may be a whole traceback."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else "no answer"


ANSWER_SECONDS = 10.0
"""A server that has not answered by then does not."""


def connect(cluster: str, address: str, *, insecure: bool = False) -> JobServer:
    """The job server at an address, if it may be used.

    Args:
        cluster: as a person named it.
        address: of the server: ``http://HOST:PORT``, ``https://HOST:PORT`` or ``HOST:PORT``.
        insecure: use one that lets in whoever reaches it.

    Raises:
        ClusterError: it does not answer, does not let us in, or lets in everyone.
    """
    client_of = _client_class(cluster)
    url = _url(cluster, address)
    mode = _authentication_mode(cluster, url)
    if mode != "token" and urlsplit(url).hostname not in LOCAL and not insecure:
        raise ClusterError(
            f"--cluster {cluster}: whoever reaches that cluster may run code on it, as it asks for"
            " no token; start it with RAY_AUTH_MODE=token and a token from `ray get-auth-token"
            " --generate` on every machine, or take the risk with --insecure-cluster"
        )
    if mode == "token":
        token.check_file()
    chosen = os.environ.get("RAY_API_SERVER_ADDRESS")
    os.environ["RAY_API_SERVER_ADDRESS"] = url  # Ray lets variables win over its argument
    try:
        client = client_of(url)
    except AuthenticationError as error:
        raise ClusterError(f"--cluster {cluster}: {_turned_away(error)}") from error
    except (RuntimeError, OSError, ValueError) as error:
        raise ClusterError(f"--cluster {cluster}: {last_line(str(error))}") from error
    finally:
        del os.environ["RAY_API_SERVER_ADDRESS"]
        if chosen is not None:
            os.environ["RAY_API_SERVER_ADDRESS"] = chosen
    return JobServer(cluster=cluster, client=client)


def _client_class(cluster: str) -> type[JobSubmissionClient]:
    try:
        import aiohttp  # noqa: F401 - Ray's client needs both and says so late
        import requests  # noqa: F401
        from ray.dashboard.modules.job import sdk
    except ImportError:
        raise ClusterError(
            f"--cluster {cluster}: Ray's job client is not installed; run:"
            " pip install 'paretune[cluster]'"
        ) from None
    sdk.logger.setLevel(logging.WARNING)
    logging.getLogger("ray.dashboard.modules.dashboard_sdk").setLevel(logging.WARNING)
    return sdk.JobSubmissionClient


def _url(cluster: str, address: str) -> str:
    parts = urlsplit(address if "://" in address else f"http://{address}")
    try:
        sound = parts.hostname and parts.port and parts.scheme in {"http", "https"}
    except ValueError:
        sound = False
    if not sound or parts.username or parts.path.strip("/") or parts.query:
        raise ClusterError(
            f"--cluster {cluster}: must be a cluster file such as ray_cluster.yaml, or the address"
            " of a job server such as http://127.0.0.1:8265"
        )
    return f"{parts.scheme}://{parts.netloc}"


def _authentication_mode(cluster: str, url: str) -> str:
    """``token`` or ``disabled``; the one thing every caller may ask."""
    try:
        with urllib.request.urlopen(
            f"{url}/api/authentication_mode", timeout=ANSWER_SECONDS
        ) as answer:
            return str(json.load(answer)["authentication_mode"])
    except urllib.error.HTTPError:
        return "disabled"  # of a Ray that has none yet
    except (OSError, ValueError, LookupError, TypeError) as error:
        reason = getattr(error, "reason", error)
        raise ClusterError(
            f"--cluster {cluster}: no job server answers at {url} ({reason}); is the cluster up,"
            " and was its head started with --include-dashboard=true? From another network, name"
            " the cluster file, or open a tunnel: ray dashboard ray_cluster.yaml"
        ) from error


def _turned_away(error: Exception) -> str:
    """What a refusal means for whoever gets it."""
    if str(error).startswith("Authentication failed"):
        return (
            f"has another token than {token.file()} (403); copy the cluster's ~/.ray/auth_token"
            " there"
        )
    return (
        f"asks for a token, and {token.file()} has none (401); copy the cluster's"
        " ~/.ray/auth_token there and run: chmod 600"
        f" {token.file()}"
    )


OPEN_SECONDS = 120.0
"""A tunnel that is not open by then does not open."""

CLOSE_SECONDS = 5.0

SAID = "The exception is: "
"""Before what has gone wrong, in Ray's words."""


@contextlib.contextmanager
def reach(cluster: str, *, insecure: bool = False) -> Iterator[JobServer]:
    """The job server of a cluster for as long as the context lasts.

    Args:
        cluster: a cluster file of Ray's, or the address of a job server.
        insecure: use one that lets in whoever reaches it.

    Raises:
        ClusterError: it cannot be reached, or must not be used.
    """
    path = Path(cluster).expanduser()
    if path.suffix not in {".yaml", ".yml"} and not path.is_file():
        yield connect(cluster, cluster, insecure=insecure)
        return
    if not path.is_file():
        raise ClusterError(f"--cluster {cluster}: no such file")
    with _tunnel(path) as address:
        yield connect(cluster, address, insecure=insecure)


@contextlib.contextmanager
def _tunnel(path: Path) -> Iterator[str]:
    """The address at which Ray forwards the job server of a cluster file to this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "ray.scripts.scripts", "dashboard", str(path)]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            end = time.monotonic() + OPEN_SECONDS
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > end:
                    said.seek(0)
                    reason = last_line(said.read()).removeprefix(SAID)
                    raise ClusterError(
                        f"--cluster {path}: no tunnel to its head could be opened ({reason}); look"
                        f" at: ray dashboard {path}"
                    )
                time.sleep(0.2)
            yield f"127.0.0.1:{port}"
        finally:
            _end(process)


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def _end(process: subprocess.Popen[str]) -> None:
    """Ends Ray's command and the ssh that it has started."""
    with contextlib.suppress(psutil.NoSuchProcess):
        family = [*psutil.Process(process.pid).children(recursive=True)]
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.terminate()
    process.terminate()
    try:
        process.wait(CLOSE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
