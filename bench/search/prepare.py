"""Find and check everything a study needs before its first trial; nothing is written."""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path

from transformers import PretrainedConfig, PreTrainedTokenizerBase
from upath import UPath

from bench.anatomy import positions
from bench.checkpointing import cannot_checkpoint
from bench.data import Limits, load_dataset
from bench.errors import Faults
from bench.ledger import Ledger
from bench.location import Location
from bench.provenance import outdated
from bench.sealed import sealed
from bench.search.prepared import Prepared
from bench.source import locate, tokenizer_fingerprint
from bench.spec import content_hash
from bench.storage import files
from bench.study import Study, StudyFile
from bench.task import AnyTask


def prepare(study: Study, folder: Location, command: str, faults: Faults | None = None) -> Prepared:
    """Finds and checks model, data and run folder.

    Args:
        study: what is asked.
        folder: the run folder.
        command: that was typed.
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
    return Prepared(
        study=study,
        ledger=Ledger(folder),
        dataset=dataset,
        source=source,
        config=config,
        tokenizer=tokenizer,
        data=content_hash([*shown, tokenizer_fingerprint(tokenizer)]),
        command=command,
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
