"""Whether the Hugging Face Hub can be reached, asked once and quickly."""

from __future__ import annotations

import socket
from functools import cache
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants


@cache
def hub_is_reachable(seconds: float = 5.0) -> bool:
    """Whether a connection to the configured endpoint opens; never with ``HF_HUB_OFFLINE=1``.

    Without this question a machine that is offline waits through half a minute of retries.
    """
    if constants.HF_HUB_OFFLINE:
        return False
    endpoint = urlsplit(constants.ENDPOINT)
    if endpoint.scheme in getproxies():
        return True  # whether the proxy can reach it only the real request will tell
    port = endpoint.port or (443 if endpoint.scheme == "https" else 80)
    try:
        socket.create_connection((endpoint.hostname or "", port), timeout=seconds).close()
    except OSError:
        return False
    return True
