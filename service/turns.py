"""Continuations that take turns on the thread of their model, a token each."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import TYPE_CHECKING

from lodex.service.batch import ENDS_THE_REQUEST
from lodex.service.call import Call
from lodex.types import Finished, GeneratedTokens

if TYPE_CHECKING:
    from lodex.lm.generation import Generation


class _Turn:
    """A continuation that begins with its first step."""

    def __init__(self, begin: Callable[[], Generation]) -> None:
        self._begin = begin
        self._generation: Generation | None = None

    def step(self) -> tuple[GeneratedTokens, Finished | None]:
        if self._generation is None:
            self._generation = self._begin()
        return self._generation.step(), self._generation.finished


async def take_turns(
    begin: Mapping[int, Callable[[], Generation]], call: Call, model: str
) -> AsyncGenerator[tuple[int, GeneratedTokens | Finished | Exception], None]:
    """The events of continuations as they come, each with its item: tokens, then Finished or what went wrong.

    Every step is a piece of work of its own on the thread of `model`: other requests come between two of them, and
    where nobody waits any more, no further one is begun. `begin` makes a continuation; it is called there too.
    """
    turns = {item: _Turn(how) for item, how in begin.items()}
    while turns:
        for item, turn in list(turns.items()):
            try:
                tokens, end = await call.run(turn.step, model=model)
            except ENDS_THE_REQUEST:
                raise
            except Exception as error:  # a defect in one item leaves the others unharmed too
                if call.is_lost(error):
                    raise
                failure: Exception | None = error
            else:
                failure = None
            if failure is not None:
                del turns[item]
                yield item, failure
                continue
            if tokens.token_ids or tokens.text:
                yield item, tokens
            if end is not None:
                del turns[item]
                yield item, end
