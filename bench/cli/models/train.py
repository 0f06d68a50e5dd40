"""The command ``paretune train``: a chosen configuration, trained on all but the test questions."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import torch

from bench.cli.console import SOME_FAILED, SUCCESS, counted
from bench.cli.models.chosen import Chosen
from bench.cli.models.export import Wanted, say, write
from bench.cli.recipe import inputs_of
from bench.data.load import OPEN_SPLITS, Limits, SealedDataset, load_dataset, sealed
from bench.data.tokens import tokenise
from bench.errors import ExportRefused, TrialDiverged, TrialRefused
from bench.export.card import Story
from bench.export.train import train_final
from bench.export.trained import Trained, sample_of
from bench.pretrained.source import ModelSource
from bench.study.provenance import shown_command
from bench.task import Columns
from bench.training.loop import is_out_of_memory
from bench.training.model import choose_precision
from bench.training.trial import failure
from bench.training.worker_state import Workbench


def train_trial(wanted: Wanted, seed: int | None, dataset: str | None) -> int:
    """Trains a configuration anew, writes an export and returns the exit code.

    Args:
        wanted: what was asked; see ``Wanted``.
        seed: of head, new layers, dropout and order; ``None`` for the trial's.
        dataset: where the data lies; ``None`` where the run had it.

    Raises:
        InputError: with everything that is wrong.
        StorageError: it cannot be written.
    """
    chosen, source = wanted.checked()
    epochs = _epochs(chosen)
    notes = chosen.notes(source)
    if seed is not None:
        chosen = replace(chosen, spec=replace(chosen.spec, seed=seed))
    data = _dataset(chosen, dataset)
    chosen = replace(chosen, spec=replace(chosen.spec, task=data.task))
    workbench = _workbench(chosen, source, data)
    examples = workbench.train.split.examples
    _say_plan(wanted, chosen, epochs, examples)
    try:
        with counted(data.task.words.examples, examples * epochs) as tell:
            tensors = train_final(chosen.spec, workbench, epochs, tell)
    except (TrialRefused, TrialDiverged, MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError | RuntimeError) and not is_out_of_memory(error):
            raise
        say(f"not trained: {failure(chosen.spec, error).reason}", to_errors=True)
        return SOME_FAILED
    story = Story(
        run=chosen.run,
        record=chosen.record,
        splits=data.summaries,
        command=shown_command(sys.argv[1:]),
        notes=(*_notes(chosen, data, epochs, examples), *notes),
    )
    manifest = chosen.manifest(wanted.form, source, epochs, OPEN_SPLITS)
    write(wanted, Trained(chosen.spec, source, tensors), manifest, story)
    return SUCCESS


def _epochs(chosen: Chosen) -> int:
    """For how many epochs the trial was trained when it was best.

    Raises:
        ExportRefused: it never came so far.
    """
    record = chosen.record
    if record.accuracy is None:
        raise ExportRefused(
            f"{record.trial} ended as {record.status.replace('_', ' ')} ({record.reason}) before"
            " its first epoch was scored, so nobody knows for how long to train it; choose another"
            " trial"
        )
    return record.accuracy.best_epoch


def _dataset(chosen: Chosen, instead: str | None) -> SealedDataset:
    study = chosen.run.study
    inputs = inputs_of(study)
    load = partial(
        load_dataset,
        instead or inputs.dataset,
        Limits(**inputs.limits),
        task=type(chosen.spec.task),
        columns=Columns(**study.columns),
    )
    return sealed(load)


def _workbench(chosen: Chosen, source: ModelSource, data: SealedDataset) -> Workbench:
    """One whose training examples are those of both open splits.

    Nothing is validated, so that made-up examples stand where those of validation would.
    """
    task, settings, tokenizer = data.task, chosen.spec.settings, source.tokenizer()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    everything = [example for split in OPEN_SPLITS for example in data.splits[split]]
    return Workbench(
        backbone=source.backbone(),
        train=tokenise(task, everything, tokenizer, settings.max_length),
        validation=tokenise(task, sample_of(task, tokenizer), tokenizer, settings.max_length),
        device=device,
        precision=choose_precision(settings.precision, device),
        device_shared=False,
    )


def _say_plan(wanted: Wanted, chosen: Chosen, epochs: int, examples: int) -> None:
    if not wanted.as_json:
        splits, words = " and ".join(OPEN_SPLITS), chosen.spec.task.words
        say(
            f"training {chosen.record.trial} on {examples} {words.examples} of {splits}"
            f" for {epochs} of {chosen.spec.settings.epochs} epochs, where the trial was best, with"
            f" seed {chosen.spec.seed}; no test {words.example} is learnt from"
        )


def _notes(chosen: Chosen, data: SealedDataset, epochs: int, examples: int) -> Iterator[str]:
    words = data.task.words
    yield (
        f"These weights were trained anew on the {examples} {words.examples} of"
        f" {' and '.join(OPEN_SPLITS)}, and on no test {words.example}. Training ended after epoch"
        f" {epochs}, after which the trial {chosen.record.trial} was best, on the learning-rate"
        " schedule of that trial. The figures below are of trials that learnt from train alone:"
        f" nothing is left to score these weights on but the test {words.examples}, which have been"
        " answered for the comparison."
    )
    before = chosen.run.study.splits
    changed = [split for split in data.summaries if data.summaries[split] != before.get(split)]
    if changed:
        yield f"The data is not that of the run any more: {', '.join(changed)} differ."
