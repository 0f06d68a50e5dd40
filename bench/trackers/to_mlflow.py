"""Trials as MLflow runs, through Ray's callback: at MLFLOW_TRACKING_URI, or in the run folder."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from ray.air.integrations.mlflow import MLflowLoggerCallback

from bench.records.scrub import scrub
from bench.trackers.base import End, Likeness, TrackedRun

RUN = "paretune.run"
"""Tag that tells the run folder."""

PAGE = 1000


class Mlflow(MLflowLoggerCallback):
    """One MLflow run per trial in an experiment named as the study.

    A run that an earlier command has begun is taken up again, not made twice.

    Args:
        run: which trials belong to.
    """

    def __init__(self, run: TrackedRun) -> None:
        given = os.environ.get("MLFLOW_TRACKING_URI")
        self._folder = run.folder / "mlflow"
        self._is_ours = not given
        self._run = run.run
        self._address = given or f"sqlite:///{self._folder / 'mlflow.db'}"
        super().__init__(
            tracking_uri=self._address,
            experiment_name=os.environ.get("MLFLOW_EXPERIMENT_NAME") or run.study,
            tags={RUN: run.run},
        )
        self._found: dict[str, str] = {}

    def setup(self, *args: Any, **kwargs: Any) -> None:
        """Opens the store, and looks up what earlier commands have tracked."""
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        if self._is_ours:
            self._folder.mkdir(parents=True, exist_ok=True)
        try:
            super().setup()  # type: ignore[no-untyped-call]
        except MlflowException:  # another command may have made the experiment meanwhile
            super().setup()  # type: ignore[no-untyped-call]
        self._client = MlflowClient(tracking_uri=self._address)
        self._found = {
            run.data.params.get("fingerprint", ""): run.info.run_id for run in self._runs()
        }

    def _runs(self) -> list[Run]:
        experiments = [str(self.mlflow_util.experiment_id)]
        wanted = f"tags.`{RUN}` = '{self._run}'"
        found: list[Run] = []
        token = None
        while True:
            page = self._client.search_runs(experiments, wanted, max_results=PAGE, page_token=token)
            found.extend(page)
            token = page.token
            if not token:
                return found

    @property
    def where(self) -> str:
        """The address of the store, without secrets."""
        return scrub(self._address)

    def folder(self, name: str) -> Path:
        """Nothing is written there: MLflow writes to its store."""
        return self._folder

    def knows(self, trial: Likeness) -> bool:
        """Whether an earlier command has begun its run."""
        return trial.fingerprint in self._found

    def log_trial_start(self, trial: Likeness) -> None:
        """Begins a run, or goes on with that of an earlier command."""
        if self.knows(trial):
            self._trial_runs[trial] = self._found[trial.fingerprint]
            self._client.update_run(self._trial_runs[trial], status="RUNNING")
        super().log_trial_start(trial)

    def end(self, trial: Likeness, how: End) -> None:
        """Closes the run in the state that the trial has come to."""
        identifier = self._trial_runs[trial]
        for name, text in trial.said.items():
            self._client.set_tag(identifier, name, text)
        self.log_trial_end(trial, failed=how is End.FAILED)
        if how is End.KILLED:
            self._client.set_terminated(identifier, status=str(how))
        self._found[trial.fingerprint] = self._trial_runs.pop(trial)

    def add(self, trial: Likeness, result: dict[str, Any]) -> None:
        """Adds figures to a run, which may have been closed."""
        self._trial_runs[trial] = self._found[trial.fingerprint]
        self.log_trial_result(0, trial, result)
        del self._trial_runs[trial]

    def close(self) -> None:
        """Nothing: everything was written at once."""
