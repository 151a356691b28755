"""Token ids to text as they come: no half characters, and nothing that may still turn out to be a stop text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_UNFINISHED = "\N{REPLACEMENT CHARACTER}"
# Tokens before the new ones that are decoded with them: some tokenizers drop a space at the start of a text.
_CONTEXT = 4


class TextWriter:
    """Decodes a continuation piece by piece.

    The pieces put together are the text, cut before the stop text that is complete first.

    `before` are the tokens that the continuation follows.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], before: Sequence[int], stop: Sequence[str]) -> None:
        self._decode = decode
        self._ids = list(before[-_CONTEXT:])
        self._done = len(self._ids)  # tokens whose text is known
        self._stop = tuple(stop)
        self._held = ""
        self.is_stopped = False

    def add(self, token: int) -> str:
        """The text that is settled now that a token has come."""
        self._ids.append(token)
        self._held += self._fresh_text(is_last=False)
        return self._release(is_last=False)

    def finish(self) -> str:
        """The text that was held back."""
        self._held += self._fresh_text(is_last=True)
        return self._release(is_last=True)

    def _fresh_text(self, is_last: bool) -> str:
        begin = max(0, self._done - _CONTEXT)
        known = self._decode(self._ids[begin : self._done])
        text = self._decode(self._ids[begin:])
        # It may be half a character or a whole one: only what follows tells.
        if text.endswith(_UNFINISHED) and not is_last:
            return ""
        self._done = len(self._ids)
        return text[len(known) :]

    def _release(self, is_last: bool) -> str:
        if self.is_stopped:
            return ""
        places = [place for place in (self._held.find(stop) for stop in self._stop) if place >= 0]
        if places:
            self.is_stopped = True
            settled, self._held = self._held[: min(places)], ""
            return settled
        keep = 0 if is_last else max((_overlap(self._held, stop) for stop in self._stop), default=0)
        settled, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return settled


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` that is a beginning of `stop`, and not all of it."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)
