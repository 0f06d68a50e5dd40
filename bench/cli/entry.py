"""From the command line to an exit code, whatever happens on the way."""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import Any

from bench.cli.app import app
from bench.cli.console import BAD_INPUT, SOME_FAILED, SUCCESS, err
from bench.cli.supervise import say_last_word
from bench.cluster import token
from bench.errors import InputError, StorageError
from bench.records.scrub import scrub


def main() -> None:
    """Runs the command line; the exit code is 0, 1 (trials failed), 2 (bad input) or 130."""
    # Set before any library reads them: a tool run offline must not wait for telemetry.
    token.offer()
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    code = _run()
    if code is not None:
        say_last_word(code)
    sys.exit(SOME_FAILED if code is None else code)


def _run() -> int | None:
    """The exit code; ``None`` after a fault of ours or of Ray, which a supervisor may mend."""
    try:
        app()
    except SystemExit as ended:  # usage errors with 2, an interrupt with 130
        return ended.code if isinstance(ended.code, int) else SUCCESS
    except InputError as error:
        _tell(str(error), {"error": error.title, "problems": error.problems})
        return BAD_INPUT
    except StorageError as error:
        _tell(str(error), {"error": "stopped", "problems": [str(error)]})
        return SOME_FAILED
    except Exception:  # noqa: BLE001 - told in full but for secrets
        sys.stderr.write(scrub(traceback.format_exc()))
        return None
    return SUCCESS


def _tell(text: str, document: dict[str, Any]) -> None:
    if "--json" in sys.argv:
        print(scrub(json.dumps(document)))  # noqa: T201
    else:
        err.print(scrub(text), markup=False, highlight=False, soft_wrap=True)
