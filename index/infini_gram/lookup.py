"""Documents of infini-gram shards by rank, pointer and number, as infini-gram's engine gives them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lodex.errors import InvalidArgumentError
from lodex.index.infini_gram.documents import DocResult
from lodex.index.infini_gram.shard import Shard
from lodex.index.infini_gram.shards import SearchedShards, number_below, tuples_of, whole_number


class DocumentLookup(SearchedShards):
    """The `get_doc` methods. Ranks number sorted suffixes, pointers are byte offsets, of one shard each.

    A document is shown from max_disp_len // 2 tokens before the place on, max_disp_len tokens in all; the methods
    called `..._2` show max_ctx_len tokens on both sides of a needle of needle_len tokens. Numbers out of range are
    InvalidArgumentError naming the argument.
    """

    def __init__(self, shards: Sequence[Shard], max_disp_len: int) -> None:
        super().__init__(shards)
        self.max_disp_len = whole_number(max_disp_len, "max_disp_len", 1)

    def get_total_doc_cnt(self) -> int:
        """Documents of all shards."""
        return len(self._documents)

    def get_doc_by_rank(self, s: int, rank: int, max_disp_len: int | None = None) -> DocResult:
        """The document where the suffix of a rank begins."""
        return self._around(s, self._at_rank(s, rank), max_disp_len)

    def get_docs_by_ranks(
        self, list_of_s_and_rank: Iterable[Sequence[int]], max_disp_len: int | None = None
    ) -> list[DocResult]:
        """`get_doc_by_rank` of each (s, rank)."""
        requests = tuples_of(list_of_s_and_rank, 2, "list_of_s_and_rank")
        return [self.get_doc_by_rank(s, rank, max_disp_len) for s, rank in requests]

    def get_doc_by_ptr(self, s: int, ptr: int, max_disp_len: int | None = None) -> DocResult:
        """The document that holds byte `ptr`, which is where a token begins."""
        return self._around(s, self._at_ptr(s, ptr), max_disp_len)

    def get_docs_by_ptrs(
        self, list_of_s_and_ptr: Iterable[Sequence[int]], max_disp_len: int | None = None
    ) -> list[DocResult]:
        """`get_doc_by_ptr` of each (s, ptr)."""
        requests = tuples_of(list_of_s_and_ptr, 2, "list_of_s_and_ptr")
        return [self.get_doc_by_ptr(s, ptr, max_disp_len) for s, ptr in requests]

    def get_doc_by_ix(self, doc_ix: int, max_disp_len: int | None = None) -> DocResult:
        """The first `max_disp_len` tokens of a document, by its number."""
        return self._documents.numbered(number_below(doc_ix, len(self._documents), "doc_ix"), self._shown(max_disp_len))

    def get_docs_by_ixs(self, list_of_doc_ix: Iterable[int], max_disp_len: int | None = None) -> list[DocResult]:
        """`get_doc_by_ix` of each number."""
        return [self.get_doc_by_ix(doc_ix, max_disp_len) for doc_ix in list_of_doc_ix]

    def get_doc_by_rank_2(self, s: int, rank: int, needle_len: int, max_ctx_len: int) -> DocResult:
        """The document where the suffix of a rank begins, around a needle there."""
        return self._around_needle(s, self._at_rank(s, rank), needle_len, max_ctx_len)

    def get_docs_by_ranks_2(self, requests: Iterable[Sequence[int]]) -> list[DocResult]:
        """`get_doc_by_rank_2` of each (s, rank, needle_len, max_ctx_len)."""
        return [self.get_doc_by_rank_2(*request) for request in tuples_of(requests, 4, "requests")]

    def get_doc_by_ptr_2(self, s: int, ptr: int, needle_len: int, max_ctx_len: int) -> DocResult:
        """The document that holds byte `ptr`, around a needle there."""
        return self._around_needle(s, self._at_ptr(s, ptr), needle_len, max_ctx_len)

    def get_docs_by_ptrs_2(self, requests: Iterable[Sequence[int]]) -> list[DocResult]:
        """`get_doc_by_ptr_2` of each (s, ptr, needle_len, max_ctx_len)."""
        return [self.get_doc_by_ptr_2(*request) for request in tuples_of(requests, 4, "requests")]

    def get_doc_by_ix_2(self, doc_ix: int, max_ctx_len: int) -> DocResult:
        """The first `max_ctx_len` tokens of a document, by its number."""
        number = number_below(doc_ix, len(self._documents), "doc_ix")
        return self._documents.numbered(number, whole_number(max_ctx_len, "max_ctx_len", 0))

    def get_docs_by_ixs_2(self, requests: Iterable[Sequence[int]]) -> list[DocResult]:
        """`get_doc_by_ix_2` of each (doc_ix, max_ctx_len)."""
        return [self.get_doc_by_ix_2(*request) for request in tuples_of(requests, 2, "requests")]

    # ------------------------------------------------------------------------------------ arguments

    def _shown(self, max_disp_len: int | None) -> int:
        return self.max_disp_len if max_disp_len is None else whole_number(max_disp_len, "max_disp_len", 1)

    def _around(self, s: int, position: int, max_disp_len: int | None) -> DocResult:
        shown = self._shown(max_disp_len)
        return self._documents.around(s, position, shown // 2, (shown + 1) // 2)

    def _around_needle(self, s: int, position: int, needle_len: int, max_ctx_len: int) -> DocResult:
        context = whole_number(max_ctx_len, "max_ctx_len", 0)
        return self._documents.around(s, position, context, whole_number(needle_len, "needle_len", 0) + context)

    def _at_rank(self, s: int, rank: int) -> int:
        shard = self._shards[self._shard(s)]
        number = number_below(rank, len(shard.tokens), "rank")
        return shard.position(number)

    def _at_ptr(self, s: int, ptr: int) -> int:
        shard = self._shards[self._shard(s)]
        byte = number_below(ptr, shard.tokens.nbytes, "ptr")
        if byte % shard.width:
            raise InvalidArgumentError(f"ptr is {byte}, expected a multiple of {shard.width}", "ptr")
        return byte // shard.width
