"""The exception tree: one family, whole sentences, and nothing lost on the way from a worker."""

import inspect
import pickle

import pytest

from bench import errors
from bench.errors import (
    ClusterError,
    DataError,
    ExportError,
    ExportRefused,
    InputError,
    LedgerError,
    ModelError,
    PareTuneError,
    PluginError,
    StorageError,
    StudyError,
    TrialDiverged,
    TrialRefused,
    summary,
)

EXAMPLES = [
    PareTuneError("something"),
    InputError("rank: must be above 0", "dropout: must be below 1"),
    DataError("train.jsonl:3: id: is missing"),
    ModelError("no such model"),
    StudyError("trials = 0: must be at least 1", "seed = -1: must be at least 0"),
    ClusterError("--cluster x: does not answer"),
    LedgerError("runs/x: no study.json here"),
    ExportRefused("--to x: holds y already", "no trial 'lora-9' in this run"),
    ExportError("x: no paretune.json here"),
    StorageError("runs/x/trials/a.json", 2134, 17, "No space left on device"),
    PluginError("ia3", "it does not import"),
    TrialRefused("prefix", "the model has no attention"),
    TrialDiverged(7, float("inf")),
]


def test_every_exception_of_the_module_has_an_example() -> None:
    members = inspect.getmembers(errors, inspect.isclass)
    defined = {kind for _, kind in members if issubclass(kind, Exception)}
    assert {type(error) for error in EXAMPLES} == defined


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_exception_comes_out_of_a_pickle_with_the_same_sentence(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert isinstance(again, PareTuneError)


@pytest.mark.parametrize(
    "error", [error for error in EXAMPLES if error.args], ids=lambda error: type(error).__name__
)
def test_a_sentence_tells_everything_the_exception_was_given(error: Exception) -> None:
    assert [str(part) for part in error.args if str(part) not in str(error)] == []


def test_an_input_error_lists_all_problems() -> None:
    error = StudyError("first fault", "second fault", "third fault")
    assert error.problems == ("first fault", "second fault", "third fault")
    assert str(error).splitlines() == [
        "the study cannot be run: 3 problems",
        "  - first fault",
        "  - second fault",
        "  - third fault",
    ]


def test_a_single_problem_takes_one_line() -> None:
    assert str(DataError("the file is empty")) == "the dataset cannot be used: the file is empty"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("one\ntwo"), "ValueError: one"),
        (RuntimeError("the backend raised:\n\nno compiler\nmore"), "RuntimeError: the backend"
         " raised: no compiler"),
        (MemoryError(), "MemoryError:"),
        (ValueError("nothing follows:"), "ValueError: nothing follows:"),
    ],
)  # fmt: skip
def test_an_error_in_one_line_says_what_it_announces(error: Exception, line: str) -> None:
    assert summary(error) == line
