"""Three steps side by side: order, overlap, bounds, and what is left when one of them fails."""

import threading
import time
from collections.abc import Iterator

import pytest

from lodex.embed.runtime.pipeline import run_pipeline


def test_every_item_goes_through_all_steps_in_order() -> None:
    """Whatever the depth; none of the values means an end."""
    for depth in (1, 2, 7):
        written: list[object] = []
        run_pipeline(range(50), lambda i: i + 1, lambda i: None if i % 3 else i * 2, written.append, depth)
        assert written == [None if i % 3 else i * 2 for i in range(1, 51)]


def test_no_items_write_nothing() -> None:
    """An empty input ends at once."""
    written: list[object] = []
    run_pipeline([], str, str, written.append)
    assert written == []


def test_the_three_steps_overlap() -> None:
    """Each waits for the other two to be at work at the same time, on different items."""
    meeting = threading.Barrier(3, timeout=20)

    def meet(position: int, last: int) -> None:
        if 2 <= position + last < 8:  # items 2 to 7 of the reader meet 1 to 6 of the forward and 0 to 5 of the writer
            meeting.wait()

    run_pipeline(
        range(10),
        lambda i: meet(i, 0) or i,
        lambda i: meet(i, 1) or i,
        lambda i: meet(i, 2),
        depth=1,
    )


@pytest.mark.parametrize("depth", [1, 3])
def test_no_more_than_the_depth_waits(depth: int) -> None:
    """The reader stops where the forward is slow, and the forward where the writer is."""
    read, forwarded = 0, 0
    ahead: list[tuple[int, int]] = []

    def items() -> Iterator[int]:
        nonlocal read
        for i in range(30):
            read += 1
            yield i

    def forward(i: int) -> int:
        nonlocal forwarded
        forwarded += 1
        return i

    def write(i: int) -> None:
        time.sleep(0.005)
        ahead.append((read - i - 1, forwarded - i - 1))

    run_pipeline(items(), lambda i: i, forward, write, depth)
    # Two queues, one item in the forward and one in the reader's hand.
    assert max(items_read for items_read, _ in ahead) == 2 * depth + 2
    assert max(items_forwarded for _, items_forwarded in ahead) == depth + 1


class BrokenError(Exception):
    """What a step of these tests raises."""


def broken_at(n: int):
    def step(i: int) -> int:
        if i == n:
            raise BrokenError(i)
        return i

    return step


@pytest.mark.parametrize("where", ["items", "tokenize", "forward"])
def test_what_stands_before_a_failure_is_written(where: str) -> None:
    """An error of reading, tokenising or the forward is raised here, once the items before it are kept."""
    written: list[int] = []

    def items() -> Iterator[int]:
        for i in range(20):
            yield broken_at(7)(i) if where == "items" else i

    steps = {name: broken_at(7) if name == where else int for name in ("tokenize", "forward")}
    with pytest.raises(BrokenError, match="7"):
        run_pipeline(items(), steps["tokenize"], steps["forward"], written.append)
    assert written == list(range(7))
    assert not {"lodex-read", "lodex-keep"} & {thread.name for thread in threading.enumerate()}


def test_a_failure_of_writing_ends_everything() -> None:
    """Nothing is written after it, and the input is not read to its end."""
    written: list[int] = []
    read: list[int] = []

    def items() -> Iterator[int]:
        for i in range(1000):
            read.append(i)
            yield i

    def write(i: int) -> None:
        broken_at(5)(i)
        written.append(i)

    with pytest.raises(BrokenError):
        run_pipeline(items(), int, int, write)
    assert written == list(range(5))
    assert len(read) < 100


def test_the_first_failure_in_the_order_of_items_is_raised() -> None:
    """The writer fails at item 3 though the forward has failed at item 5 before."""
    failed = threading.Event()

    def forward(i: int) -> int:
        if i == 5:
            failed.set()
            raise BrokenError("forward")
        return i

    def write(i: int) -> None:
        if i == 3:
            failed.wait(20)
            raise BrokenError("write")

    with pytest.raises(BrokenError, match="write"):
        run_pipeline(range(10), int, forward, write)


def test_an_interrupt_of_the_forward_ends_the_threads() -> None:
    """KeyboardInterrupt comes to the caller, as from any loop."""

    def forward(i: int) -> int:
        if i == 2:
            raise KeyboardInterrupt
        return i

    with pytest.raises(KeyboardInterrupt):
        run_pipeline(range(1000), int, forward, lambda i: None)


def test_a_depth_below_one_is_refused() -> None:
    """A queue without room is no pipeline."""
    with pytest.raises(ValueError, match="depth is 0"):
        run_pipeline([1], int, int, print, 0)
