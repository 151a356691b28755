"""Which passages the sentences of an answer rest on, by the words they share."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lodex.types import Citation, Hit

# Shorter words, save numbers, are mostly those that every text has.
_SHORTEST_WORD = 4
_LEAST_SHARE = 0.5
_MOST_HITS = 3
_WORD = re.compile(r"\w+")
# A sentence ends with a mark that white space follows, or with its line.
_SENTENCE = re.compile(r"\S.*?(?:[.!?\u2026]+[\"')\]\u2019\u201d]*(?=\s|$)|(?=\n)|$)", re.DOTALL)


def cite(answer: str, hits: Sequence[Hit]) -> list[Citation]:
    """The sentences of an answer that share their words with passages, in order, each with those passages.

    A sentence has the set of its words of four letters or more and of its numbers, in lower case. A passage, with its
    title, is cited for a sentence if it holds at least half of these words: the three with the greatest share at most,
    the greatest first, equal ones in the order of `hits`. A sentence without such words, or without such a passage, is
    not cited. This tells where the words stand; it does not prove that the passage says what the sentence says. Words
    are what white space and punctuation part: of languages written without spaces only whole runs are found.
    """
    passages = [_words(f"{hit.passage.title} {hit.passage.text}") for hit in hits]
    citations = []
    for begin, end in _sentences(answer):
        words = _words(answer[begin:end])
        shares = [len(words & passage) / len(words) if words else 0.0 for passage in passages]
        best = sorted((i for i, share in enumerate(shares) if share >= _LEAST_SHARE), key=lambda i: (-shares[i], i))
        if best:
            first = len(answer[:begin].encode())
            last = first + len(answer[begin:end].encode())
            citations.append(Citation(first, last, tuple(best[:_MOST_HITS])))
    return citations


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    """Begin and end of each sentence, white space around it left out."""
    for found in _SENTENCE.finditer(text):
        yield found.start(), found.start() + len(found.group().rstrip())


def _words(text: str) -> set[str]:
    words = (word.casefold() for word in _WORD.findall(text))
    return {word for word in words if len(word) >= _SHORTEST_WORD or word.isdigit()}
