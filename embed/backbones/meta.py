"""Models without weights, on the meta device, and what their weights' files do not give them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


def build_empty(auto_class: Any, config: Any, dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    """A model by one of transformers' auto classes whose parameters take no memory yet, their dtype the one to be.

    Its buffers, which no file holds, are computed.
    """
    with torch.device("meta"):
        model: Any = auto_class.from_config(config, dtype=dtype, **options)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if hasattr(child, "compute_default_rope_parameters"):
                setattr(parent, name, type(child)(child.config))
        _compute_buffers(parent)
    missing = [name for name, buffer in model.named_buffers() if buffer.is_meta]
    assert not missing, f"{type(model).__name__} has buffers that nothing computes: {missing}; this is a bug"
    return model


def _compute_buffers(module: nn.Module) -> None:
    for name, buffer in list(module.named_buffers(recurse=False)):
        if not buffer.is_meta:
            continue
        if name == "embed_scale":
            module.register_buffer(name, torch.tensor(module.scalar_embed_scale), persistent=False)
        elif name == "position_ids":
            module.register_buffer(name, torch.arange(buffer.shape[-1])[None], persistent=False)
        elif name == "token_type_ids":
            module.register_buffer(name, torch.zeros(buffer.shape, dtype=torch.int64), persistent=False)
