"""A loaded backbone in a form that processes of one machine can share without copying."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from bench.anatomy import skeleton


@dataclass(frozen=True, kw_only=True, eq=False)
class Weights:
    """Configuration and tensors of a backbone.

    Pickled, the arrays travel as buffers of their own; where the receiver maps them instead of
    reading them, as Ray's object store does, every process of a node uses the same memory.

    Attributes:
        config: of the model.
        parameters: by dotted name; tied ones are the same array.
        buffers: by dotted name, those that checkpoints leave out among them.
    """

    config: PretrainedConfig
    parameters: dict[str, npt.NDArray[np.float32]]
    buffers: dict[str, npt.NDArray[np.generic]]

    @classmethod
    def of(cls, backbone: PreTrainedModel) -> Weights:
        """Shares memory with ``backbone``."""
        arrays: dict[int, npt.NDArray[np.float32]] = {}
        return cls(
            config=copy.deepcopy(backbone.config),
            parameters={
                name: arrays.setdefault(id(parameter), parameter.detach().numpy())
                for name, parameter in backbone.named_parameters(remove_duplicate=False)
            },
            buffers={name: buffer.numpy() for name, buffer in backbone.named_buffers()},
        )

    def backbone(self) -> PreTrainedModel:
        """The model, on the memory of the arrays, every parameter trainable.

        It is there to be copied: where that memory is shared, nobody may write to it.
        """
        backbone = skeleton(self.config)
        parameters = {id(array): nn.Parameter(_tensor(array)) for array in self.parameters.values()}
        for name, array in self.parameters.items():
            owner, _, last = name.rpartition(".")
            setattr(backbone.get_submodule(owner), last, parameters[id(array)])
        for name, values in self.buffers.items():
            owner, _, last = name.rpartition(".")
            setattr(backbone.get_submodule(owner), last, _tensor(values))
        return backbone


def _tensor(array: npt.NDArray[np.generic]) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)
