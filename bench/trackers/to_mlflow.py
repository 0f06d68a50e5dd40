"""Trials as MLflow runs: at MLFLOW_TRACKING_URI, or in the run folder."""

from __future__ import annotations

import contextlib
import logging
import os

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from bench.records.events import TrialOutline
from bench.records.trial_record import TrialRecord
from bench.trackers.base import End, Figures, RunIdentity, Tracker, parameters

RUN = "paretune.run"
"""Tag that tells the run folder."""

PAGE = 1000


class Mlflow(Tracker):
    """One MLflow run per trial in an experiment named as the study.

    A run that an earlier command has begun is taken up again, not made twice.
    """

    def __init__(self, identity: RunIdentity) -> None:
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        address = os.environ.get("MLFLOW_TRACKING_URI")
        if not address:
            folder = identity.folder / "mlflow"
            folder.mkdir(parents=True, exist_ok=True)
            address = f"sqlite:///{folder / 'mlflow.db'}"
        self.where = address
        self._client = MlflowClient(tracking_uri=address)
        self._experiment = self._open(os.environ.get("MLFLOW_EXPERIMENT_NAME") or identity.study)
        self._tags = {RUN: identity.run}
        self._runs = self._find(f"tags.`{RUN}` = '{identity.run}'")

    def _open(self, name: str) -> str:
        """The experiment that a person has set, else the one of a name; made if there is none."""
        if given := os.environ.get("MLFLOW_EXPERIMENT_ID"):
            with contextlib.suppress(MlflowException):
                return str(self._client.get_experiment(given).experiment_id)
        if found := self._client.get_experiment_by_name(name):
            return str(found.experiment_id)
        try:
            return str(self._client.create_experiment(name))
        except MlflowException:  # another command may have made it meanwhile
            if found := self._client.get_experiment_by_name(name):
                return str(found.experiment_id)
            raise

    def _find(self, wanted: str) -> dict[str, str]:
        """Runs that earlier commands have begun, by fingerprint."""
        runs: dict[str, str] = {}
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment], wanted, max_results=PAGE, page_token=token
            )
            runs |= {run.data.params.get("fingerprint", ""): run.info.run_id for run in page}
            token = page.token
            if not token:
                return runs

    def begin(self, trial: TrialOutline) -> None:
        run = self._runs.get(trial.fingerprint)
        if run is None:
            tags = {**self._tags, "trial_name": trial.name}
            made = self._client.create_run(self._experiment, run_name=trial.name, tags=tags)
            run = self._runs[trial.fingerprint] = made.info.run_id
        else:
            self._client.update_run(run, status="RUNNING")
        for name, value in parameters(trial).items():
            self._client.log_param(run, name, value)

    def log(self, fingerprint: str, epoch: int, figures: Figures) -> None:
        for name, value in figures.items():
            self._client.log_metric(self._runs[fingerprint], name, float(value), step=epoch)

    def end(self, fingerprint: str, how: End, words: dict[str, str]) -> None:
        for name, text in words.items():
            self._client.set_tag(self._runs[fingerprint], name, text)
        self._client.set_terminated(self._runs[fingerprint], status=str(how))

    def add(self, record: TrialRecord, epoch: int, figures: Figures) -> None:
        if record.fingerprint in self._runs:
            self.log(record.fingerprint, epoch, figures)
