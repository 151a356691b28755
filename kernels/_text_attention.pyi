import numpy as np
import numpy.typing as npt

def can_attend() -> bool:
    """Whether this processor multiplies tiles of bfloat16 (AMX), and the system lets it."""

def attend(
    queries: npt.NDArray[np.uint16],
    keys: npt.NDArray[np.uint16],
    values: npt.NDArray[np.uint16],
    offsets: npt.NDArray[np.int64],
    scale: float,
    out: npt.NDArray[np.uint16],
) -> None:
    """softmax(scale Q K^T) V within each text, into `out`; the bits of bfloat16 as uint16.

    Shapes: queries and out (N, h, d); keys and values (N, g, d), h a multiple of g; d is 32, 64 or 128. Rows may be
    apart, the h d numbers of one stand together; `out` is contiguous. Text t has rows [offsets[t], offsets[t + 1]),
    at least one; rows of no text stay as they are. Scores, sums and the softmax are float32, its weights are rounded to
    bfloat16. ValueError for arrays that do not fit, and where `can_attend` is false.
    """
