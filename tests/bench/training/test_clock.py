"""The stopwatch: sums of spans, whatever happens inside them."""

import time

import pytest

from bench.training.measure import Stopwatch


class Counter:
    """A counter that stands where it is put."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def counter() -> Counter:
    return Counter()


def test_spans_of_one_name_are_summed_and_names_kept_apart(counter: Counter) -> None:
    clock = Stopwatch(now=counter)
    for seconds in (1.0, 2.5):
        with clock.span("train"):
            counter.seconds += seconds
        with clock.span("validation"):
            counter.seconds += 10 * seconds
        counter.seconds += 1000
    assert clock.seconds == {"train": 3.5, "validation": 35.0}


def test_time_is_counted_when_an_error_leaves_a_span(counter: Counter) -> None:
    clock = Stopwatch(now=counter)

    def fail() -> None:
        with clock.span("train"):
            counter.seconds += 4
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        fail()
    assert clock.seconds == {"train": 4.0}


def test_the_device_is_waited_for_at_both_ends_of_a_span(counter: Counter) -> None:
    queued = [5.0]

    def synchronise() -> None:
        counter.seconds += sum(queued)
        queued.clear()

    clock = Stopwatch(synchronise, now=counter)
    with clock.span("train"):
        queued.append(2.0)
    assert clock.seconds == {"train": 2.0}


def test_one_call_is_timed_with_the_work_it_queued_and_outside_all_spans(counter: Counter) -> None:
    queued = [5.0]

    def synchronise() -> None:
        counter.seconds += sum(queued)
        queued.clear()

    clock = Stopwatch(synchronise, now=counter)
    assert clock.time(lambda: queued.append(3.0)) == 3.0
    assert clock.seconds == {}


def test_a_reader_cannot_change_the_sums(counter: Counter) -> None:
    clock = Stopwatch(now=counter)
    with clock.span("train"):
        counter.seconds += 1
    clock.seconds["train"] = 0.0
    assert clock.seconds == {"train": 1.0}


def test_setting_the_wall_clock_back_changes_no_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    hours = iter(range(24, 0, -1))
    monkeypatch.setattr(time, "time", lambda: 3600.0 * next(hours))
    monkeypatch.setattr(time, "time_ns", lambda: 3600 * 10**9 * next(hours))
    clock = Stopwatch()
    with clock.span("train"):
        time.sleep(0.002)
    assert 0.002 <= clock.seconds["train"] < 60
    assert clock._now is time.perf_counter
    assert time.get_clock_info("perf_counter").monotonic
