"""Come to a cluster's job server: is it one, does it let us in, and does it let in everyone?"""

from __future__ import annotations

import json
import logging
import os
import urllib.error
import urllib.request
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ray.exceptions import AuthenticationError

from bench.errors import ClusterError
from bench.search.cluster import LOCAL, check_token_file, token_file
from bench.search.jobs import JobServer, last_line

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

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
        check_token_file()
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
            f"has another token than {token_file()} (403); copy the cluster's ~/.ray/auth_token"
            " there"
        )
    return (
        f"asks for a token, and {token_file()} has none (401); copy the cluster's"
        " ~/.ray/auth_token there and run: chmod 600"
        f" {token_file()}"
    )
