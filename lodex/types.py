"""The values that travel between rooms, clients and servers, and the protocols of the seams.

Everything here is a frozen dataclass of plain data, so it means the same in process and over the wire.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar, overload

import numpy as np
import numpy.typing as npt

from lodex.errors import LodexError

T = TypeVar("T")

TokenQuery = Sequence[int] | npt.NDArray[np.integer[Any]]
NgramQuery = str | TokenQuery
"""An n-gram as text (its variants of leading space and case are counted, unless literal) or as token ids (literal)."""


# ------------------------------------------------------------------------------------------ documents


@dataclass(frozen=True, slots=True)
class Document:
    """A text and what is known of it. `doc_id` is unique in a store; `date` is ISO 8601 or ""."""

    doc_id: str
    text: str
    source: str = ""
    title: str = ""
    url: str = ""
    date: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Passage:
    """A span of a document, the unit of retrieval.

    `id` is public: `doc_id#ordinal`, the ordinal counted from 0 within its chunking. `key` is 32 hexadecimal digits
    hashed from doc_id, byte span and text: ties are broken by it, so that answers do not depend on segments.
    `begin` and `end` are byte offsets into the document's UTF-8 text.
    """

    id: str
    doc_id: str
    ordinal: int
    begin: int
    end: int
    text: str
    key: str
    source: str = ""
    title: str = ""
    url: str = ""
    date: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


# ------------------------------------------------------------------------------------------ answers


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time of a request went, in nanoseconds."""

    queue_ns: int = 0
    compute_ns: int = 0
    total_ns: int = 0


@dataclass(frozen=True, slots=True)
class Provenance:
    """What was answered from: the store by name, its version, and how many of its segments the index covers."""

    store: str
    version: int
    segments_ok: int
    segments_total: int
    timing: Timing = Timing()


@dataclass(frozen=True, slots=True)
class Answers(Sequence[T], Generic[T]):
    """One answer for each query, in the order of the queries, with their provenance.

    An item that failed raises its own error when it is read; the other items are unharmed. `errors` lists the failures.
    """

    items: tuple[T | LodexError, ...]
    provenance: Provenance

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self.items)))]
        item = self.items[index]
        if isinstance(item, LodexError):
            raise item
        return item

    def __iter__(self) -> Iterator[T]:
        return (self[i] for i in range(len(self.items)))

    @property
    def errors(self) -> dict[int, LodexError]:
        """The failed items by position."""
        return {i: item for i, item in enumerate(self.items) if isinstance(item, LodexError)}

    @property
    def version(self) -> int:
        """The datastore version that was read."""
        return self.provenance.version


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage found by meaning. Scores are inner products of normalised vectors: higher is nearer, at most 1."""

    passage: Passage
    score: float


@dataclass(frozen=True, slots=True)
class Conjunction:
    """Where each of several clauses has one of its n-grams: `all_of` holds the clauses, each a sequence of n-grams.

    Near each other: at most `max_distance` tokens from start to start, either way, within one document; or, with
    `same_document`, anywhere in one. Its count is that of the rarest clause's occurrences (the first of equals) for
    which all others hold. `max_clause_count` looks at that many occurrences of the rarest clause, evenly drawn, and
    estimates the count.
    """

    all_of: tuple[tuple[NgramQuery, ...], ...]
    max_distance: int = 100
    same_document: bool = False
    max_clause_count: int | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """How often an n-gram occurs. `token_ids` are the sequences counted: one, or the variants of a text.

    They are empty for a conjunction. An estimate, which only a `max_clause_count` allows, is `approximate` and has a
    `standard_error`.
    """

    count: int
    token_ids: tuple[tuple[int, ...], ...] = ()
    approximate: bool = False
    standard_error: float = 0.0


@dataclass(frozen=True, slots=True)
class Probability:
    """count(prompt + continuation) / count(prompt); `probability` is None where the prompt never occurs."""

    probability: float | None
    prompt_count: int
    continuation_count: int


@dataclass(frozen=True, slots=True)
class TokenDistribution:
    """What follows a prompt: tokens with counts, most frequent first, equal counts by ascending id.

    `token_ids` (n,) int64 and `counts` (n,) int64 hold all continuations, or the most frequent `n` where a
    top-k was asked for; `distinct` counts all of them, `prompt_count` is the sum over all of them. The id of EOS stands
    for "the document ends here". `suffix_length` is the number of prompt tokens used (∞-gram), else the prompt's
    length.
    `texts` are the tokens decoded one by one ("" where the client did not ask for them).
    """

    token_ids: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    prompt_count: int
    distinct: int
    suffix_length: int
    texts: tuple[str, ...] = ()

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """`counts / prompt_count`, (n,) float64; sums to one where the distribution is complete."""
        return np.asarray(self.counts / max(self.prompt_count, 1), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class InfgramProbability:
    """Probability of a continuation after the longest suffix of the prompt that occurs, of `suffix_length` tokens.

    With nothing of the prompt in the corpus the suffix is empty and the unigram probability is given;
    `probability` is None only for an empty corpus.
    """

    probability: float | None
    prompt_count: int
    continuation_count: int
    suffix_length: int


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A document that holds an n-gram, with the text around one place where it stands.

    `begin` and `end` are byte offsets of the match in the document's UTF-8 text; `before`, `match` and `after` are its
    text up to, in and behind the match.
    """

    doc_id: str
    begin: int
    end: int
    before: str
    match: str
    after: str
    title: str = ""
    source: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Documents that hold an n-gram, each once. `count` is the number of occurrences in the whole corpus.

    `next_page_token` continues the listing; "" at its end. Order: segment order, then position in the corpus, or a
    random one of a seed. `documents` is the number of different documents that hold it (and pass the filter), an
    estimate where `documents_approximate`, None where it was not counted.
    """

    count: int
    occurrences: tuple[Occurrence, ...]
    next_page_token: str = ""
    documents: int | None = None
    documents_approximate: bool = False


@dataclass(frozen=True, slots=True)
class LongestMatches:
    """How far a text can be read in the corpus from each of its tokens.

    `token_ids`, `lengths` and `counts` (n,) int64: the length of the longest run beginning at each token that occurs,
    and its occurrences; 0 and 0 where not even the token does.
    """

    token_ids: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class InfgramScores:
    """The ∞-gram probability of each token of a text after those before it, the first after the start of a document.

    All (n,): `token_ids` int64; `log_probabilities` float64, natural, -inf where the token never follows;
    `suffix_lengths` int64 the tokens of the longest suffix that occurs (effective n is one more), the start of the
    document counted as one; `suffix_counts` int64 its occurrences.
    """

    token_ids: npt.NDArray[np.int64]
    log_probabilities: npt.NDArray[np.float64]
    suffix_lengths: npt.NDArray[np.int64]
    suffix_counts: npt.NDArray[np.int64]


class SpanRanking(Enum):
    """Which spans of a trace are kept first: the least probable by unigrams, or the longest."""

    UNIGRAM = "unigram"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class TraceSpan:
    """Tokens [begin, end) of a text that stand in the corpus `count` times, and documents that hold them.

    `begin_byte` and `end_byte` are its place in the UTF-8 text, 0 where the text was given as tokens.
    `unigram_log_probability` is the sum over its tokens, natural.
    """

    begin: int
    end: int
    begin_byte: int
    end_byte: int
    text: str
    count: int
    unigram_log_probability: float
    occurrences: tuple[Occurrence, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """The maximal spans of a text that stand in the corpus, in its order; none lies within another."""

    token_ids: npt.NDArray[np.int64]
    spans: tuple[TraceSpan, ...]


@dataclass(frozen=True, slots=True)
class RankRange:
    """Suffixes [begin, end) of one segment that begin alike, in their order."""

    segment_id: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Found:
    """The ranks of an n-gram. `count` has live occurrences alone, `ranges` those in deleted documents too."""

    count: int
    ranges: tuple[RankRange, ...]


@dataclass(frozen=True, slots=True)
class Rank:
    """A place in a segment: a rank of its suffix array or, where `rank` is None, a position in its token stream."""

    segment_id: str
    rank: int | None = None
    position: int | None = None


# ------------------------------------------------------------------------------------------ language models


@dataclass(frozen=True, slots=True)
class LanguageModelInfo:
    """What a language model is: texts longer than `max_tokens` are read in windows."""

    name: str
    fingerprint: str
    tokenizer: str
    tokenizer_fingerprint: str
    vocab_size: int
    max_tokens: int


@dataclass(frozen=True, slots=True)
class KnnSource:
    """Nearest neighbours of the model's states, as a request asks for them. `weight` is their share of the mixture.

    `index` None is the store's own; `temperature` divides the negative squared distances before the softmax. `exact`
    compares every entry, `nprobe` visits that many lists instead of the index's own number.
    """

    store: str
    index: str | None = None
    k: int = 1024
    temperature: float = 1.0
    weight: float = 0.25
    exact: bool = False
    nprobe: int | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class InfgramSource:
    """Longest matches in a suffix index, as a request asks for them. `weight` is their share of the mixture.

    `single_weight`, where the suffix has a single continuation, is `weight` when None.
    """

    store: str
    index: str | None = None
    weight: float = 0.25
    single_weight: float | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class ComponentScores:
    """What one part of a mixture, "lm", "knn" or "infgram", says of each token of a text.

    `log_probabilities` (n,) float64, natural, -inf where it gives none; `weights` (n,) float64; `suffix_lengths` (n,)
    int32, of "infgram" alone.
    """

    component: str
    log_probabilities: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]
    suffix_lengths: npt.NDArray[np.int32] | None = None


@dataclass(frozen=True, slots=True)
class Neighbor:
    """An entry of a kNN index: the token that followed there, the squared distance, and its share of the kNN part."""

    token_id: int
    distance: float
    weight: float
    occurrence: Occurrence


@dataclass(frozen=True, slots=True)
class TextScore:
    """The tokens of a text (n,) and the natural logarithm of the mixture's probability of each, (n,) float64.

    The first token follows the start of a document. `components` and `neighbors` (for each token, nearest first) are
    empty unless asked for. `text_bytes` are the UTF-8 bytes of the text.
    """

    token_ids: npt.NDArray[np.int64]
    log_probabilities: npt.NDArray[np.float64]
    text_bytes: int
    components: tuple[ComponentScores, ...] = ()
    neighbors: tuple[tuple[Neighbor, ...], ...] = ()

    @property
    def bits_per_byte(self) -> float:
        """Bits that the text takes by this model, for each byte; nan for an empty text."""
        nats = -float(self.log_probabilities.sum())
        return nats / math.log(2) / self.text_bytes if self.text_bytes else math.nan


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. Temperature 0 takes the most probable, the lowest id of equals; `stop` texts end it.

    `max_tokens` None is the server's default, 128.
    """

    max_tokens: int | None = None
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


class FinishReason(Enum):
    """Why a continuation ended: the document ended, the number of tokens was reached, or a stop text came."""

    END = "end"
    LENGTH = "length"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class GeneratedTokens:
    """A run of tokens as they were made, the text they add, and the natural log-probability of each.

    A character that is not complete, or a text that may turn out to be a stop text, waits for its other tokens.
    """

    token_ids: tuple[int, ...]
    text: str
    log_probabilities: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a continuation."""

    reason: FinishReason
    prompt_tokens: int
    generated_tokens: int
    forwards: int


@dataclass(frozen=True, slots=True)
class Retrieved:
    """The passages that a model is given for a question, best first; `left_out` more were found and did not fit."""

    hits: tuple[Hit, ...]
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Citation:
    """The span [begin, end) of an answer, in UTF-8 bytes, and the numbers of the hits that it rests on."""

    begin: int
    end: int
    hits: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event of a stream for item `item` of a request; an error ends that item alone.

    `event` is GeneratedTokens or Finished, for questions also Retrieved or Citation, for rerankings RerankWindow or
    Ranking.
    """

    item: int
    event: GeneratedTokens | Finished | Retrieved | Citation | RerankWindow | Ranking | LodexError


# ------------------------------------------------------------------------------------------ reranking


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text to be ordered, or with `passage_id` a passage of a store."""

    text: str = ""
    title: str = ""
    id: str = ""
    passage_id: str = ""


@dataclass(frozen=True, slots=True)
class RankedCandidate:
    """A candidate in its place: `index` is its number in the request.

    `score` is the log-softmax of its identifier among those of the last window that held it, `logit` the logit itself.
    """

    index: int
    score: float
    logit: float | None = None
    windows: int = 0
    truncated: bool = False
    id: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The order of the candidates of one query, best first, and what it cost.

    `partial` says that the deadline came before the last window: the order is the best so far.
    """

    candidates: tuple[RankedCandidate, ...]
    windows: int = 0
    forwards: int = 0
    decoded_tokens: int = 0
    prompt_tokens: int = 0
    partial: bool = False


@dataclass(frozen=True, slots=True)
class RerankWindow:
    """The candidates of one window, best first; `begin` is the place of its first one in the order before it."""

    begin: int
    candidates: tuple[RankedCandidate, ...]


# ------------------------------------------------------------------------------------------ descriptions


@dataclass(frozen=True, slots=True)
class IndexInfo:
    """An index of a store, or a token stream or chunking below one, and over how many segments it is built.

    `entries` are passages, tokens, suffixes or vectors by its kind; `details` say what is particular to the kind,
    as the embedder's fingerprint.
    """

    name: str
    kind: str
    segments_ok: int
    segments_total: int
    entries: int
    size_bytes: int
    depends_on: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """One version of a store: how much is in it, and its indexes by name.

    `deleted_documents` are those whose bytes are still there.
    """

    name: str
    version: int
    documents: int
    text_bytes: int
    segments: int
    indexes: tuple[IndexInfo, ...] = ()
    deleted_documents: int = 0
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that a server has. `role` is "embedder", "language_model", ...; `dimension` is None without vectors.

    `dimensions` are the smaller ones that its vectors may be cut to, ascending.
    """

    name: str
    role: str
    fingerprint: str
    max_tokens: int
    dimension: int | None
    normalized: bool
    default: bool
    dimensions: tuple[int, ...] = ()
    takes_instruction: bool = False


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A server: its release, the stores and models it serves, and the limits of a request by name (0: none)."""

    release: str
    stores: tuple[str, ...]
    models: tuple[ModelInfo, ...]
    limits: Mapping[str, int]
    read_only: bool


# ------------------------------------------------------------------------------------------ seams


class TextKind(Enum):
    """What a text is to an embedder: queries and passages may be embedded differently."""

    QUERY = "query"
    PASSAGE = "passage"


@dataclass(frozen=True, slots=True)
class EncoderInfo:
    """An embedder's identity: its vectors may only meet vectors of the same `fingerprint`.

    What follows `normalized` is no part of the identity and is stored nowhere: `matryoshka` are the sizes its vectors
    may be cut to, largest first; `instructed` says that a request may bring its own instruction; `sparse` that it gives
    weights of the vocabulary beside or instead of a vector.
    """

    name: str
    fingerprint: str
    dimension: int
    max_tokens: int
    normalized: bool
    matryoshka: tuple[int, ...] = ()
    instructed: bool = False
    sparse: bool = False


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors (n, d) float32 in the order of the texts; `truncated` (n,) bool marks those cut to max_tokens.

    `tokens` were read in all, `token_counts` (n,) int64 of each text; empty where an embedder does not say.
    `fingerprint` is the embedder's where a server embedded: it refuses to search with vectors of another.

    Where a client asked for another type, vectors are float16; int8, where `ranges` (2, d) float32 has the least value
    and the step of each dimension, so that i stands for least + step * (i + 128.5); or bits, (n, ceil(d / 8)) uint8,
    the first dimension highest.
    """

    vectors: npt.NDArray[Any]
    truncated: npt.NDArray[np.bool_]
    tokens: int = 0
    fingerprint: str = ""
    token_counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    ranges: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class SparseEmbeddings:
    """Weights over a vocabulary in the order of the texts, by rows (CSR).

    The terms of text i are `ids[indptr[i] : indptr[i + 1]]`, uint32 ascending, each once and below `vocab_size`, and
    their `weights` stand at the same places, float32 above 0; `indptr` (n + 1,) int64 begins with 0. A text may have no
    term. `truncated`, `tokens`, `token_counts` and `fingerprint` are those of `Embeddings`.
    """

    indptr: npt.NDArray[np.int64]
    ids: npt.NDArray[np.uint32]
    weights: npt.NDArray[np.float32]
    vocab_size: int
    truncated: npt.NDArray[np.bool_]
    tokens: int = 0
    fingerprint: str = ""
    token_counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        """How many texts."""
        return len(self.indptr) - 1

    def row(self, i: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float32]]:
        """The ids and weights of text i."""
        place = slice(int(self.indptr[i]), int(self.indptr[i + 1]))
        return self.ids[place], self.weights[place]


class Encoder(Protocol):
    """Texts to vectors. May live in another thread, process or machine."""

    @property
    def info(self) -> EncoderInfo:
        """Who encodes."""
        ...

    async def encode(self, texts: Sequence[str], kind: TextKind) -> Embeddings:
        """Embed each text."""
        ...


class Searcher(Protocol):
    """Vectors to passages."""

    async def search(self, vectors: npt.NDArray[np.float32], k: int) -> Sequence[Sequence[Hit]]:
        """The best k passages for each row of `vectors` (n, d), best first, ties by key."""
        ...


class Generator(Protocol):
    """A language model that continues a prompt."""

    def generate(self, prompt: Sequence[int], max_tokens: int) -> AsyncIterator[int]:
        """Stream token ids until EOS or `max_tokens`."""
        ...


class Reranker(Protocol):
    """Reorders passages for a query."""

    async def rerank(self, query: str, passages: Sequence[str]) -> Sequence[float]:
        """One score for each passage, higher is better."""
        ...


class Progress(Protocol):
    """Where long work reports how far it is. The CLI draws it; the default says nothing."""

    def start(self, label: str, total: int | None, unit: str) -> None:
        """Begin a phase of `total` units (None: not known) of `unit` ("documents", "bytes", "tokens")."""
        ...

    def advance(self, amount: int) -> None:
        """`amount` more units of the current phase are done."""
        ...

    def finish(self) -> None:
        """The current phase is over."""
        ...


class Silent:
    """A `Progress` that says nothing."""

    def start(self, label: str, total: int | None, unit: str) -> None:
        """Begin a phase."""

    def advance(self, amount: int) -> None:
        """Go on."""

    def finish(self) -> None:
        """End a phase."""
