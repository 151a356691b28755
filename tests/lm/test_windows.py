"""Windows over a document against the rule, position by position."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lodex.errors import InvalidArgumentError
from lodex.lm.windows import window_begin, windows_of


@given(length=st.integers(0, 200), window=st.integers(1, 40), data=st.data())
def test_every_position_is_new_once_in_the_window_of_the_rule(length: int, window: int, data: st.DataObject) -> None:
    """The window of a position begins at the least multiple of the stride from which it is reached."""
    stride = data.draw(st.integers(1, window))
    read = []
    for begin, end, first_new in windows_of(length, window, stride):
        assert begin <= first_new < end <= min(length, begin + window)
        read += [(position, begin) for position in range(first_new, end)]
    expected = [0 if p < window else math.ceil((p - window + 1) / stride) * stride for p in range(length)]
    assert read == list(enumerate(expected))
    assert [window_begin(position, window, stride) for position in range(length)] == expected


@given(length=st.integers(1, 200), window=st.integers(1, 40), data=st.data())
def test_a_state_has_the_context_that_window_and_stride_promise(length: int, window: int, data: st.DataObject) -> None:
    """At least window - stride positions stand before each new one, or the whole document so far."""
    stride = data.draw(st.integers(1, window))
    for begin, _, first_new in windows_of(length, window, stride):
        assert begin == 0 or first_new - begin >= window - stride


def test_a_document_that_fits_is_one_window() -> None:
    """At the limit and below; one more position begins a second window."""
    assert windows_of(0, 4, 2) == []
    assert windows_of(3, 4, 2) == [(0, 3, 0)]
    assert windows_of(4, 4, 2) == [(0, 4, 0)]
    assert windows_of(5, 4, 2) == [(0, 4, 0), (2, 5, 4)]


@pytest.mark.parametrize(("window", "stride"), [(0, 1), (-1, 1), (4, 0), (4, 5), (4, -2)])
def test_impossible_windows_are_refused(window: int, stride: int) -> None:
    """A stride beyond the window would leave positions unread."""
    with pytest.raises(InvalidArgumentError, match="expected"):
        windows_of(10, window, stride)
    with pytest.raises(InvalidArgumentError, match="expected"):
        window_begin(3, window, stride)
