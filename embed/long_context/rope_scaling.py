"""Rotary models on longer texts than they were trained on: interpolated positions, or a larger base of the angles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from lodex.embed.backbones.bidirectional import UNLIMITED
from lodex.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """Texts `factor` times as long as a rotary model was trained on.

    "interpolate" divides positions by the factor (Chen et al. 2023, Extending Context Window of Large Language Models
    via Positional Interpolation, section 3.2). "ntk" raises the base theta to theta factor^(d / (d - 2)), d the width
    that is turned, so that the fastest angles stay and the slowest are divided by the factor (bloc97 2023; LongEmbed,
    Zhu et al. 2024, section 3.2). "theta" sets the base to `theta`, as LongEmbed ran E5-mistral: 10 000 to 100 000.
    """

    method: Literal["interpolate", "ntk", "theta"]
    factor: float
    theta: float | None = None

    def __post_init__(self) -> None:
        """InvalidArgumentError for a factor below 1, and for a base without its method or the other way round."""
        if not self.factor >= 1:
            raise InvalidArgumentError(f"factor is {self.factor}, expected at least 1", "long_context")
        if (self.theta is not None) != (self.method == "theta") or (self.theta is not None and not self.theta > 1):
            raise InvalidArgumentError(f"{self.method} with theta {self.theta}; 'theta' alone has one", "long_context")

    def apply(self, config: Any) -> None:
        """State it in a configuration, whose positions become as many times more.

        Layers with a window shorter than the text are left alone, for no distance in them is new. InvalidArgumentError
        for a model that has no angles, or scales them in a way of its own.
        """
        if getattr(config, "rope_parameters", None) is None:
            raise InvalidArgumentError(f"{config.model_type} has no rotary positions", "long_context")
        for parameters in _scaled_parameters(config):
            if parameters["rope_type"] not in ("default", "linear"):
                raise InvalidArgumentError(
                    f"{config.model_type} scales its positions itself, by {parameters['rope_type']}", "long_context"
                )
            if self.method == "interpolate":
                parameters["factor"] = parameters.get("factor", 1.0) * self.factor
                parameters["rope_type"] = "linear"
            elif self.theta is not None:
                parameters["rope_theta"] = self.theta
            else:
                width = _turned_width(config, parameters)
                parameters["rope_theta"] *= self.factor ** (width / (width - 2))
        config.max_position_embeddings = int(config.max_position_embeddings * self.factor)


def _scaled_parameters(config: Any) -> Iterator[Any]:
    parameters = config.rope_parameters
    if "rope_type" in parameters:
        yield parameters
        return
    windows = getattr(config, "sliding_window", None) not in (None, UNLIMITED)
    for layer_type in set(config.layer_types):
        if not (windows and layer_type == "sliding_attention"):
            yield parameters[layer_type]


def _turned_width(config: Any, parameters: Any) -> int:
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return int(width * parameters.get("partial_rotary_factor", 1.0))
