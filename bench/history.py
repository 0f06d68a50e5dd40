"""What a trial answered on validation: before it learnt, after each epoch, and at its best."""

from __future__ import annotations

from collections.abc import Sequence

from bench.measure import Answers
from bench.metrics import ACCURACY, METRICS, Outcome, figure
from bench.record import Accuracy, Scores
from bench.task import AnyTask
from bench.tokens import Integers


class History:
    """See the module.

    Args:
        task: names the metrics.
        objective: the metric that chooses the best epoch, the first of equals.
        right: right answer per validation example.
        before: given before the first step.

    Attributes:
        best_epoch: counted from 1; 0 before there is one.
    """

    def __init__(self, task: AnyTask, objective: str, right: Integers, before: Outcome) -> None:
        self._metrics: Sequence[str] = task.metrics
        self._objective = METRICS[objective]
        self._right = right
        self._before = before
        self._per_epoch: list[Outcome] = []
        self._best: Answers | None = None
        self.best_epoch = 0

    def __len__(self) -> int:
        return len(self._per_epoch)

    def add(self, answers: Answers) -> bool:
        """Notes what was answered after an epoch.

        Returns:
            Whether it is the best so far.
        """
        self._per_epoch.append(answers.outcome(self._right))
        rank = self._rank(len(self))
        if self.best_epoch and rank <= self._rank(self.best_epoch):
            return False
        self.best_epoch, self._best = len(self), answers
        return True

    def _rank(self, epoch: int) -> float:
        return self._objective.rank(self._score(self._per_epoch[epoch - 1]))

    def _score(self, outcome: Outcome) -> float:
        return figure(self._objective.name, outcome)

    @property
    def last(self) -> float | None:
        """The objective after the last epoch; ``None`` before there is one."""
        return self._score(self._per_epoch[-1]) if self._per_epoch else None

    def accuracy(self) -> Accuracy:
        """Accuracies, for the record. An epoch has been added."""
        assert self._best is not None
        per_epoch = tuple(figure(ACCURACY, outcome) for outcome in self._per_epoch)
        return Accuracy(
            before=figure(ACCURACY, self._before),
            per_epoch=per_epoch,
            validation=per_epoch[self.best_epoch - 1],
            best_epoch=self.best_epoch,
            predictions=tuple(self._best.given.tolist()),
        )

    def scores(self) -> Scores:
        """The objective, and all metrics at the best epoch, for the record."""
        assert self._best is not None
        best = self._per_epoch[self.best_epoch - 1]
        return Scores(
            objective=self._objective.name,
            before=self._score(self._before),
            per_epoch=tuple(map(self._score, self._per_epoch)),
            validation={name: figure(name, best) for name in self._metrics},
            confidences=self._best.packed,
        )
