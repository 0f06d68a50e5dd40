"""Tune's scheduler for a study: stops trials at rungs, and keeps workers that Tune would end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ray.tune.experiment import Trial as TuneTrial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController


class KeptWorkers:
    """Has Tune keep every worker while there is more to be done.

    Tune keeps as many free workers as trials are staged, and at least one. A trial is staged when
    one has ended, so of workers that end in the same instant all but one are lost, and their
    successors import, load and read everything anew. And a trial whose own worker is starting is
    given the first that is free, which ends the one that starts: where trials are shorter than
    that takes, the first workers have all the work. Both are decided in private parts of Tune's
    controller, behind the view that schedulers are shown; no setting reaches them.

    Args:
        wanted: how many workers there is more to do for.
    """

    def __init__(self, wanted: Callable[[], int]) -> None:
        self._wanted = wanted
        self._kept = 0
        self._resources: Any = None

    def adjust(self, view: TuneController, waiting: list[TuneTrial]) -> None:
        """Tells Tune how many to keep; called at every step.

        Args:
            view: of the controller.
            waiting: trials that have not begun; all trials ask for the same.
        """
        if waiting:
            self._resources = waiting[0].placement_group_factory
        more = self._wanted() - self._kept
        if more and self._resources is not None:
            self._kept += more
            _controller(view)._actor_cache.increase_max(self._resources, more)

    def without_one(self, view: TuneController, waiting: list[TuneTrial]) -> list[TuneTrial]:
        """Those of the trials that wait for which no worker is starting."""
        starting = _controller(view)._trial_to_actor
        return [trial for trial in waiting if trial not in starting]


def _controller(view: TuneController) -> Any:
    return view._tune_controller  # type: ignore[attr-defined]


class HalvingScheduler(FIFOScheduler):
    """Stops trials for Tune, first come first served otherwise.

    Args:
        stops: whether the trial of that Tune name, with that result, is to be stopped.
        kept: workers that are kept for further trials.
    """

    _supports_buffered_results = False

    def __init__(
        self, stops: Callable[[str, dict[str, Any]], bool], kept: KeptWorkers | None = None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stops = stops
        self._kept = kept
        self._order: dict[str, int] = {}
        self._added = 0

    def on_trial_add(self, tune_controller: TuneController, trial: TuneTrial) -> None:
        """Notes a trial's place in the queue; one that is tried again goes to its end."""
        self._added += 1
        self._order[trial.trial_id] = self._added

    def on_trial_complete(
        self, tune_controller: TuneController, trial: TuneTrial, result: dict[str, Any]
    ) -> None:
        """Forgets a trial that has ended."""
        self._order.pop(trial.trial_id, None)

    def on_trial_error(self, tune_controller: TuneController, trial: TuneTrial) -> None:
        """Forgets a trial that has failed."""
        self._order.pop(trial.trial_id, None)

    def choose_trial_to_run(self, tune_controller: TuneController) -> TuneTrial | None:
        """The first in the queue that waits to begin, else the first that was paused.

        Ray's own looks through all trials that there have ever been, twice at every step. Where
        workers are kept, trials for which none is starting go before the others.
        """
        alive = list(tune_controller.get_live_trials())
        pending = [trial for trial in alive if trial.status == TuneTrial.PENDING]
        paused = [trial for trial in alive if trial.status == TuneTrial.PAUSED]
        waiting = [pending, paused]
        if self._kept:
            self._kept.adjust(tune_controller, pending)
            waiting = [self._kept.without_one(tune_controller, pending), *waiting]
        first: list[TuneTrial] = next(filter(None, waiting), [])
        return min(first, key=lambda trial: self._order.get(trial.trial_id, 0), default=None)

    def on_trial_result(
        self, tune_controller: TuneController, trial: TuneTrial, result: dict[str, Any]
    ) -> str:
        """What Tune is to do with a trial after an epoch."""
        stop = self._stops(trial.trial_id, result)
        return str(TrialScheduler.STOP if stop else TrialScheduler.CONTINUE)
