"""What scoring must say, as plainly as can be: one forward a token, every entry compared, every place looked at."""

import math
from collections import Counter

import numpy as np
import torch

from lodex.index.store import Store
from lodex.lm.model import LanguageModel


def window_begin(position: int, window: int, stride: int) -> int:
    """The first multiple of the stride from which the window reaches the position."""
    begin = 0
    while begin + window <= position:
        begin += stride
    return begin


def state_and_key(
    model: LanguageModel, ids: list[int], i: int, window: int, stride: int
) -> tuple[torch.Tensor, np.ndarray]:
    """The state that predicts token i, and its key, from a forward of that state's own window prefix."""
    sequence = [model.decoder.start_id, *ids][window_begin(i, window, stride) : i + 1]
    states = model.decoder.forward(torch.tensor([sequence]), with_keys=True)
    assert states.keys is not None
    return states.hidden[0, -1], states.keys[0, -1].numpy()


def lm_distribution(model: LanguageModel, ids: list[int], i: int, window: int, stride: int) -> np.ndarray:
    """Softmax of the logits, (V,)."""
    state, _ = state_and_key(model, ids, i, window, stride)
    return model.decoder.logits(state).double().softmax(0).numpy()


def knn_entries(model: LanguageModel, store: Store, window: int, stride: int) -> tuple[np.ndarray, np.ndarray]:
    """The key (as float16 keeps it) and the value of every entry of a store."""
    keys, values = [], []
    for document in store:
        ids = [*model.encode(document.text), model.tokenizer.eos_id]
        for i, token in enumerate(ids):
            keys.append(state_and_key(model, ids[:-1], i, window, stride)[1])
            values.append(token)
    return np.stack(keys).astype(np.float16).astype(np.float64), np.array(values)


def knn_distribution(
    key: np.ndarray, entries: tuple[np.ndarray, np.ndarray], k: int, temperature: float, size: int
) -> np.ndarray:
    """Softmax of the negative squared distances of the k nearest, by token, (V,)."""
    keys, values = entries
    distances = ((keys - key.astype(np.float64)) ** 2).sum(axis=1)
    near = np.argsort(distances, kind="stable")[:k]
    weights = np.exp(-(distances[near] - distances[near].min()) / temperature)
    return np.bincount(values[near], weights / weights.sum(), minlength=size)


def infgram_distribution(
    model: LanguageModel, store: Store, ids: list[int], i: int, size: int
) -> tuple[np.ndarray, int]:
    """Counts after the longest suffix that occurs, as shares (V,), and the number of different tokens there."""
    eos = model.tokenizer.eos_id
    context = [eos, *ids[:i]]
    texts = [[eos, *model.encode(document.text), eos] for document in store]
    for begin in range(len(context) + 1):
        suffix = context[begin:]
        n = len(suffix)
        # The EOS before a document follows nothing.
        after = Counter(t[p + n] for t in texts for p in range(len(t) - n) if t[p : p + n] == suffix and p + n > 0)
        if after:
            counts = np.zeros(size)
            for token, count in after.items():
                counts[token] = count
            return counts / counts.sum(), len(after)
    raise AssertionError("the empty suffix occurs in every store that has a token")


def bits(log_probabilities: np.ndarray, text_bytes: int) -> float:
    """Bits per byte."""
    return -log_probabilities.sum() / math.log(2) / text_bytes
