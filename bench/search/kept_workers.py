"""Workers that wait for their next trial or are still starting, where Tune would end them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial as TuneTrial


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
