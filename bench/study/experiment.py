"""Find and check everything a study needs before its first trial; nothing is written."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from transformers import PretrainedConfig, PreTrainedTokenizerBase
from upath import UPath

from bench import __version__
from bench.anatomy import positions, skeleton
from bench.data.load import Limits, SealedDataset, load_dataset, sealed
from bench.data.tokens import TokenSplit, tokenise
from bench.errors import Faults
from bench.metrics import METRICS
from bench.pretrained.source import ModelSource, locate, tokenizer_fingerprint
from bench.records.spec import TrialSpec, content_hash
from bench.records.study_record import BaselineScore, Freeze, Knob, StudyRecord, TaskWords
from bench.records.trial_record import TrialRecord
from bench.space import Value
from bench.storage.files import Location, files
from bench.storage.ledger import Ledger
from bench.storage.locks import Share
from bench.study.arm import Arm
from bench.study.file import Study, StudyFile
from bench.study.provenance import code_fingerprint, commit, outdated
from bench.study.request import USUAL, Request
from bench.task import AnyTask, Baseline, Example
from bench.training.measure import count
from bench.training.speed.checkpointing import cannot_checkpoint


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A study whose inputs exist.

    Attributes:
        study: what was asked.
        ledger: the run folder.
        dataset: its examples, those of the test under seal.
        source: its model.
        config: the model's configuration.
        tokenizer: the model's tokenizer.
        data: content hash of what trials learn from and are validated on.
        request: what a person asked for.
    """

    study: Study
    ledger: Ledger
    dataset: SealedDataset
    source: ModelSource
    config: PretrainedConfig
    tokenizer: PreTrainedTokenizerBase
    data: str
    request: Request

    @property
    def task(self) -> AnyTask:
        """What is learnt."""
        return self.dataset.task

    @property
    def planned(self) -> dict[str, int]:
        """Trials per arm."""
        return {arm.name: self.study.planned(arm) for arm in self.study.arms}

    @property
    def share(self) -> Share:
        """The part of the search that this command runs."""
        return self.request.options.shard

    @property
    def spaces(self) -> dict[str, dict[str, Knob]]:
        """Searched dimension or fixed value per knob and arm."""
        return {
            arm.name: {**dict(sorted(arm.space.knobs.items())), **dict(sorted(arm.fixed.items()))}
            for arm in self.study.arms
        }

    def awaited(self, records: Iterable[TrialRecord]) -> int:
        """Planned trials, of all shares, that no record stands for."""
        return sum(self.planned.values()) - len(self.searched(records))

    def mine(self, records: Iterable[TrialRecord]) -> list[TrialRecord]:
        """Those of these settings, data and code, about as they came to the rungs."""
        contexts = self.contexts
        found = [record for record in records if contexts.get(record.arm) == record.context]
        return sorted(found, key=lambda record: (record.arm, record.number))

    def searched(self, records: Iterable[TrialRecord]) -> list[TrialRecord]:
        """Of these, planned trials of the search."""
        planned = self.planned
        return [
            record
            for record in self.mine(records)
            if not record.confirms and record.number < planned[record.arm]
        ]

    @property
    def contexts(self) -> dict[str, str]:
        """Context per arm."""
        return {arm.name: self.context(arm) for arm in self.study.arms}

    def tokens(self, split: str) -> TokenSplit:
        """The examples of an open split as the model reads them."""
        return self._tokens(self.dataset.splits[split])

    def test_tokens(self, freeze: Freeze) -> TokenSplit:
        """The test examples, for what was frozen."""
        return self._tokens(self.dataset.test.open(freeze))

    def _tokens(self, examples: Sequence[Example]) -> TokenSplit:
        return tokenise(self.task, examples, self.tokenizer, self.study.file.max_length)

    def spec(
        self,
        arm: Arm,
        number: int,
        values: Mapping[str, Value],
        *,
        seed: int | None = None,
        confirms: str | None = None,
    ) -> TrialSpec:
        """One trial of an arm.

        Args:
            arm: any of the study's.
            number: of the trial.
            values: of what is searched.
            seed: a fresh one; by default the search's.
            confirms: see ``TrialSpec``.
        """
        strategy, learning_rate = arm.build(values)
        return TrialSpec(
            study=self.study.name,
            arm=arm.name,
            number=number,
            task=self.task,
            strategy=strategy,
            learning_rate=learning_rate,
            seed=self.study.file.seed if seed is None else seed,
            settings=self.study.file.settings,
            data=self.data,
            model=self.source.fingerprint,
            code=code_fingerprint(arm.strategy, type(self.task)),
            context=self.context(arm),
            confirms=confirms,
            objective=self.study.file.objective,
        )

    def spec_of(self, record: TrialRecord, *, seed: int | None = None) -> TrialSpec:
        """The spec of a record, or of the trial that repeats it with a fresh seed."""
        arm = next(arm for arm in self.study.arms if arm.name == record.arm)
        values = {knob: record.values[knob] for knob in arm.space.knobs}
        if seed is None:
            seed, confirms = record.seed, record.confirms
        else:
            confirms = record.fingerprint
        return self.spec(arm, record.number, values, seed=seed, confirms=confirms)

    def context(self, arm: Arm) -> str:
        """Content hash of everything an arm was asked for, but the number of trials."""
        file, space = self.study.file, arm.space
        return content_hash(
            [
                asdict(file.settings),
                [file.sampler, file.seed, self.data, self.source.fingerprint],
                [self.task.identity, file.objective],
                [
                    arm.strategy.name,
                    code_fingerprint(arm.strategy, type(self.task)),
                    dict(arm.fixed),
                ],
                {name: repr(dimension) for name, dimension in space.knobs.items()},
                [dict(start) for start in space.starts],
            ]
        )

    def refusals(self) -> dict[str, str]:
        """Reason per arm whose first configuration cannot be run on this model."""
        reasons = {arm.name: self.plan_spec(arm).refusal(self.config) for arm in self.study.arms}
        return {name: reason for name, reason in reasons.items() if reason is not None}

    def plan_spec(self, arm: Arm) -> TrialSpec:
        """An arm's first configuration, for questions asked before anything runs."""
        start = arm.space.starts[0] if arm.space.starts else {}
        return self.spec(arm, 0, arm.complete(start))

    def record(
        self, *, truncated: float, tokenise_seconds: float, notices: tuple[str, ...]
    ) -> StudyRecord:
        """What ``study.json`` says; longer than other functions, as every field has its line.

        Args:
            truncated: share of sequences that were cut.
            tokenise_seconds: for training and validation examples.
            notices: what was found besides the data's own notices.
        """
        file, splits = self.study.file, self.dataset.splits
        answers = tuple(self.task.answer(example) for example in splits["validation"])
        return StudyRecord(
            name=self.study.name,
            command=self.request.command,
            request=self.request.to_json(self.study),
            commit=commit(),
            paretune=__version__,
            model=self.source.name,
            model_fingerprint=self.source.fingerprint,
            tokenizer=tokenizer_fingerprint(self.tokenizer),
            total_parameters=count(skeleton(self.config).parameters()),
            dataset=self.dataset.name,
            splits=self.dataset.summaries,
            task=self.task.name,
            words=TaskWords(example=self.task.words.example, examples=self.task.words.examples),
            task_settings=self.task.settings,
            columns=self.dataset.columns.named,
            objective=file.objective,
            baselines=self._baselines(answers),
            truncated=truncated,
            tokenise_seconds=tokenise_seconds,
            arms={arm.name: arm.strategy.name for arm in self.study.arms},
            contexts=self.contexts,
            spaces=self.spaces,
            starts={arm.name: len(arm.space.starts) for arm in self.study.arms},
            answers=answers,
            planned=self.planned,
            settings=file.settings,
            sampler=file.sampler,
            seed=file.seed,
            confirm=file.confirm,
            halving=file.halving_rule,
            left_out=self.study.left_out,
            notices=(*self.dataset.notices, *notices),
        )

    def _baselines(self, answers: Sequence[int]) -> tuple[BaselineScore, ...]:
        splits = self.dataset.splits
        return tuple(
            BaselineScore(name=each.name, said=each.said, scores=_told(self.task, each, answers))
            for each in self.task.baselines(splits["train"], splits["validation"])
        )


def _told(task: AnyTask, baseline: Baseline, answers: Sequence[int]) -> dict[str, float]:
    """The metrics of a task that can be told of a baseline."""
    outcome = baseline.outcome(answers)
    found = {name: METRICS[name].of(outcome) for name in task.metrics}
    return {name: score for name, score in found.items() if score is not None}


def prepare(
    study: Study, folder: Location, request: Request = USUAL, faults: Faults | None = None
) -> Experiment:
    """Finds and checks model, data and run folder.

    Args:
        study: what is asked.
        folder: the run folder.
        request: of which it is the study.
        faults: what is wrong already, to be told together with what is found here.

    Raises:
        InputError: with everything that is wrong with any of them.
    """
    file = study.file
    faults = faults or Faults()
    faults.add(*outdated())
    source = dataset = None
    with faults.gathered():
        source = locate(file.model)
        config, tokenizer = source.config(), source.tokenizer()
        faults.add(*_unfit(file, config, tokenizer))
    limits = Limits(train=file.train_limit, validation=file.validation_limit, test=file.test_limit)
    load = partial(load_dataset, file.dataset, limits, task=study.task, columns=file.columns)
    with faults.gathered():
        dataset = sealed(load)
        faults.add(*_unknown_to(dataset.task, file.objective))
    faults.add(*_unusable(folder))
    faults.raise_any()
    assert source is not None
    assert dataset is not None
    shown = [dataset.summaries[split].fingerprint for split in dataset.splits]
    return Experiment(
        study=study,
        ledger=Ledger(folder),
        dataset=dataset,
        source=source,
        config=config,
        tokenizer=tokenizer,
        data=content_hash([*shown, tokenizer_fingerprint(tokenizer)]),
        request=request,
    )


def _unknown_to(task: AnyTask, objective: str) -> list[str]:
    """Why a task is not searched by an objective."""
    if objective in task.metrics:
        return []
    known = ", ".join(task.metrics)
    return [f"--objective {objective}: task {task.name} is judged by {known}"]


def _unfit(
    file: StudyFile, config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase
) -> list[str]:
    """What the model cannot do of what is asked."""
    problems = []
    most = min(limit for limit in (positions(config), tokenizer.model_max_length) if limit)
    if file.max_length > most:
        problems.append(f"--max-length {file.max_length}: the model has {most} positions")
    if file.gradient_checkpointing and (reason := cannot_checkpoint(config)):
        problems.append(f"--gradient-checkpointing: {reason}; leave it out, or use another model")
    if file.pooling == "cls" and tokenizer.cls_token is None:
        problems.append(
            "--pooling cls: this model's text does not begin with a [CLS] token; use"
            " --pooling last (decoders) or mean"
        )
    return problems


def _unusable(folder: Location) -> list[str]:
    """Why nothing can be written to a folder, which may not exist yet."""
    if not isinstance(folder, Path):
        return _unreachable(folder)
    if folder.exists() and not folder.is_dir():
        return [f"--out {folder}: is a file, a folder is needed"]
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "study.json").exists():
        ours = re.compile(r"\.(.*\.)?lock|\..*\.tmp")
        foreign = [path.name for path in folder.iterdir() if not ours.fullmatch(path.name)]
        if foreign:
            return [f"--out {folder}: holds {foreign[0]} but no study; choose an empty folder"]
    nearest = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not os.access(nearest, os.W_OK):
        return [f"--out {folder}: cannot be written"]
    return []


def _unreachable(folder: UPath) -> list[str]:
    """Why a place in a store cannot be read, or is another's."""
    try:
        names = {path.name for path in files(folder, "")}
    except OSError as error:
        return [f"--out {folder}: {error}"]
    foreign = sorted(name for name in names if not name.startswith("."))
    if foreign and "study.json" not in names:
        return [f"--out {folder}: holds {foreign[0]} but no study; choose an empty place"]
    return []
