from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from lodex.errors import DataLossError

Tokens = npt.NDArray[np.unsignedinteger[Any]]
Int64s = npt.NDArray[np.int64]

END_OF_STREAM: Final[int]
"""The token that `next_tokens` reports where the stream ends right after a prompt."""

class CorruptTableError(DataLossError):
    """A table that cannot belong to its stream: a wrong size, or an offset that is not one of a token."""

class SuffixTable:
    """The sorted suffixes of a stream, for searching. Arrays are borrowed and may be mapped files; the GIL is released.

    `tokens` (n,) is uint8, uint16 or uint32; `table` (n * width,) holds little-endian byte offsets, 1 to 8 bytes wide.
    `label` names the table in errors. A batch of queries is one flat array of the stream's dtype and `offsets`
    (queries + 1,): query i is `queries[offsets[i]:offsets[i + 1]]`. Ranks number the suffixes in their order.

    Raises CorruptTableError for a table whose size or offsets cannot be right; a table that is merely out of order
    gives wrong answers and never a read outside the arrays.
    """

    def __init__(
        self,
        tokens: Tokens,
        table: npt.NDArray[np.uint8],
        label: str = "table",
        top: tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]] | None = None,
        page_keys: npt.NDArray[np.uint8] | None = None,
        few_reads: bool = False,
    ) -> None:
        """Open a table; how it is searched changes no answer.

        `page_keys` is a file of `lodex.kernels.suffix_pages`, with which a single search reads few pages of cold files.
        `few_reads` is for files that are not in memory: a search then tries one suffix after the other, not several at
        once, and batches use the page keys too. Keys whose size or header is not of this table raise CorruptTableError;
        those of another table, or with wrong bytes, give wrong answers and never a read outside the arrays.
        """

    @property
    def top(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
        """The top level of the search, at most 0.03 bytes a token: where each first token begins, and page keys.

        Made in one pass when the table is opened without it. Given to the constructor it saves that pass; of other
        sizes or out of order it raises CorruptTableError, and that of another table gives wrong answers.
        """

    def __len__(self) -> int: ...
    def find(self, queries: Tokens, offsets: Int64s) -> tuple[Int64s, Int64s]:
        """The ranks [begin, end) of the suffixes that begin with each query: two arrays (queries,)."""

    def next_tokens(self, begins: Int64s, ends: Int64s, depths: Int64s) -> tuple[Int64s, Int64s, Int64s]:
        """The distinct tokens `depths[i]` tokens into the suffixes of ranks [begins[i], ends[i]), each with its count.

        Returns tokens and counts, in the order of the tokens' bytes, and offsets (ranges + 1,) into both. END_OF_STREAM
        comes first where the stream ends there. Exact if the suffixes of a range agree before that depth, as those
        that `find` gives do.
        """

    def positions(self, begin: int, end: int) -> Int64s:
        """Where the suffixes of ranks [begin, end) start, in tokens, in rank order."""

    def shared_bits(self, begin: int, end: int) -> npt.NDArray[np.uint8]:
        """The page keys of ranks [begin, end): how many bits each suffix shares with the one before it, at most 255.

        A token counts as a 1 and then its bytes, highest bit first; behind the end of a suffix there is a 0.
        """

Query = Sequence[int] | npt.NDArray[np.integer[Any]]

class Corpus:
    """Tables searched as one corpus: what those of sign -1 hold is subtracted from what those of sign 1 hold.

    Every stream has a separator (all bits set) before each document. With `closed` each stream also ends in one, that
    no file holds, so that every document reads separator, tokens, separator whatever stands beside it; runs then hold
    separators at their ends only, and one with a separator inside occurs nowhere. A separator that closes a document
    begins nothing, but for the next one in the same place. Without `closed` streams are taken as they are, as
    infini-gram takes them, and none can be subtracted.

    A query is a list or an array of token ids; the empty one occurs once at every item of every stream. ValueError for
    an id that the dtype does not hold. Methods called `..._many` take a batch: one flat array of the dtype, offsets
    (queries + 1,), and answer in arrays of int64. The GIL is released. Searches of a batch run interleaved.
    """

    def __init__(self, tables: Sequence[SuffixTable], signs: Sequence[int], closed: bool = True) -> None: ...
    def __len__(self) -> int:
        """Tokens and separators, (those of sign -1 subtracted)."""

    def count(self, query: Query) -> int:
        """How often a query occurs."""

    def prob(self, prompt: Query, continuation: Query) -> tuple[int, int]:
        """Occurrences of a prompt, and of it with a continuation of any length.

        With `closed` a prompt that goes on behind the end of a document occurs nowhere: nothing can follow it.
        """

    def next_tokens(self, prompt: Query) -> tuple[Int64s, Int64s]:
        """The tokens that follow a prompt, ascending, the separator among them, and the count of each, all above 0."""

    def longest_suffix(self, query: Query, min_support: int = 1, max_length: int | None = None) -> int:
        """Tokens of the longest suffix of at most `max_length` that occurs `min_support` times or more.

        With `closed`, what stands before the last separator of the query is of no account.
        """

    def infgram_prob(
        self, prompt: Query, continuation: Query, min_support: int = 1, max_length: int | None = None
    ) -> tuple[int, int, int]:
        """The length of the prompt's longest suffix, its occurrences, and those that the continuation follows."""

    def longest_matches(
        self, tokens: Query, min_support: int = 1, check: Callable[[], object] | None = None
    ) -> tuple[Int64s, Int64s]:
        """From each token the length of the longest run that occurs `min_support` times, and its occurrences.

        0 and 0 where not even the token does. Two arrays (tokens,). `check` is called now and then, and may raise.
        """

    def match_lengths(self, tokens: Query, min_support: int = 1, check: Callable[[], object] | None = None) -> Int64s:
        """The lengths of `longest_matches` alone, in half the time."""

    def score(
        self,
        tokens: Query,
        min_support: int = 1,
        max_length: int | None = None,
        check: Callable[[], object] | None = None,
    ) -> tuple[Int64s, Int64s, Int64s]:
        """For each token what `infgram_prob` says of it after all that stand before it: three arrays (tokens,).

        `check` is called now and then, and may
        """

    def count_many(self, queries: Tokens, offsets: Int64s) -> Int64s:
        """`count` of each query, (queries,)."""

    def prob_many(self, queries: Tokens, offsets: Int64s, continuation_lengths: Int64s) -> tuple[Int64s, Int64s]:
        """`prob` of each query, of whose tokens the last `continuation_lengths[i]` are the continuation."""

    def infgram_prob_many(
        self,
        queries: Tokens,
        offsets: Int64s,
        continuation_lengths: Int64s,
        min_support: int = 1,
        max_length: int | None = None,
    ) -> tuple[Int64s, Int64s, Int64s]:
        """`infgram_prob` of each query, of whose tokens the last `continuation_lengths[i]` are the continuation."""

    def next_tokens_many(self, queries: Tokens, offsets: Int64s) -> tuple[Int64s, Int64s, Int64s]:
        """`next_tokens` of each query: tokens, counts, and offsets (queries + 1,) into both."""

    def longest_suffix_many(
        self, queries: Tokens, offsets: Int64s, min_support: int = 1, max_length: int | None = None
    ) -> Int64s:
        """`longest_suffix` of each query."""
