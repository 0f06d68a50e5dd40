"""What one node of a cluster says of itself, asked where paretune may be missing or another one.

The functions here travel by value and use the standard library alone, so that a node needs no more
than Ray to answer. They take and give plain values. Nothing of ``bench`` is imported.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

TORCH = """
import json, torch
numbers = range(torch.cuda.device_count() if gpus else 0)
found = [torch.cuda.get_device_properties(n) for n in numbers]
print(json.dumps({
    "cuda": torch.version.cuda or torch.version.hip,
    "gpus": [{"name": gpu.name, "bytes": gpu.total_memory} for gpu in found],
    "cannot_compile": reason,
}))
"""
TORCH_SECONDS = 25
DRIVER_ONLY = "bench/cli/"
"""Code that runs on no node."""
NODE_SETTINGS = ("RAY_memory_monitor_refresh_ms", "CUDA_VISIBLE_DEVICES")


def probe(question: dict[str, Any]) -> dict[str, Any]:
    """What there is on this node.

    Args:
        question: ``packages`` to tell the version of; ``roots``: packages and modules whose code
            counts; ``hashes`` of the code where the question comes from, by file; ``gpus``:
            whether torch is asked for them; ``toolchain``: a program that defines
            ``cannot_compile``, ``None`` if that is no question; ``folder`` where results go,
            ``None`` if that is none, and in it ``token``, a file of ``content``, and ``own``, a
            file to leave.
    """
    raylet = _raylet()
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in question["packages"]},
        "code": {root: code_of(root, question["hashes"]) for root in question["roots"]},
        "cores": os.cpu_count(),
        "cpu": _first(r"model name\s*:\s*(.+)", "/proc/cpuinfo"),
        "driver": _first(r"NVRM version:.*?\s(\d+\.[\d.]+)", "/proc/driver/nvidia/version"),
        "torch": _torch(question, raylet) if question["gpus"] or question["toolchain"] else None,
        "raylet": raylet,
        "token_mode": _token_mode(),
        "open_files": resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        "results": leave(question) if question["folder"] else None,
    }


def farewell(question: dict[str, Any]) -> int:
    """Takes away what ``probe`` has left, and tells the time: nanoseconds since 1970."""
    moment = time.time_ns()
    if question["folder"]:
        remove(place_of(question["folder"]) / question["own"])
    return moment


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def code_of(root: str, known: dict[str, str]) -> dict[str, str | None] | None:
    """Text per file, ``None`` where it is known already; no dictionary if it is not installed."""
    spec = importlib.util.find_spec(root)
    if spec is None:
        return None
    folders = spec.submodule_search_locations
    if not folders:
        path = Path(spec.origin or "")
        return {path.name: _unknown(path, path.name, known)} if path.suffix == ".py" else {}
    found = {}
    for folder in map(Path, folders):
        for path in sorted(folder.rglob("*.py")):
            name = f"{root}/{path.relative_to(folder).as_posix()}"
            if not name.startswith(DRIVER_ONLY):
                found[name] = _unknown(path, name, known)
    return found


def _unknown(path: Path, name: str, known: dict[str, str]) -> str | None:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() == known.get(name):
        return None
    return content.decode("utf-8", "replace")


def _raylet() -> dict[str, Any] | None:
    """How the node's own process was started; ``None`` outside a cluster."""
    process = os.getppid()
    while process > 1:
        words = _text(f"/proc/{process}/cmdline").split("\0")
        if Path(words[0]).name == "raylet":
            settings = dict(
                line.partition("=")[::2] for line in _text(f"/proc/{process}/environ").split("\0")
            )
            plasma = (word.partition("=")[2] for word in words if "plasma_directory=" in word)
            return {
                "settings": {name: settings.get(name) for name in NODE_SETTINGS},
                "plasma": next(plasma, None),
            }
        stat = _text(f"/proc/{process}/stat").rpartition(")")[2].split()
        process = int(stat[1]) if stat else 0
    return None


def _torch(question: dict[str, Any], raylet: dict[str, Any] | None) -> dict[str, Any]:
    """What torch sees and can do, asked in a process of its own: this one may be shown no GPUs."""
    reason = "cannot_compile()" if question["toolchain"] else "None"
    program = f"{question['toolchain'] or ''}\ngpus, reason = {question['gpus']}, {reason}\n{TORCH}"
    try:
        asked = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", program],
            env=_environment(raylet) if question["gpus"] else None,
            capture_output=True,
            text=True,
            timeout=TORCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"torch does not load within {TORCH_SECONDS} s"}
    try:
        said: dict[str, Any] = json.loads(asked.stdout.splitlines()[-1])
        return said
    except (ValueError, IndexError):
        return {"error": f"torch does not load: {(asked.stderr.splitlines() or [''])[-1]}"}


def _environment(raylet: dict[str, Any] | None) -> dict[str, str]:
    """That of a process which is shown every GPU of the node."""
    environment = dict(os.environ)
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    visible = raylet["settings"]["CUDA_VISIBLE_DEVICES"] if raylet else None
    if visible is not None:
        environment["CUDA_VISIBLE_DEVICES"] = visible
    return environment


def _token_mode() -> int | None:
    """Permissions of the file with the cluster's token; ``None`` if there is none."""
    try:
        path = os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token"
        return Path(path).stat().st_mode & 0o777
    except (OSError, RuntimeError):  # no such file, or a user without a home
        return None


def leave(question: dict[str, Any]) -> dict[str, Any]:
    """Whether the driver's file is here, and why none can be written, if that is so.

    Where the driver's file is not, ours would not reach the driver, which could not remove it.
    """
    seen = False
    try:
        place = place_of(question["folder"])
        own = place / question["own"]
        seen = read(place / question["token"]) == question["content"]
        own.write_bytes(question["content"])
        if not seen:
            remove(own)
    except Exception as error:  # noqa: BLE001 - stores outside file systems raise what they like
        return {"seen": seen, "unwritable": told(error)}
    return {"seen": seen, "unwritable": None}


def told(error: Exception) -> str:
    """What an error of a file system or an object store says, on one line."""
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0]}" if said else type(error).__name__


def place_of(text: str) -> Any:
    """A folder, or the like of it in an object store."""
    if "://" not in text:
        return Path(text)
    from upath import UPath

    return UPath(text)


def read(path: Any) -> bytes | None:
    """The content of a file; ``None`` if there is none that can be read."""
    try:
        content: bytes = path.read_bytes()
        return content
    except Exception:  # noqa: BLE001 - stores outside file systems raise what they like
        return None


def remove(path: Any) -> None:
    """Removes a file, if that can be done."""
    with contextlib.suppress(Exception):  # likewise
        path.unlink()


def _first(pattern: str, path: str) -> str | None:
    found = re.search(pattern, _text(path))
    return found.group(1).strip() if found else None


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
