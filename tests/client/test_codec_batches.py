"""What is no batch of n-grams is refused by name before anything is sent."""

import pytest

from lodex.client import codec
from lodex.errors import InvalidArgumentError


@pytest.mark.parametrize("wrong", [5, None, b"text", {1, 2}, iter([1])])
def test_what_is_no_sequence_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidArgumentError, match=r"queries is .*, expected a text") as caught:
        codec.searches(wrong, "queries")  # type: ignore[arg-type]
    assert caught.value.field == "queries"
