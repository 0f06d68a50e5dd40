"""How a configuration of a run is trained again: by a command, and by a Python program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import yaml

from bench.metrics import ACCURACY
from bench.plugins import NAME, file_name
from bench.records.spec import TrainSettings
from bench.records.study_record import StudyRecord
from bench.records.trial_record import TrialRecord
from bench.space import Value
from bench.strategy import is_installed
from bench.study.file import StudyFile
from bench.study.provenance import shown_command
from bench.study.request import Request, typed
from bench.study.run_options import shown

SPLITS = ("train", "validation", "test")
LONGEST_NAME = 80
"""Characters of a study's name."""

PROGRAM = """\
from pathlib import Path

import torch
from safetensors.torch import load_file

from bench.data.load import Limits, load_dataset
from bench.task import known_task
from bench.training.measure import load_trained
from bench.training.model import choose_precision
from bench.pretrained.source import locate
from bench.records.spec import TrainSettings, TrialSpec
from bench.strategy import find_strategy
from bench.task import Columns
from bench.data.tokens import tokenise
from bench.training.trial import Trial
from bench.training.worker_state import Workbench

strategy = find_strategy({name!r})({knobs})
settings = TrainSettings({settings})
source = locate({model!r})
dataset = load_dataset(
    {dataset!r}, Limits({limits}), task=known_task({task!r}), columns=Columns({columns})
)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
train, validation = (
    tokenise(dataset.task, dataset.splits[split], source.tokenizer(), settings.max_length)
    for split in ("train", "validation")
)
workbench = Workbench(
    backbone=source.backbone(), train=train, validation=validation, device=device,
    precision=choose_precision(settings.precision, device), device_shared=False,
)
spec = TrialSpec(
    task=dataset.task, strategy=strategy, learning_rate={rate!r}, seed={seed}, settings=settings,
    study={study!r}, arm={arm!r}, number=0, data="", model="", code="", context="",
    objective={objective!r},
)
trained = Path({file!r})
trial = Trial(spec, workbench, trained)
while not (progress := trial.advance()).ended:
    print("epoch", progress.epoch, "validation", progress.validation)
print(progress.record.status, progress.record.accuracy and progress.record.accuracy.validation)

model = workbench.adapted(spec)
load_trained(model, load_file(trained))
"""


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a study was asked to use, as it can be asked for again.

    Attributes:
        model: name or folder, with the revision that was used if it came from the Hub.
        dataset: name or folder.
        limits: most examples per split that was cut.
        file: the study file or preset that was named; ``None`` without one.
    """

    model: str
    dataset: str
    limits: Mapping[str, int]
    file: str | None


def inputs_of(study: StudyRecord) -> Inputs:
    """From what a study was asked to use."""
    request = Request.recorded(study)
    asked = request.study or {}
    limits = {split: asked.get(f"{split}_limit") for split in SPLITS}
    return Inputs(
        model=_pinned(asked["model"], study.model_fingerprint),
        dataset=asked["dataset"],
        limits={split: limit for split, limit in limits.items() if limit},
        file=request.file,
    )


def _pinned(model: str, fingerprint: str) -> str:
    kind, _, commit = fingerprint.partition(":")
    return f"{model}@{commit}" if kind == "revision" and "@" not in model else model


def command_for(study: StudyRecord, record: TrialRecord, inputs: Inputs) -> str:
    """The command that trains a configuration once, as a study of one trial.

    Settings are named where they differ from the defaults. Some have no option: if one of them
    differs, the study's file stands in the command, and every option with it.

    Args:
        study: of the trial.
        record: of the search.
        inputs: of the study.
    """
    asked, changed = asdict(study.settings), _changed(study.settings)
    keys = [name for name in asked if shown(StudyFile, name)]
    needs_file = bool(changed.keys() - set(keys))
    trial = file_name(record.trial)
    label = f"{study.name[: LONGEST_NAME - len(trial) - 1]}-{trial}"
    words = ["sweep", *([inputs.file] if needs_file and inputs.file else [])]
    words += ["--name", label if NAME.fullmatch(label) else trial]
    words += ["--model", inputs.model, "--dataset", inputs.dataset]
    words += ["--task", study.task]
    for role, column in study.columns.items():
        words += [f"--{role}-column", column]
    words += ["--objective", study.objective] if study.objective != ACCURACY else []
    words += ["--strategies", record.strategy]
    for knob, value in record.values.items():
        words += ["--set", f"{record.strategy}.{knob}={_yaml(value)}"]
    words += ["--trials", "1", "--confirm", "0"]
    for name in keys:
        words += typed(StudyFile, name, asked[name]) if needs_file or name in changed else []
    for split, limit in inputs.limits.items():
        words += [f"--{split}-limit", str(limit)]
    words += ["--seed", str(record.seed)] if record.seed or needs_file else []
    words += ["--no-halving"] if needs_file else []
    return shown_command(words)


def _yaml(value: Value) -> str:
    """A value as YAML reads it back, numbers to the last digit."""
    if isinstance(value, str):
        return value if yaml.safe_load(value) == value else json.dumps(value)
    return json.dumps(value)


def program_for(study: StudyRecord, record: TrialRecord, inputs: Inputs) -> str | None:
    """A Python program that trains a configuration and loads what it has learnt.

    ``None`` if its strategy is not installed any more.
    """
    if not is_installed(record.strategy):
        return None
    cut = {split: limit for split, limit in inputs.limits.items() if split != "test"}
    return PROGRAM.format(
        name=record.strategy,
        knobs=_arguments(record.knobs),
        settings=_arguments(_changed(study.settings)),
        limits=_arguments(cut),
        task=study.task,
        columns=_arguments(study.columns),
        objective=study.objective,
        model=inputs.model,
        dataset=inputs.dataset,
        study=study.name,
        arm=record.arm,
        rate=record.learning_rate,
        seed=record.seed,
        file=f"{file_name(record.trial)}.safetensors",
    )


def _changed(settings: TrainSettings) -> dict[str, object]:
    """Settings that are not at their defaults."""
    default = asdict(TrainSettings())
    return {name: value for name, value in asdict(settings).items() if value != default[name]}


def _arguments(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in values.items())
