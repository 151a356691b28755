"""Where models compute."""

from __future__ import annotations

import torch

from lodex.errors import InvalidArgumentError


def open_device(name: str) -> torch.device:
    """A device by its name in torch; InvalidArgumentError where it is not there."""
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InvalidArgumentError(f"no device {name!r} here: {error}", "device") from error
    return device
