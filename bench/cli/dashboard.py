"""The command ``paretune dashboard``: a run's trials in Optuna's dashboard, on this machine."""

from __future__ import annotations

import contextlib
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from bench.cli.console import SUCCESS, out
from bench.errors import Faults, InputError
from bench.storage.files import Location
from bench.storage.ledger import Ledger

HOST = "127.0.0.1"
"""Reached from this machine alone: whoever reaches a dashboard may change what it shows."""

PORTS = 65535


class _Server(ThreadingMixIn, WSGIServer):
    """Answers requests side by side; an open one does not keep the process."""

    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    """Writes no line per request."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        pass


def show_dashboard(folder: Location, port: int, export_only: Path | None) -> int:
    """Writes the studies of a run to a file and serves Optuna's dashboard until Ctrl-C.

    Args:
        folder: the run folder.
        port: of this machine; 0 takes any that is free.
        export_only: the file to write, without a dashboard.

    Raises:
        InputError: it is no run folder, the dashboard is not installed, or the port is taken.
        StorageError: the file cannot be written.
    """
    faults, run, application = Faults(), None, None
    ledger = Ledger(folder)
    with faults.gathered():
        run = ledger.run()
    if export_only is None:
        with faults.gathered():
            application = _application_of()
        if not 0 <= port <= PORTS:
            faults.add(f"--port {port}: must be 0 … {PORTS}")
    faults.raise_any()
    assert run is not None
    from bench.tune.optuna_export import export_studies

    kept = ledger.report_folder
    beside = kept / "optuna.db" if isinstance(kept, Path) else Path(f"{run.study.name}.db")
    path = export_only or beside
    export_studies(run, path)
    out.print(f"Optuna studies: {path}", markup=False, highlight=False, soft_wrap=True)
    if application is not None:
        _serve(application(f"sqlite:///{path}"), port)
    return SUCCESS


def _application_of() -> Any:
    """What makes the dashboard's application of a storage."""
    try:
        from optuna_dashboard import wsgi  # type: ignore[import-untyped]
    except ImportError:
        raise InputError(
            "the dashboard is not installed; run: pip install 'paretune[dashboard]', or use"
            " --export-only FILE for Optuna's own tools"
        ) from None
    return wsgi


def _serve(application: Any, port: int) -> None:
    try:
        server = make_server(HOST, port, application, _Server, _Quiet)
    except OSError as error:
        raise InputError(
            f"--port {port}: {error.strerror}; name another one, or 0 for any that is free"
        ) from error
    with server:
        address = f"http://{HOST}:{server.server_port}/"
        out.print(f"dashboard: {address} (Ctrl-C ends it)", highlight=False, soft_wrap=True)
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
