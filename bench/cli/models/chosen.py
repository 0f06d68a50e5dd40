"""A trial of a run by the name a person calls it, its base model, and what it has stored."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from bench import __version__
from bench.cli.recipe import inputs_of
from bench.data.load import OPEN_SPLITS
from bench.errors import ExportRefused, InputError, LedgerError
from bench.export.forms import FORMS
from bench.export.manifest import Base, Manifest
from bench.export.trained import find_base, strategy_of, task_told
from bench.pretrained.source import ModelSource, tokenizer_fingerprint
from bench.records.spec import TrialSpec, content_hash
from bench.records.study_record import Run, StudyRecord
from bench.records.trial_record import Status, TrialRecord
from bench.storage.files import Location, local_copy
from bench.storage.ledger import Ledger
from bench.study.provenance import code_fingerprint
from reports.analysis import analyse
from reports.recommend import Advice, Wishes, recommend

BEST = "best"


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A trial of a run.

    Attributes:
        ledger: the run folder.
        run: what it holds.
        record: the trial.
        spec: the trial as it would be run by what is installed here, without its data.
    """

    ledger: Ledger
    run: Run
    record: TrialRecord
    spec: TrialSpec

    @property
    def base(self) -> Base:
        """The pretrained model."""
        study = self.run.study
        return Base(
            name=study.model,
            address=inputs_of(study).model,
            fingerprint=study.model_fingerprint,
            tokenizer=study.tokenizer,
        )

    def source(self, instead: str | None) -> ModelSource:
        """The pretrained model, found here.

        Args:
            instead: where to look; by default where the run had it.

        Raises:
            ModelError: it is not there, or not the same.
        """
        return find_base(self.base, instead)

    def notes(self, source: ModelSource) -> tuple[str, ...]:
        """What may make the model another than that of the run, one sentence each."""
        splits = self.run.study.splits
        shown = [splits[split].fingerprint for split in OPEN_SPLITS]
        data = content_hash([*shown, tokenizer_fingerprint(source.tokenizer())])
        if replace(self.spec, data=data).fingerprint == self.record.fingerprint:
            return ()
        return (
            "The code of the strategy, that of the training or the tokenizer is not that of the run"
            " any more: the model was built by what is installed now.",
        )

    def manifest(
        self, form: str, source: ModelSource, epochs: int, trained_on: tuple[str, ...]
    ) -> Manifest:
        """What an export of this trial is."""
        spec, record = self.spec, self.record
        return Manifest(
            format=form,
            paretune=__version__,
            study=self.run.study.name,
            trial=record.trial,
            fingerprint=record.fingerprint,
            task=spec.task.name,
            task_settings=spec.task.settings,
            columns=self.run.study.columns,
            strategy=record.strategy,
            knobs=record.knobs,
            learning_rate=record.learning_rate,
            seed=spec.seed,
            settings=spec.settings,
            epochs=epochs,
            trained_on=trained_on,
            base=self.base.model_copy(
                update={
                    "address": source.address,
                    "tokenizer": tokenizer_fingerprint(source.tokenizer()),
                }
            ),
        )

    def tensors(self) -> dict[str, torch.Tensor]:
        """What the trial has stored.

        Raises:
            ExportRefused: it has stored nothing, or that is not here.
        """
        record, path = self.record, self.ledger.checkpoint(self.record.fingerprint)
        again = f"paretune train {shlex.quote(str(self.ledger.folder))} {record.trial} --to FOLDER"
        if record.status is not Status.COMPLETED:
            way = f"train it: {again}" if record.accuracy else "choose another trial"
            raise ExportRefused(
                f"{record.trial} ended as {record.status.replace('_', ' ')}"
                f" ({record.reason}) and has no checkpoint; {way}"
            )
        try:
            with local_copy(path) as file:
                return load_file(file)
        except FileNotFoundError:
            raise ExportRefused(
                f"{record.trial}: {path} is not there; if the run was fetched from a cluster, bring"
                f" what was trained too: paretune fetch --checkpoints; or train it again: {again}"
            ) from None
        except (OSError, SafetensorError) as error:
            raise ExportRefused(
                f"{record.trial}: {path} cannot be read ({error}); train it again: {again}"
            ) from error


def choose(folder: Location, name: str) -> Chosen:
    """Finds a trial.

    Args:
        folder: the run folder.
        name: of the trial, or ``best`` for what ``paretune recommend`` names.

    Raises:
        LedgerError: it is no run folder, has no such trial, or nothing to recommend yet.
        ExportError: the trial's strategy or task is not installed.
    """
    ledger = Ledger(folder)
    run = ledger.run()
    record = _best(run, folder) if name == BEST else _named(run, name)
    return Chosen(ledger=ledger, run=run, record=record, spec=_spec(run.study, record))


def _best(run: Run, folder: Location) -> TrialRecord:
    analysis = analyse(run)
    if analysis.entries:
        found = recommend(analysis, Wishes())
        if isinstance(found, Advice):
            return found.chosen.confirmed.trial
    raise LedgerError(
        f"{folder}: no configuration has a test score yet, so none is best; name a trial, or run:"
        f" paretune confirm {shlex.quote(str(folder))}"
    )


def _named(run: Run, name: str) -> TrialRecord:
    known = {record.trial: record for record in (*run.former, *run.confirmed, *run.searched)}
    if name in known:
        return known[name]
    close = get_close_matches(name, known, n=3, cutoff=0.5)
    told = f"did you mean {' or '.join(close)}?" if close else f"trials are {_some(list(known))}"
    raise LedgerError(f"no trial {name!r} in this run; {told} {BEST!r} is the recommended one")


def _some(names: list[str]) -> str:
    shown = ", ".join(sorted(names)[:8])
    return f"{shown} …;" if len(names) > 8 else f"{shown};" if names else "none yet;"


def _spec(study: StudyRecord, record: TrialRecord) -> TrialSpec:
    strategy = strategy_of(record.strategy, record.knobs)
    task = task_told(study.task, study.task_settings)
    return TrialSpec(
        study=study.name,
        arm=record.arm,
        number=record.number,
        task=task,
        strategy=strategy,
        learning_rate=record.learning_rate,
        seed=record.seed,
        settings=study.settings,
        data="",
        model=study.model_fingerprint,
        code=code_fingerprint(type(strategy), type(task)),
        context=record.context,
        confirms=record.confirms,
        objective=study.objective,
    )


def check_form(name: str) -> None:
    """Makes sure that there is such a form.

    Raises:
        InputError: there is none.
    """
    if name not in FORMS:
        raise InputError(f"--format {name}: must be one of {', '.join(FORMS)}")


def folder_size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
