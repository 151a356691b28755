"""Query vectors at the door of an index."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lodex.errors import DimensionMismatchError, InvalidArgumentError

# Beyond this, float32 squares overflow; no embedding or state comes near it.
MAX_COMPONENT = 1e10


def checked_queries(queries: npt.NDArray[np.float32], d: int, index: str) -> npt.NDArray[np.float32]:
    """Queries (n, d) as contiguous float32 rows; the error names the first row that is not made of usable numbers."""
    if queries.ndim != 2:
        raise InvalidArgumentError(f"queries have shape {queries.shape}, expected (n, {d})", "queries")
    if queries.shape[1] != d:
        raise DimensionMismatchError(
            f"query vectors have d={queries.shape[1]}, index {index!r} was built with d={d}", "queries"
        )
    usable = (np.abs(queries) <= MAX_COMPONENT).all(axis=1)
    if not usable.all():
        i = int(usable.argmin())
        raise InvalidArgumentError(
            f"query {i} has a component that is NaN, infinite or above {MAX_COMPONENT:g}", f"queries[{i}]"
        )
    return np.ascontiguousarray(queries, np.float32)
