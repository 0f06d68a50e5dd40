"""Trials as runs of Weights & Biases, through Ray's callback: online with a key, else offline."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import ray
import wandb
from ray.air.integrations.wandb import WandbLoggerCallback, _WandbLoggingActor

from bench.search.tracked import STEP, End, Likeness, Place

PROJECT = "paretune"
HOST = "https://api.wandb.ai"
EXIT_CODE = "exit_code"
FLUSH_SECONDS = 60
OFFLINE = ("offline", "disabled", "dryrun")


class _Ends(ModuleType):
    """The module ``wandb`` with a ``finish`` that says how a trial has ended."""

    def __init__(self) -> None:
        super().__init__(wandb.__name__)
        self.exit_code = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(wandb, name)

    def finish(self) -> None:
        """Closes the run as finished or failed."""
        wandb.finish(exit_code=self.exit_code)


class _Actor(_WandbLoggingActor):
    """Ray's process that writes one run; it ends the run as the trial has ended."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._wandb = self._ends = _Ends()
        self._logdir = ""  # would be stored with the run: a path of this machine

    def _handle_result(self, result: dict[str, Any]) -> Any:
        self._ends.exit_code = result.pop(EXIT_CODE, 0)
        return super()._handle_result(result)


class WeightsAndBiases(WandbLoggerCallback):
    """One run per trial, in the group of the study.

    A run that an earlier command has begun is taken up again under its name.

    Args:
        place: of the run.
    """

    _logger_actor_cls = _Actor

    def __init__(self, place: Place) -> None:
        self._folder = place.folder / "wandb"
        self._begun: set[str] = set()
        self.AUTO_CONFIG_KEYS = ["status", "reason"]  # words, which Ray would leave out
        key = _key()
        self.mode = _mode(bool(key))
        super().__init__(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            group=place.study,
            api_key=None if self.mode in OFFLINE else key,
            upload_timeout=FLUSH_SECONDS,
            mode=self.mode,
            dir=str(place.folder),
            resume="allow",
            reinit="finish_previous",
            settings=wandb.Settings(
                console="off",
                disable_code=True,
                disable_git=True,
                host="",
                init_timeout=30,
                silent=True,
                x_disable_machine_info=True,
                x_disable_meta=True,
                x_disable_stats=True,
                x_save_requirements=False,
            ),
        )

    def setup(self, *args: Any, **kwargs: Any) -> None:
        """Makes the folder. Nobody is asked for a key."""
        os.environ["WANDB_MODE"] = self.mode
        self._folder.mkdir(parents=True, exist_ok=True)
        super().setup()  # type: ignore[no-untyped-call]

    @property
    def where(self) -> str:
        """The project, or the folder and how to send it on."""
        if self.mode in OFFLINE:
            return f"{self._folder} ({self.mode}; `wandb sync` uploads it)"
        return f"project {self.project}"

    def folder(self, name: str) -> Path:
        """One folder for all: wandb makes folders of its own there."""
        return self._folder

    def knows(self, trial: Likeness) -> bool:
        """Whether it was begun by this command, or has a folder of an earlier one."""
        begun = trial.trial_id in self._begun
        return begun or any(self._folder.glob(f"*run-*-{trial.trial_id}*"))

    def log_trial_start(self, trial: Likeness) -> None:
        """Begins a run in a process of its own, or goes on with that of an earlier command."""
        self._begun.add(trial.trial_id)
        super().log_trial_start(trial)

    def end(self, trial: Likeness, how: End) -> None:
        """Adds how it ended, and closes the run."""
        code = int(how is End.FAILED)
        self.log_trial_result(0, trial, {STEP: trial.epoch, EXIT_CODE: code, **trial.said})
        self.log_trial_end(trial, failed=how is End.FAILED)

    def add(self, trial: Likeness, result: dict[str, Any]) -> None:
        """Opens the run again for some more figures, once those before it are closed."""
        self._cleanup_logging_actors(timeout=FLUSH_SECONDS)
        self.log_trial_start(trial)
        self.log_trial_result(0, trial, result)
        self.log_trial_end(trial)

    def close(self) -> None:
        """Waits until every run is written, or sent."""
        self.on_experiment_end([])

    def _cleanup_logging_actor(self, trial: Likeness) -> None:
        future = self._trial_logging_futures[trial]
        ended = ray.wait([future], timeout=0)[0]
        super()._cleanup_logging_actor(trial)
        if ended:
            ray.get(future)  # Ray drops the error of a run that could not be opened


def _mode(has_key: bool) -> str:
    asked = os.environ.get("WANDB_MODE")
    if asked in OFFLINE:
        return asked
    return "online" if has_key else "offline"


def _key() -> str | None:
    """The key that a person has set or logged in with; ``None`` without one."""
    if key := os.environ.get("WANDB_API_KEY"):
        return key
    host = urlsplit(os.environ.get("WANDB_BASE_URL", HOST)).hostname or ""
    path = os.environ.get("NETRC") or Path.home() / ".netrc"
    try:
        found = netrc.netrc(str(path)).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return None
    return found[2] if found else None
