import pytest

from lodex.rerank.sliding import sliding_windows


def published(count, window, stride):
    """The loop of the published code, without the windows it repeats at the front."""
    found, end, begin = [], count, count - window
    while end > 0:
        found.append((max(begin, 0), end))
        if begin <= 0:
            break
        end, begin = end - stride, begin - stride
    return found


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 19, 20, 21, 25, 30, 99, 100, 101])
@pytest.mark.parametrize(("window", "stride"), [(20, 10), (8, 4), (8, 8), (1, 1), (26, 1)])
def test_windows_are_those_of_the_plain_loop(count, window, stride):
    """Every candidate is in a window, neighbours overlap, and the last begins at the front."""
    windows = list(sliding_windows(count, window, stride))
    assert windows == published(count, window, stride)
    assert {i for begin, end in windows for i in range(begin, end)} == set(range(count))


def test_a_hundred_candidates_make_nine_windows():
    """The schedule of RankGPT: [80, 100) to [0, 20)."""
    assert list(sliding_windows(100, 20, 10)) == [(b, b + 20) for b in range(80, -1, -10)]
