"""Building a recipe to look at its shapes: on no memory there is nothing to draw."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.overrides import TorchFunctionMode


class Undrawn(TorchFunctionMode):
    """Inside, normal weights are not drawn: on the meta device that would do nothing but load torch's compiler."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """`func` itself, but for normal_, of torch.Tensor and of torch.nn.init."""
        named = kwargs or {}
        if getattr(func, "__name__", "") == "normal_":
            return args[0] if args else named["tensor"]
        return func(*args, **named)
