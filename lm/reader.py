"""Reading a text token by token: each new token costs one forward of itself, the window moving on as in scoring."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from lodex.embed.decoder import Decoder
from lodex.lm.windows import window_begin


class Reader:
    """The last state of a growing sequence of ids, the start token first.

    A state is computed in the window that `window_begin` gives its position, with half a window between windows: so
    what is generated has the probabilities that scoring gives it. A new window is read again from its begin.
    """

    def __init__(self, decoder: Decoder, ids: Sequence[int]) -> None:
        self._decoder = decoder
        self._ids = [decoder.start_id, *ids]
        self._window = decoder.max_tokens
        self._stride = max(1, self._window // 2)
        self._past: DynamicCache | None = None
        self._read = 0
        self._begin = 0

    def append(self, token: int) -> None:
        """Let a token follow."""
        self._ids.append(token)

    def state(self, with_key: bool = False) -> tuple[Tensor, Tensor | None]:
        """The last position's state (H,) and, if asked for, its key (H,); one forward pass.

        At least one token must have been appended since the last call.
        """
        begin = window_begin(len(self._ids) - 1, self._window, self._stride)
        if begin != self._begin or self._past is None:
            self._begin, self._read, self._past = begin, begin, None
        fresh = torch.tensor([self._ids[self._read :]])
        states = self._decoder.forward(fresh, past=self._past, keep_past=True, with_keys=with_key)
        self._past, self._read = states.past, len(self._ids)
        return states.hidden[0, -1], None if states.keys is None else states.keys[0, -1]
