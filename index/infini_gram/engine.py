"""infini-gram's engine over infini-gram's folders: its methods and its answers, searched by Lodex.

A script changes its import and keeps its answers, but for what infini-gram 2.6.0 gets wrong: nothing is sampled unless
a limit is given, errors are exceptions, and documents are drawn once each and by a seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from lodex.errors import InvalidArgumentError, NotFoundError
from lodex.index.infini_gram.attribution import longest_spans, spans_with_places
from lodex.index.infini_gram.batches import BatchedQueries
from lodex.index.infini_gram.folder import find_shards, token_dtype_named, token_dtype_of
from lodex.index.infini_gram.ntd import distribution, sampled_distribution
from lodex.index.infini_gram.results import (
    AttributionResult,
    CountResult,
    CreativityResult,
    FindResult,
    InfgramNtdResult,
    InfgramProbResult,
    NtdResult,
    ProbResult,
)
from lodex.index.infini_gram.search import DocumentSearch
from lodex.index.infini_gram.shard import Shard
from lodex.index.infini_gram.shards import NOT_TOKEN_IDS, TokenIds, whole_number
from lodex.index.infini_gram.unigrams import Unigrams
from lodex.index.mapped_files import ADVICE, NORMAL

IndexDir = str | Path | Sequence[str | Path]


class InfiniGramEngine(DocumentSearch, BatchedQueries):
    """Searches the folders that infini-gram's indexing wrote (version 4), or a suffix artefact of Lodex, as they are.

    `index_dir` is a folder or a list of folders, whose shards are numbered through. `eos_token_id` is what the end of a
    document is called among next tokens; None gives it the separator's own id. `token_dtype` "u8", "u16" or "u32"
    follows from the files if it is None. `vocab_size` is of account in `compute_unigram_counts` alone.

    `max_support` and `max_clause_freq` are the limits of methods that are called without one; None is no limit and
    answers are exact. Depths of prefetching and the block size of attribution are accepted and have no effect.
    `advise` is how files are read, beyond what infini-gram knows: "random" for those larger than memory.
    `bow_ids_path` is a file of the ids that begin words, one a line; `prev_shards_by_index_dir` is what another
    engine's `get_new_shards_by_index_dir` gave, so that engines share their maps.

    Files that cannot be what their names say are DataLossError naming the file; see `Shard`. Arguments that are wrong
    are InvalidArgumentError naming the argument. Threads may share an engine.
    """

    def __init__(
        self,
        index_dir: IndexDir,
        eos_token_id: int | None = None,
        vocab_size: int = 65535,
        version: int = 4,
        token_dtype: str | None = None,
        load_to_ram: bool = False,
        ds_prefetch_depth: int = 0,
        sa_prefetch_depth: int = 0,
        od_prefetch_depth: int = 0,
        bow_ids_path: str | Path | None = None,
        attribution_block_size: int = 512,
        precompute_unigram_logprobs: bool = False,
        prev_shards_by_index_dir: Mapping[str, Sequence[Shard]] | None = None,
        max_support: int | None = None,
        max_clause_freq: int | None = None,
        max_diff_tokens: int = 100,
        maxnum: int = 1,
        max_disp_len: int = 1000,
        advise: str = NORMAL,
    ) -> None:
        _require_version(version)
        if advise not in ADVICE:
            raise InvalidArgumentError(f"advise is {advise!r}, expected one of {', '.join(ADVICE)}", "advise")
        opened, shards = _open_shards(index_dir, token_dtype, load_to_ram, advise, prev_shards_by_index_dir or {})
        super().__init__(shards, max_disp_len)
        self._new_shards_by_index_dir = opened
        self._eos_token_id = self._separator if eos_token_id is None else self._token(eos_token_id, "eos_token_id")
        self.vocab_size = whole_number(vocab_size, "vocab_size", 1)
        self.max_support = None if max_support is None else whole_number(max_support, "max_support", 1)
        self.max_clause_freq = None if max_clause_freq is None else whole_number(max_clause_freq, "max_clause_freq", 1)
        self.max_diff_tokens = whole_number(max_diff_tokens, "max_diff_tokens", 1)
        self.maxnum = whole_number(maxnum, "maxnum", 1)
        self._bow_ids = self._tokens(_read_ids(bow_ids_path), "bow_ids_path") if bow_ids_path is not None else None
        self._unigrams = Unigrams.of(self._shards) if precompute_unigram_logprobs else Unigrams.none()

    @property
    def token_dtype(self) -> str:
        """The dtype of the tokens: "u8", "u16" or "u32"."""
        return f"u{8 * self._dtype.itemsize}"

    @property
    def token_id_max(self) -> int:
        """The greatest token id that can be asked for: the separator."""
        return self._separator

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing is to be done: files close when nothing refers to them any more."""

    def __len__(self) -> int:
        """Tokens and separators of all shards."""
        return len(self._corpus)

    def get_new_shards_by_index_dir(self) -> dict[str, list[Shard]]:
        """The shards that this engine has opened, by folder."""
        return {folder: list(shards) for folder, shards in self._new_shards_by_index_dir.items()}

    def compute_unigram_counts(self, s: int) -> dict[int, int]:
        """How often each id occurs in shard `s`: of all below the vocabulary's size, the separator and any other."""
        ids, counts = self._shards[self._shard(s)].unigrams()
        found = dict.fromkeys([*range(min(self.vocab_size, self._separator)), self._separator], 0)
        found.update(zip(ids.tolist(), counts.tolist(), strict=True))
        return found

    # ------------------------------------------------------------------------------------ n-grams

    def find(self, input_ids: TokenIds) -> FindResult:
        """The ranks of the suffixes that begin with an n-gram, of each shard; of all suffixes for an empty one."""
        query = self._tokens(input_ids, "input_ids")
        segments = self._segments(query)
        return {"cnt": sum(end - begin for begin, end in segments), "segment_by_shard": segments}

    def count(self, input_ids: TokenIds) -> CountResult:
        """How often an n-gram occurs."""
        try:
            return {"count": self._corpus.count(input_ids), "approx": False}
        except NOT_TOKEN_IDS:
            return {"count": self._corpus.count(self._tokens(input_ids, "input_ids")), "approx": False}

    def prob(self, prompt_ids: TokenIds, cont_id: int) -> ProbResult:
        """The probability of a token after a prompt."""
        try:
            whole, part = self._corpus.prob(prompt_ids, [cont_id])
        except NOT_TOKEN_IDS:
            token = self._token(cont_id, "cont_id")
            whole, part = self._corpus.prob(self._tokens(prompt_ids, "prompt_ids"), [token])
        return {"prompt_cnt": whole, "cont_cnt": part, "prob": part / whole if whole else -1.0}

    def ntd(self, prompt_ids: TokenIds, max_support: int | None = None) -> NtdResult:
        """The distribution of the token after a prompt: complete, or estimated from `max_support` occurrences."""
        limit = self.max_support if max_support is None else whole_number(max_support, "max_support", 1)
        if limit is not None:
            prompt = self._tokens(prompt_ids, "prompt_ids")
            segments = self._segments(prompt)
            if sum(end - begin for begin, end in segments) > limit:
                return sampled_distribution(
                    self._shards, segments, len(prompt), limit, self._separator, self._eos_token_id
                )
        try:
            tokens, counts = self._corpus.next_tokens(prompt_ids)
        except NOT_TOKEN_IDS:
            tokens, counts = self._corpus.next_tokens(self._tokens(prompt_ids, "prompt_ids"))
        return distribution(tokens, counts, self._separator, self._eos_token_id)

    # ------------------------------------------------------------------------------------ infinity-grams

    def infgram_prob(self, prompt_ids: TokenIds, cont_id: int) -> InfgramProbResult:
        """The probability of a token after the longest suffix of a prompt that occurs."""
        try:
            length, whole, part = self._corpus.infgram_prob(prompt_ids, [cont_id])
        except NOT_TOKEN_IDS:
            token = self._token(cont_id, "cont_id")
            length, whole, part = self._corpus.infgram_prob(self._tokens(prompt_ids, "prompt_ids"), [token])
        prob = part / whole if whole else -1.0
        return {"prompt_cnt": whole, "cont_cnt": part, "prob": prob, "suffix_len": length}

    def infgram_ntd(self, prompt_ids: TokenIds, max_support: int | None = None) -> InfgramNtdResult:
        """The distribution of the token after the longest suffix of a prompt that occurs."""
        try:
            length = self._corpus.longest_suffix(prompt_ids)
        except NOT_TOKEN_IDS:
            prompt_ids = self._tokens(prompt_ids, "prompt_ids")
            length = self._corpus.longest_suffix(prompt_ids)
        return {**self.ntd(prompt_ids[len(prompt_ids) - length :], max_support), "suffix_len": length}

    # ------------------------------------------------------------------------------------ texts

    def creativity(self, input_ids: TokenIds) -> CreativityResult:
        """Where the longest match from each token of a text ends."""
        try:
            lengths = self._corpus.match_lengths(input_ids)
        except NOT_TOKEN_IDS:
            lengths = self._corpus.match_lengths(self._tokens(input_ids, "input_ids"))
        return {"rs": (lengths + np.arange(len(lengths))).tolist()}

    def attribute(
        self, input_ids: TokenIds, delim_ids: Iterable[int], min_len: int, max_cnt: int, enforce_bow: bool
    ) -> AttributionResult:
        """The maximal spans of a text that occur, at most `max_cnt` times, with all their places.

        A span has at least `min_len` tokens, and at least one; it ends with the first of `delim_ids` in it. With
        `enforce_bow` it begins, and what follows it begins, at one of the ids of `bow_ids_path`.
        """
        tokens = self._tokens(input_ids, "input_ids")
        delimiters = self._tokens(list(delim_ids), "delim_ids")
        min_len, max_cnt = whole_number(min_len, "min_len", 0), whole_number(max_cnt, "max_cnt", 1)
        if not isinstance(enforce_bow, bool):
            raise InvalidArgumentError(f"enforce_bow is {enforce_bow!r}, expected a bool", "enforce_bow")
        word_starts = None
        if enforce_bow:
            word_starts = np.isin(tokens, [] if self._bow_ids is None else self._bow_ids)
        lengths = self._corpus.match_lengths(tokens)
        begins, ends = longest_spans(tokens, lengths, delimiters, min_len, word_starts)
        logprobs = self._unigrams.log_probabilities(tokens)
        return {"spans": spans_with_places(self._shards, tokens, begins, ends, max_cnt, logprobs)}


def _require_version(version: int) -> None:
    if version != 4:
        why = "whose documents are reversed" if version == 5 else "which no index of infini-gram has"
        raise InvalidArgumentError(
            f"version is {version!r}, {why}; expected 4, as indexing writes it by default, folders without shard "
            "numbers ('v6') included",
            "version",
        )


def _open_shards(
    index_dir: IndexDir,
    token_dtype: str | None,
    load_to_ram: bool,
    advise: str,
    already_open: Mapping[str, Sequence[Shard]],
) -> tuple[dict[str, list[Shard]], list[Shard]]:
    """The shards opened now, by folder, and all shards in order."""
    folders: list[str | Path] = list(index_dir) if isinstance(index_dir, list | tuple) else [index_dir]  # type: ignore[list-item]
    if not folders or not all(isinstance(folder, str | Path) for folder in folders):
        raise InvalidArgumentError("index_dir must be a folder or a list of folders", "index_dir")
    if len({Path(folder).resolve() for folder in folders}) < len(folders):
        raise InvalidArgumentError("index_dir has a folder twice", "index_dir")
    files = find_shards([Path(folder) for folder in folders if str(folder) not in already_open])
    expected = None if token_dtype is None else token_dtype_named(token_dtype)
    dtype = token_dtype_of(files, expected)
    opened: dict[str, list[Shard]] = {str(folder): [] for folder in folders if str(folder) not in already_open}
    by_path = {Path(folder): shards for folder, shards in opened.items()}
    for shard_files in files:
        by_path[shard_files.folder].append(Shard(shard_files, dtype, load_to_ram=load_to_ram, advise=advise))
    shards = [shard for folder in folders for shard in (opened.get(str(folder)) or already_open[str(folder)])]
    if len({shard.tokens.dtype for shard in shards}) > 1:
        raise InvalidArgumentError("prev_shards_by_index_dir has shards of tokens of another width", "index_dir")
    return opened, shards


def _read_ids(path: str | Path) -> list[int]:
    """Token ids, one a line."""
    try:
        return [int(line) for line in Path(path).read_text("utf-8").splitlines() if line.strip()]
    except FileNotFoundError as error:
        raise NotFoundError(f"no file of ids at {path}") from error
    except (ValueError, OSError) as error:
        raise InvalidArgumentError(f"{path}: expected a token id on each line: {error}", "bow_ids_path") from error
