"""The windows in which a long document is read: each state is computed once, with enough of the text before it.

The rule is shared by the keys of kNN indexes, scoring and generation, so that they mean the same states. Windows of
`window` positions begin at multiples of `stride`; a position is new in the first one that reaches it. So each state has
at least window - stride positions before it, save at the start of the document, and no window crosses documents.
"""

from __future__ import annotations

from typing import NamedTuple

from lodex.errors import InvalidArgumentError


class Window(NamedTuple):
    """Positions [begin, end) of a document are read together; those from `first_new` on have not been read before."""

    begin: int
    end: int
    first_new: int


def window_begin(position: int, window: int, stride: int) -> int:
    """Where the window begins in which the state at `position`, from 0, is computed."""
    require_window(window, stride)
    return 0 if position < window else -(-(position - window + 1) // stride) * stride


def windows_of(length: int, window: int, stride: int) -> list[Window]:
    """The windows of a document of `length` positions, in order; none for none. Their new positions follow gaplessly.

    InvalidArgumentError unless 1 <= stride <= window.
    """
    require_window(window, stride)
    windows = []
    begin = first_new = 0
    while first_new < length:
        end = min(begin + window, length)
        windows.append(Window(begin, end, first_new))
        begin, first_new = begin + stride, end
    return windows


def require_window(window: int, stride: int) -> None:
    """InvalidArgumentError unless 1 <= stride <= window."""
    if window < 1:
        raise InvalidArgumentError(f"window_tokens is {window}, expected at least 1", "window_tokens")
    if not 1 <= stride <= window:
        raise InvalidArgumentError(f"stride_tokens is {stride}, expected 1 to the window's {window}", "stride_tokens")
