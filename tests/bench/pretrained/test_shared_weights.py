"""Weights that are shared: the same model, on the memory it was given, never written to."""

import copy
import pickle

import numpy as np
import pytest
import torch

from bench.pretrained.shared_weights import Weights
from tests.helpers.tiny import CONFIGS, tiny


def sent(weights: Weights) -> Weights:
    """As another process gets them: arrays on read-only memory that is not copied."""
    buffers: list[pickle.PickleBuffer] = []
    content = pickle.dumps(weights, protocol=5, buffer_callback=buffers.append)
    return pickle.loads(content, buffers=[bytes(buffer) for buffer in buffers])


@pytest.mark.parametrize("family", CONFIGS)
def test_a_backbone_that_was_sent_computes_what_it_did(family: str) -> None:
    backbone = tiny(family).eval()
    received = sent(Weights.of(backbone)).backbone().eval()
    words = torch.arange(3, 9).view(2, 3)
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    with torch.inference_mode():
        expected = backbone(input_ids=words, attention_mask=mask).last_hidden_state
        found = received(input_ids=words, attention_mask=mask).last_hidden_state
    assert torch.equal(found, expected)
    assert {name for name, _ in received.named_parameters()} == {
        name for name, _ in backbone.named_parameters()
    }
    assert all(parameter.requires_grad for parameter in received.parameters())


def test_what_was_sent_is_not_copied_and_a_copy_of_it_can_be_written_to() -> None:
    weights = sent(Weights.of(tiny("bert")))
    backbone = weights.backbone()
    arrays = {array.ctypes.data for array in weights.parameters.values()}
    assert {parameter.data_ptr() for parameter in backbone.parameters()} == arrays
    assert not any(array.flags.writeable for array in weights.parameters.values())
    own = copy.deepcopy(backbone)
    for parameter in own.parameters():
        parameter.data.add_(1)
    for kept, changed in zip(backbone.parameters(), own.parameters(), strict=True):
        assert not torch.equal(kept, changed)


def test_tied_parameters_stay_tied() -> None:
    backbone = tiny("bert")
    layers = backbone.encoder.layer
    layers[1].output.dense.weight = layers[0].output.dense.weight
    layers = sent(Weights.of(backbone)).backbone().encoder.layer
    assert layers[1].output.dense.weight is layers[0].output.dense.weight
    assert np.shares_memory(
        layers[1].output.dense.weight.detach().numpy(), layers[0].output.dense.weight.detach()
    )
