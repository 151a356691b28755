"""Texts end to end."""

import torch
from torch.testing import assert_close

from lodex.embed.ragged import Ragged
from lodex.embed.tokens.framing import TokenRow


def test_rows_lie_end_to_end() -> None:
    rows = [TokenRow((5, 6, 7), 1, 3), TokenRow([8], 0, 1), TokenRow((9, 10), 0, 1, truncated=True)]
    batch = Ragged.of(rows)
    assert batch.lengths == (3, 1, 2)
    assert_close(batch.ids, torch.tensor([5, 6, 7, 8, 9, 10]))
    assert_close(batch.positions, torch.tensor([0, 1, 2, 0, 0, 1]))
    assert_close(batch.offsets, torch.tensor([0, 3, 4, 6], dtype=torch.int32))
    assert batch.pooled.tolist() == [False, True, True, True, True, False]
