"""Sizes of the speed benchmark, the questions it uses, and where it keeps what it finds."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.load import Limits, load_dataset
from bench.data.sources import EMBEDDED
from bench.data.tasks.multiple_choice import Question

ROOT = Path(__file__).parents[2]
SCRATCH = ROOT / "runs" / "bench"
PUBLISHED = ROOT / "reports" / "published" / "speed.md"
DEFAULT_DATASET = ROOT.parent / "shared" / "data" / "openbookqa"
BATCH_SIZE = 16
MAX_LENGTH = 128
SEED = 0
MOST_TEST = 200


@dataclass(frozen=True, kw_only=True)
class Search:
    """Size of the comparison of a search that stops trials early with one that does not.

    Attributes:
        trials: per strategy.
        epochs: of a trial that is not stopped.
        train: questions a trial learns from.
        validation: questions it is validated on.
        batch_size: small, since in few steps nothing learns and the first rung ranks noise.
    """

    trials: int
    epochs: int
    train: int
    validation: int
    batch_size: int


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is run.

    Attributes:
        name: of the scale.
        lora_trials: of every system in section 1.
        full_trials: of every system in section 2.
        train: questions a trial learns from.
        full_train: the same in section 2, where a question takes twice as long.
        validation: questions it is validated on.
        overhead: numbers of trials of the strategy that does nothing, smallest first.
        rounds: alternations of ours and PEFT in the training-step section.
        batches: timed per round.
        worker_trials: LoRA trials with one worker and with two.
        search: see there.
        longer_search: the same in a section that runs only if it is named.
        seeds: per precision; 0 leaves the precision section out.
        precision_train: training questions of the precision section.
        precision_validation: validation questions of the precision section.
        gpu_trials: LoRA trials per setting on a GPU.
    """

    name: str
    lora_trials: int
    full_trials: int
    train: int
    full_train: int
    validation: int
    overhead: tuple[int, ...]
    rounds: int
    batches: int
    worker_trials: int
    search: Search
    longer_search: Search
    seeds: int
    precision_train: int
    precision_validation: int
    gpu_trials: int


SCALES = {
    scale.name: scale
    for scale in (
        Scale(
            name="whole",
            lora_trials=24,
            full_trials=6,
            train=512,
            full_train=256,
            validation=200,
            overhead=(10, 100, 1000),
            rounds=7,
            batches=4,
            worker_trials=4,
            search=Search(trials=8, epochs=4, train=128, validation=100, batch_size=4),
            longer_search=Search(trials=8, epochs=5, train=400, validation=300, batch_size=8),
            seeds=3,
            precision_train=256,
            precision_validation=300,
            gpu_trials=16,
        ),
        Scale(
            name="quick",
            lora_trials=4,
            full_trials=2,
            train=320,
            full_train=160,
            validation=200,
            overhead=(10, 100),
            rounds=3,
            batches=2,
            worker_trials=2,
            search=Search(trials=3, epochs=3, train=96, validation=100, batch_size=4),
            longer_search=Search(trials=8, epochs=5, train=192, validation=200, batch_size=8),
            seeds=0,
            precision_train=0,
            precision_validation=0,
            gpu_trials=8,
        ),
        Scale(
            name="smoke",
            lora_trials=2,
            full_trials=2,
            train=32,
            full_train=32,
            validation=20,
            overhead=(2, 4),
            rounds=2,
            batches=1,
            worker_trials=2,
            search=Search(trials=2, epochs=3, train=32, validation=20, batch_size=4),
            longer_search=Search(trials=2, epochs=3, train=48, validation=20, batch_size=4),
            seeds=1,
            precision_train=32,
            precision_validation=20,
            gpu_trials=2,
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What every section is given.

    Attributes:
        scale: how much is run.
        dataset: folder or known name the questions come from.
        dataset_name: as it is shown.
    """

    scale: Scale
    dataset: str
    dataset_name: str

    def questions(self, train: int, validation: int) -> Path:
        """A folder with the first questions of each split, the same bytes for every system."""
        folder = SCRATCH / "data" / f"{self.dataset_name}-{train}-{validation}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        limits = Limits(train=train, validation=validation, test=min(validation, MOST_TEST))
        for split, questions in load_dataset(self.dataset, limits).splits.items():
            write_questions(folder / f"{split}.jsonl", questions)
        return folder


def choose_dataset(given: str | None) -> str:
    """The dataset that was asked for, the one beside the project, or the embedded one."""
    if given is not None:
        return given
    return str(DEFAULT_DATASET) if DEFAULT_DATASET.is_dir() else EMBEDDED


def write_questions(path: Path, questions: tuple[Question, ...]) -> None:
    """Writes a split as JSON lines."""
    rows = [_row(question) for question in questions]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _row(question: Question) -> dict[str, Any]:
    labels = [chr(ord("A") + index) for index in range(len(question.choices))]
    return {
        "id": question.identifier,
        "question": question.text,
        "choices": {"text": list(question.choices), "label": labels},
        "answerKey": labels[question.answer],
    }


def fresh(name: str) -> Path:
    """An empty working folder."""
    folder = SCRATCH / "work" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
