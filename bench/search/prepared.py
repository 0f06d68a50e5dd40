"""A study whose inputs exist: what its trials are, and what its run folder says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from transformers import PretrainedConfig, PreTrainedTokenizerBase

from bench import __version__
from bench.anatomy import skeleton
from bench.arm import Arm
from bench.ledger import Ledger
from bench.measure import count
from bench.metrics import METRICS
from bench.provenance import code_fingerprint, commit
from bench.record import TrialRecord
from bench.sealed import SealedDataset
from bench.search.halving import Rungs
from bench.search.news import News, no_news
from bench.search.plan import Plan
from bench.share import WHOLE, Share
from bench.source import ModelSource, tokenizer_fingerprint
from bench.space import Choice, Value
from bench.spec import TrialSpec, content_hash
from bench.study import Study
from bench.study_record import Freeze, StudyRecord
from bench.task import AnyTask, Baseline, Example
from bench.task_record import BaselineScore, TaskWords
from bench.tokens import TokenSplit, tokenise


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A study whose inputs exist.

    Attributes:
        study: what was asked.
        ledger: the run folder.
        dataset: its examples, those of the test under seal.
        source: its model.
        config: the model's configuration.
        tokenizer: the model's tokenizer.
        data: content hash of what trials learn from and are validated on.
        command: the command that was typed.
        share: the part of the search that this command runs.
    """

    study: Study
    ledger: Ledger
    dataset: SealedDataset
    source: ModelSource
    config: PretrainedConfig
    tokenizer: PreTrainedTokenizerBase
    data: str
    command: str
    share: Share = WHOLE

    @property
    def task(self) -> AnyTask:
        """What is learnt."""
        return self.dataset.task

    @property
    def planned(self) -> dict[str, int]:
        """Trials per arm."""
        return {arm.name: self.study.planned(arm) for arm in self.study.arms}

    @property
    def spaces(self) -> dict[str, dict[str, str]]:
        """Searched range or fixed value per knob and arm, as text."""
        return {arm.name: _shown_space(arm) for arm in self.study.arms}

    def plan(self) -> Plan:
        """A fresh plan of all trials of this command's share."""
        file = self.study.file
        return Plan(
            self.study.arms,
            planned=self.planned,
            sampler=file.sampler,
            seed=file.seed,
            make_spec=self.spec,
            rungs=Rungs(file.halving_rule, file.epochs),
            share=self.share,
            objective=file.objective,
            news=News(self.ledger, self.searched) if self.share.is_part else no_news,
        )

    def left(self) -> dict[str, int]:
        """Trials per arm that no record of the run folder stands for."""
        plan = self.plan()
        for record in self.searched(self.ledger.records().readable.values()):
            plan.keep(record)
        return plan.left_by_arm

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
        """Reason per arm that cannot adapt this model."""
        reasons = {
            arm.name: self.plan_spec(arm).strategy.refuse(self.config) for arm in self.study.arms
        }
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
            command=self.command,
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
            bounds={arm.name: _bounds(arm) for arm in self.study.arms},
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


def _shown_space(arm: Arm) -> dict[str, str]:
    searched = {name: str(arm.space.knobs[name]) for name in sorted(arm.space.knobs)}
    return {**searched, **{name: str(value) for name, value in sorted(arm.fixed.items())}}


def _bounds(arm: Arm) -> dict[str, tuple[float, float]]:
    return {
        name: (dimension.low, dimension.high)
        for name, dimension in arm.space.knobs.items()
        if not isinstance(dimension, Choice)
    }
