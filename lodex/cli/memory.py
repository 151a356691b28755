"""Amounts of memory as options: `512MB`, `4GB`, `1.5 GiB`."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from lodex.errors import InvalidArgumentError

_UNITS = {"b": 1} | {
    prefix + unit: base**power
    for power, prefix in enumerate("kmgt", 1)
    for unit, base in (("", 1000), ("b", 1000), ("ib", 1024))
}
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", re.ASCII | re.IGNORECASE)

MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory", metavar="SIZE", help="Memory that may be taken, such as 512MB or 4GB. Default: what it takes."
    ),
]


def parse_memory(text: str) -> int:
    """Bytes of an amount: a number and B, kB, MB, GB or TB, or KiB, MiB, GiB or TiB, in any case, without B too.

    InvalidArgumentError for anything else, also for a number alone, which might be bytes or megabytes.
    """
    match = _AMOUNT.fullmatch(text)
    size = int(float(match[1]) * _UNITS.get(match[2].lower(), 0)) if match else 0
    if size < 1:
        raise InvalidArgumentError(
            f"--memory must be a number with a unit, such as 512MB or 4GB, not {text!r}", "memory"
        )
    return size


def memory_of(wanted: str | None, workers: int = 1) -> int | None:
    """What an option lets each of several processes take; None without one."""
    return None if wanted is None else max(1, parse_memory(wanted) // workers)
