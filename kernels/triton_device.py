"""Where Triton's kernels run."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import torch


def runs_triton(device: torch.device) -> bool:
    """Whether kernels in Triton are used for tensors of this device: a GPU of NVIDIA or AMD where Triton is installed.

    The kernels import Triton, whose import takes a second, so callers import them only after this.
    """
    return device.type == "cuda" and _has_triton()


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None
