"""A real S3 server on this machine, and what a process needs to reach it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import requests
import s3fs
from moto.server import ThreadedMotoServer

BUCKET = "bucket"


@dataclass(frozen=True)
class Store:
    """A server that holds one bucket.

    Attributes:
        endpoint: its address.
    """

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which the libraries of the store find it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": "something",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    @property
    def files(self) -> s3fs.S3FileSystem:
        """A client with which tests look at what is there."""
        return s3fs.S3FileSystem(
            endpoint_url=self.endpoint,
            key="someone",
            secret="something",
            use_listings_cache=False,
            skip_instance_cache=True,
        )


@contextlib.contextmanager
def s3_store() -> Iterator[Store]:
    """A server for as long as the context lasts."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    s3fs.S3FileSystem.clear_instance_cache()  # one of an earlier server has its address
    try:
        host, port = server.get_host_and_port()
        store = Store(f"http://{host}:{port}")
        requests.post(f"{store.endpoint}/moto-api/reset", timeout=30)  # of an earlier server
        store.files.mkdir(BUCKET)
        yield store
    finally:
        server.stop()
