"""Which texts share a batch."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from lodex.embed.runtime.batching import batches_of_equal_length, plan_batches

LENGTHS = st.lists(st.integers(1, 12), max_size=60)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 40))
def test_a_plan_holds_every_text_once_within_the_budget(lengths: list[int], budget: int) -> None:
    """The batches partition the texts, and only a single long text may pass the budget."""
    batches = plan_batches(lengths, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or sum(lengths[i] for i in batch) <= budget for batch in batches)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 40))
def test_a_plan_begins_with_the_longest_and_keeps_equals_in_order(lengths: list[int], budget: int) -> None:
    """One order over all batches: falling lengths, equal ones as they came."""
    order = [i for batch in plan_batches(lengths, budget) for i in batch]
    assert order == sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 40))
def test_a_plan_starts_a_batch_only_where_one_is_full(lengths: list[int], budget: int) -> None:
    """The next text never had room in the batch before."""
    batches = plan_batches(lengths, budget)
    for before, after in pairwise(batches):
        assert sum(lengths[i] for i in before) + lengths[after[0]] > budget


@settings(deadline=None)
@given(st.lists(st.integers(2, 12), max_size=60), st.integers(1, 40))
def test_every_text_is_in_one_batch_of_its_length_within_the_budget(lengths: list[int], budget: int) -> None:
    """The batches partition the texts, each has one length, and only a single long text may pass the budget."""
    batches = list(batches_of_equal_length(lengths, budget))
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len({lengths[i] for i in batch}) == 1
        assert len(batch) == 1 or sum(lengths[i] for i in batch) <= budget


@settings(deadline=None)
@given(st.lists(st.integers(2, 6), max_size=40))
def test_no_two_batches_could_have_been_one(lengths: list[int]) -> None:
    """With room for all, there is one batch for each length that occurs, the longest first."""
    batches = list(batches_of_equal_length(lengths, 1000))
    assert [lengths[batch[0]] for batch in batches] == sorted(set(lengths), reverse=True)
