"""The scoring head as files, and put back on a backbone: all that knows its shape."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn

from bench.export.manifest import HEAD_USE, HEAD_WEIGHTS, HeadUse, read_part, write_part
from bench.records.spec import TrainSettings
from bench.strategy import PeftAdapter
from bench.task import AnyTask
from bench.training.model import TaskModel


def head_use(width: int, settings: TrainSettings, adapter: PeftAdapter | None = None) -> HeadUse:
    """How the head of a trial is used.

    Args:
        width: features of a state.
        settings: of the trial.
        adapter: what PEFT loads the backbone from, if it does.
    """
    called = adapter or PeftAdapter(config={}, tensors={})
    return HeadUse(
        pooling=settings.pooling,
        width=width,
        dropout=settings.head_dropout,
        leading_states=called.leading_states,
        drops_types=called.drops_types,
        first_position=called.first_position,
    )


def write_head(folder: Path, head: nn.Module, use: HeadUse) -> None:
    """Writes weights and use of the head."""
    tensors = {name: p.detach().cpu().contiguous() for name, p in head.named_parameters()}
    save_file(tensors, folder / HEAD_WEIGHTS)
    write_part(folder / HEAD_USE, use)


def read_use(folder: Path) -> HeadUse:
    """How the head of an export is used.

    Raises:
        ExportError: it cannot be read.
    """
    return read_part(folder / HEAD_USE, HeadUse)


def with_head(backbone: nn.Module, folder: Path, use: HeadUse, task: AnyTask) -> TaskModel:
    """A backbone with the head of an export, called with a batch.

    Raises:
        OSError: the weights cannot be read.
    """
    model = TaskModel(task, backbone, width=use.width, pooling=use.pooling, dropout=use.dropout)
    model.head.load_state_dict(load_file(folder / HEAD_WEIGHTS))
    return model.eval()
