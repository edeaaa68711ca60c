"""What an objective remembers from step to step: a slowly following copy of the weights, and a queue of vectors.

Both are modules whose memory lies in buffers, so that a checkpoint of the model holds it.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim.swa_utils import get_ema_multi_avg_fn

from xrealign.errors import ConfigError
from xrealign.model.layers import hidden_states


class SlowCopy(nn.Module):
    """The learning parameters of a model as they were at first, following it by an exponential moving average.

    He et al. (2020, arXiv 1911.05722, eq. 2): θ_slow ← m·θ_slow + (1 − m)·θ. With m = 1 it stays what it was: the
    initial weights. Parameters that do not learn are not copied, as they would never differ.

    Args:
        model: what to copy.
        names: names of its parameters that learn.
        momentum: m, 0 to 1.
    """

    def __init__(self, model: nn.Module, names: Iterable[str], momentum: float) -> None:
        super().__init__()
        if not 0 <= momentum <= 1:
            raise ConfigError(f"momentum = {momentum} is impossible; expected 0 to 1")
        self.momentum = momentum
        self.names = sorted(names)
        self.model = [model]  # in a list: not a submodule of what it is copied to
        parameters = dict(model.named_parameters())
        for name in self.names:
            self.register_buffer(_key(name), parameters[name].detach().clone())

    def weights(self) -> dict[str, Tensor]:
        """The copy, by the name of the parameter."""
        return {name: getattr(self, _key(name)) for name in self.names}

    @torch.no_grad()
    def follow(self, left_out: Tensor | None = None) -> None:
        """Moves the copy a step towards the model; not at all where ``left_out``, a scalar on its device, is 1."""
        if self.momentum < 1 and self.names:
            parameters = dict(self.model[0].named_parameters())
            slow = list(self.weights().values())
            fast = [parameters[name].detach() for name in self.names]
            if left_out is not None:
                fast = [torch.where(left_out > 0, old, new) for old, new in zip(slow, fast, strict=True)]
            average = get_ema_multi_avg_fn(self.momentum)  # type: ignore[no-untyped-call]
            average(slow, fast, None)

    @torch.no_grad()
    def states(
        self, encoder: nn.Module, layers: Iterable[int], inputs: dict[str, Tensor], dropout: bool = True
    ) -> dict[int, Tensor]:
        """What ``encoder`` would make of ``inputs`` with the copied weights, at several layers; no gradient.

        Args:
            dropout: whether the copy drops out where the encoder does at this moment.
        """
        weights = {f"encoder.{name}": weight for name, weight in self.weights().items()}
        learning = [module for module in encoder.modules() if module.training and not dropout]
        for module in learning:
            module.training = False
        try:
            found: dict[int, Tensor] = functional_call(_States(encoder), weights, (tuple(layers), inputs))
        finally:
            for module in learning:
                module.training = True
        return found

    @torch.no_grad()
    def call(self, module: nn.Module, vectors: Tensor) -> Tensor:
        """What ``module`` would make of ``vectors`` with the copied weights; no gradient."""
        made: Tensor = functional_call(module, self.weights(), (vectors,))
        return made


class _States(nn.Module):
    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, layers: tuple[int, ...], inputs: dict[str, Tensor]) -> dict[int, Tensor]:
        return hidden_states(self.encoder, layers, inputs)


def _key(name: str) -> str:
    return name.replace(".", "/")  # a buffer's name may hold no dot


class Queue(nn.Module):
    """The last ``size`` vectors pushed, in a ring of fixed size; nothing on the host knows how full it is.

    Attributes:
        vectors: *Shape:* (Q, D), of which only the first ``filled`` count.
        place: where the next one goes, a long scalar.
        filled: how many are in, a long scalar.
        pending: vectors that are to be pushed once the step they come from has succeeded; not part of the state.
    """

    vectors: Tensor
    place: Tensor
    filled: Tensor
    pending: Tensor | None

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        if size < 1:
            raise ConfigError(f"queue = {size} is impossible; expected 1 or more vectors")
        self.pending = None
        self.register_buffer("vectors", torch.zeros(size, width))
        self.register_buffer("place", torch.zeros((), dtype=torch.long))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    @torch.no_grad()
    def push(self, vectors: Tensor, left_out: Tensor | None = None) -> None:
        """Writes vectors (N, D) over the oldest; none where ``left_out``, a scalar on its device, is 1.

        Raises:
            ConfigError: there are more than the queue holds.
        """
        size = len(self.vectors)
        if len(vectors) > size:
            raise ConfigError(f"queue = {size} is smaller than a batch, which has {len(vectors)} sentences to queue")
        rows = (self.place + torch.arange(len(vectors), device=vectors.device)) % size
        new, more = vectors.to(self.vectors.dtype), torch.full_like(self.place, len(vectors))
        if left_out is not None:
            new = torch.where(left_out > 0, self.vectors.index_select(0, rows), new)
            more = torch.where(left_out > 0, torch.zeros_like(more), more)
        self.vectors.index_copy_(0, rows, new)
        self.place.add_(more).remainder_(size)
        self.filled.add_(more).clamp_(max=size)
