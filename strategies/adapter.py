"""Bottleneck adapters: small residual networks inside the blocks of a frozen backbone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.modeling_outputs import BaseModelOutput

from bench.anatomy import attention_output, blocks, feed_forward_output, freeze, skeleton, width
from bench.errors import TrialRefused
from bench.strategy import Strategy

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

Placement = Literal["pfeiffer", "houlsby", "post_hoc"]
DOWN_DEVIATION = 0.01


class Bottleneck(nn.Module):
    """Computes ``x + up(activation(down(x)))`` with biases in both layers.

    Houlsby et al. 2019, section 2.1 and figure 2. They draw all weights from a truncated normal of
    deviation 0.01 for a near identity; here ``down`` is drawn so (untruncated) and ``up`` is zero,
    so that the identity is exact and the backbone starts as it was.

    Args:
        width: features of ``x``.
        strategy: whose bottleneck and activation are used.
        like: a tensor whose device the weights get.
    """

    def __init__(self, width: int, strategy: Adapter, like: Tensor) -> None:
        super().__init__()
        self.down = nn.Linear(width, strategy.bottleneck, device=like.device)
        self.up = nn.Linear(strategy.bottleneck, width, device=like.device)
        self.activation = ACT2FN[strategy.activation]
        nn.init.normal_(self.down.weight, std=DOWN_DEVIATION)
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, inputs: Tensor) -> Tensor:
        """``(..., width)`` to the same."""
        change: Tensor = self.up(self.activation(self.down(inputs)))
        return inputs + change


class PostHoc(nn.Module):
    """The reference report's adapters, one per layer, applied after the backbone has run.

    Adapter ``i`` maps the states ``x`` of layer ``i`` to ``LayerNorm(x + up(act(down x)))``,
    but nothing reads what the adapters before the last one give: they are counted as trained and
    never receive a gradient. Their unused outputs are not computed here, which changes no figure
    but time. The report does not tell how they start; here as ``Bottleneck`` does.
    """

    def __init__(self, backbone: PreTrainedModel, strategy: Adapter) -> None:
        super().__init__()
        self.backbone = backbone
        size = width(backbone.config)
        like = next(backbone.parameters())
        self.adapters = nn.ModuleList(
            nn.Sequential(Bottleneck(size, strategy, like), nn.LayerNorm(size, device=like.device))
            for _ in range(backbone.config.num_hidden_layers)
        )

    def forward(self, **inputs: Any) -> BaseModelOutput:
        """As the backbone's."""
        states = self.backbone(**inputs).last_hidden_state
        return BaseModelOutput(last_hidden_state=self.adapters[-1](states))


@dataclass(frozen=True, kw_only=True)
class Adapter(Strategy):
    """Bottleneck adapters in every block of a frozen backbone.

    Attributes:
        bottleneck: features of the inner layer.
        placement: ``houlsby``, on the projections out of attention and out of the feed-forward
            layer, before the residual is added; ``pfeiffer``, on the latter only
            (https://arxiv.org/abs/2005.00247, https://arxiv.org/abs/2005.00052); ``post_hoc``, the
            reference report's, see ``PostHoc``. The first two sit before the block's dropout where
            the authors' code has them after it; in evaluation that is the same. The layer norms
            stay frozen, Houlsby trains them too; so the parameters are the adapters' alone.
        activation: a name that transformers knows.
    """

    name: ClassVar[str] = "adapter"
    paper: ClassVar[str] = "https://arxiv.org/abs/1902.00751"

    bottleneck: int = 64
    placement: Placement = "pfeiffer"
    activation: str = "gelu"

    def __post_init__(self) -> None:
        if self.bottleneck < 1:
            raise ValueError(f"bottleneck >= 1 must hold, got {self.bottleneck}")
        if self.placement not in get_args(Placement):
            options = get_args(Placement)
            raise ValueError(f"placement must be one of {options}, got {self.placement!r}")
        if self.activation not in ACT2FN:
            raise ValueError(f"activation must be one of {sorted(ACT2FN)}, got {self.activation!r}")

    def adapt(self, backbone: PreTrainedModel) -> nn.Module:
        """Freezes the backbone and puts the adapters in."""
        if self.placement == "post_hoc":
            freeze(backbone)
            return PostHoc(backbone, self)
        names = self._sites(backbone)
        if not names:
            raise TrialRefused(self.name, _reason(backbone.config))
        freeze(backbone)
        size = width(backbone.config)
        for name in names:
            linear = backbone.get_submodule(name)
            bottleneck = Bottleneck(size, self, next(linear.parameters()))
            backbone.set_submodule(name, nn.Sequential(linear, bottleneck))
        return backbone

    def refuse(self, config: PretrainedConfig) -> str | None:
        """A model whose blocks do not end in linear layers of the model's width."""
        if self.placement == "post_hoc" or self._sites(skeleton(config)):
            return None
        return _reason(config)

    @property
    def starts_unchanged(self) -> bool:
        """Adapters are the identity; ``post_hoc`` normalises the last states once more."""
        return self.placement != "post_hoc"

    def _sites(self, backbone: PreTrainedModel) -> list[str]:
        """Names of the layers to extend; empty unless every block has all of them."""
        size = width(backbone.config)
        sites: list[str] = []
        for prefix, block in blocks(backbone).items():
            ends = [feed_forward_output(block, size)]
            if self.placement == "houlsby":
                ends.insert(0, attention_output(block, size))
            if None in ends:
                return []
            sites += [f"{prefix}.{end}" for end in ends]
        return sites


def _reason(config: PretrainedConfig) -> str:
    return f"not every block of a {config.model_type} model ends in linear layers of its width"
