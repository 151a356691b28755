"""The log-probability of every token of texts, under a language model and what it reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from lodex.embed.runtime.batching import batches_of_equal_length
from lodex.errors import InvalidArgumentError
from lodex.lm.infgram import score_continuations
from lodex.lm.mixture import InfgramPart, KnnPart, Mixture, mix
from lodex.lm.model import LanguageModel
from lodex.lm.neighbors import neighbor_weights, target_log_probabilities
from lodex.lm.windows import windows_of
from lodex.types import ComponentScores, Neighbor, TextScore

# Logits of this many positions are held at once: 256 x 16,384 float32 are 16 MiB.
_LOGIT_ROWS = 256
_BATCH_TOKENS = 4096
_QUERIES_AT_ONCE = 512

Floats = npt.NDArray[np.float64]
Check = Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Window:
    """Positions [begin, end) of text `text`, of which those from `first_new` on are new to this window."""

    text: int
    begin: int
    end: int
    first_new: int


def score_texts(
    model: LanguageModel,
    texts: Sequence[Sequence[int]],
    mixture: Mixture | None = None,
    *,
    text_bytes: Sequence[int],
    components: bool = False,
    neighbors: int = 0,
    window_tokens: int | None = None,
    stride_tokens: int | None = None,
    check: Check = lambda: None,
) -> list[TextScore]:
    """Score each text as a document of its own, the first token after the start of a document.

    Texts longer than the window are read in overlapping ones: token i is predicted in the window that `windows_of`
    gives it, with at least window - stride tokens before it, save at the start. `components` adds what each part says,
    `neighbors` that many nearest neighbours for each token. `check` is called between batches and may raise.
    InvalidArgumentError for a window beyond the model's limit or a stride beyond the window.
    """
    mixture = mixture or Mixture()
    mixture.require(model)
    window, stride = _window(model, window_tokens, stride_tokens)
    for i, ids in enumerate(texts):
        model.require_ids(ids, f"texts[{i}]")
    lm, keys = _read(model, texts, window, stride, mixture.knn is not None, check)
    scores = []
    for i, ids in enumerate(texts):
        targets = np.asarray(ids, np.int64)
        parts = [ComponentScores("lm", lm[i], np.ones(len(targets)))]
        found: tuple[tuple[Neighbor, ...], ...] = ()
        if mixture.knn is not None:
            part, found = _score_knn(mixture.knn, keys[i], targets, neighbors, check)
            parts.append(part)
        if mixture.infgram is not None:
            parts.append(_score_infgram(mixture.infgram, ids, check))
        total = mix(lm[i], [(part.log_probabilities, part.weights) for part in parts[1:]])
        parts[0] = ComponentScores("lm", lm[i], 1.0 - sum((p.weights for p in parts[1:]), np.zeros(len(targets))))
        scores.append(TextScore(targets, total, text_bytes[i], tuple(parts) if components else (), found))
    return scores


def _window(model: LanguageModel, window_tokens: int | None, stride_tokens: int | None) -> tuple[int, int]:
    window = model.info.max_tokens if window_tokens is None else window_tokens
    if not 1 <= window <= model.info.max_tokens:
        raise InvalidArgumentError(
            f"window_tokens is {window}, {model.info.name!r} reads 1 to {model.info.max_tokens}", "window_tokens"
        )
    stride = max(1, window // 2) if stride_tokens is None else stride_tokens
    if not 1 <= stride <= window:
        raise InvalidArgumentError(f"stride_tokens is {stride}, it must be 1 to the window's {window}", "stride_tokens")
    return window, stride


def _read(
    model: LanguageModel, texts: Sequence[Sequence[int]], window: int, stride: int, with_keys: bool, check: Check
) -> tuple[list[Floats], list[npt.NDArray[np.float32]]]:
    """The model's own log-probability of each token, and the state that predicts it (n, d) if asked for."""
    decoder = model.decoder
    sequences = [
        np.array([decoder.start_id, *ids][:-1], np.int64) if len(ids) else np.empty(0, np.int64) for ids in texts
    ]
    windows = [
        _Window(i, *bounds) for i, ids in enumerate(sequences) for bounds in windows_of(len(ids), window, stride)
    ]
    lm = [np.empty(len(ids), np.float64) for ids in texts]
    keys = [np.empty((len(ids) if with_keys else 0, decoder.hidden_size), np.float32) for ids in texts]
    for batch in batches_of_equal_length([w.end - w.begin for w in windows], _BATCH_TOKENS):
        check()
        members = [windows[i] for i in batch]
        ids = torch.from_numpy(np.stack([sequences[w.text][w.begin : w.end] for w in members]))
        states = decoder.forward(ids, with_keys=with_keys)
        for row, w in enumerate(members):
            new = slice(w.first_new - w.begin, w.end - w.begin)
            targets = torch.tensor(texts[w.text][w.first_new : w.end], device=decoder.device)
            lm[w.text][w.first_new : w.end] = _log_probabilities(model, states.hidden[row, new], targets)
            if states.keys is not None:
                keys[w.text][w.first_new : w.end] = states.keys[row, new].float().cpu().numpy()
    return lm, keys


@torch.inference_mode()
def _log_probabilities(model: LanguageModel, hidden: torch.Tensor, targets: torch.Tensor) -> Floats:
    """The log-probability of one target for each state, (n,)."""
    parts = []
    for begin in range(0, len(targets), _LOGIT_ROWS):
        rows = slice(begin, begin + _LOGIT_ROWS)
        logits = model.decoder.logits(hidden[rows]).float()
        chosen = logits.gather(1, targets[rows, None])[:, 0]
        parts.append((chosen - logits.logsumexp(dim=1)).double().cpu().numpy())
    return np.concatenate(parts)


def _score_knn(
    part: KnnPart, keys: npt.NDArray[np.float32], targets: npt.NDArray[np.int64], shown: int, check: Check
) -> tuple[ComponentScores, tuple[tuple[Neighbor, ...], ...]]:
    said = np.full(len(targets), -np.inf)
    weights = np.zeros(len(targets))
    listed: list[tuple[Neighbor, ...]] = []
    for begin in range(0, len(targets), _QUERIES_AT_ONCE):
        check()
        rows = slice(begin, begin + _QUERIES_AT_ONCE)
        near = part.index.search(keys[rows], part.k, nprobe=part.nprobe, exact=part.exact, check=check)
        said[rows] = target_log_probabilities(near, part.temperature, targets[rows])
        weights[rows] = np.where((near.token_ids >= 0).any(axis=1), part.weight, 0.0)
        if shown:
            shares = neighbor_weights(near, part.temperature)
            for q in range(len(near.token_ids)):
                check()
                listed.append(
                    tuple(
                        Neighbor(
                            token_id=int(near.token_ids[q, j]),
                            distance=float(near.distances[q, j]),
                            weight=float(shares[q, j]),
                            occurrence=part.index.occurrence(int(near.segments[q, j]), int(near.positions[q, j])),
                        )
                        for j in range(min(shown, part.k))
                        if near.token_ids[q, j] >= 0
                    )
                )
    return ComponentScores("knn", said, weights), tuple(listed)


def _score_infgram(part: InfgramPart, ids: Sequence[int], check: Check) -> ComponentScores:
    check()
    found = score_continuations(part.index, ids, check)
    weights = np.where(found.is_single, part.weight_of(True), part.weight_of(False))
    with np.errstate(divide="ignore"):
        said = np.log(found.probabilities)
    lengths = found.suffix_lengths.astype(np.int32)
    return ComponentScores("infgram", said, np.where(found.is_known, weights, 0.0), lengths)
