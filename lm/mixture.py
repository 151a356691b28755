"""What a language model reads beside its context, and how the parts make one distribution.

p = (1 - w_knn - w_inf) p_LM + w_knn p_kNN + w_inf p_inf, the weights token by token. Where a part gives nothing, its
weight falls to the model. Khandelwal et al. 2020 (arXiv:1911.00172); Liu et al. 2024, Infini-gram (arXiv:2401.17377).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lodex.errors import FingerprintMismatchError, InvalidArgumentError
from lodex.index.knn import KnnIndex
from lodex.index.ngrams import NgramIndex
from lodex.lm.model import LanguageModel

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class KnnPart:
    """Neighbours of the model's states: `k` of them, softmax of the negative squared distances over `temperature`."""

    index: KnnIndex
    k: int = 1024
    temperature: float = 1.0
    weight: float = 0.25
    exact: bool = False
    nprobe: int | None = None


@dataclass(frozen=True, slots=True)
class InfgramPart:
    """Longest suffixes in a suffix index; `single_weight` holds where one has a single continuation."""

    index: NgramIndex
    weight: float = 0.25
    single_weight: float | None = None

    def weight_of(self, is_single: bool) -> float:
        """The weight at a token."""
        return self.weight if self.single_weight is None or not is_single else self.single_weight


@dataclass(frozen=True, slots=True)
class Mixture:
    """The parts beside the model's own distribution; by default none."""

    knn: KnnPart | None = None
    infgram: InfgramPart | None = None

    def require(self, model: LanguageModel) -> None:
        """Check the parts against a model.

        InvalidArgumentError for weights, a temperature or a k that are none; FingerprintMismatchError for an index of
        another model, or a stream of another tokenizer.
        """
        info = model.info
        if self.knn is not None:
            _require_share(self.knn.weight, "mixture.knn.weight")
            if not 0 < self.knn.temperature < float("inf"):
                raise InvalidArgumentError(
                    f"mixture.knn.temperature is {self.knn.temperature}, it must be above 0 and finite",
                    "mixture.knn.temperature",
                )
            if self.knn.k < 1:
                raise InvalidArgumentError(f"mixture.knn.k is {self.knn.k}, it must be at least 1", "mixture.knn.k")
            if self.knn.index.model_fingerprint != info.fingerprint:
                raise FingerprintMismatchError(
                    f"index {self.knn.index.name!r} holds states of {self.knn.index.model!r} "
                    f"({self.knn.index.model_fingerprint}), the model is {info.name!r} ({info.fingerprint})",
                    "mixture.knn.target",
                )
            tokenizer = self.knn.index.tokenizer
            if tokenizer.fingerprint != info.tokenizer_fingerprint:
                raise FingerprintMismatchError(
                    f"index {self.knn.index.name!r} is over tokens of {tokenizer.name!r} ({tokenizer.fingerprint}), "
                    f"the model {info.name!r} reads those of {info.tokenizer!r} ({info.tokenizer_fingerprint})",
                    "mixture.knn.target",
                )
        if self.infgram is not None:
            _require_share(self.infgram.weight, "mixture.infgram.weight")
            if self.infgram.single_weight is not None:
                _require_share(self.infgram.single_weight, "mixture.infgram.single_weight")
            tokenizer = self.infgram.index.tokenizer
            if tokenizer.fingerprint != info.tokenizer_fingerprint:
                raise FingerprintMismatchError(
                    f"index {self.infgram.index.name!r} is over tokens of {tokenizer.name!r} "
                    f"({tokenizer.fingerprint}), the model {info.name!r} reads those of {info.tokenizer!r} "
                    f"({info.tokenizer_fingerprint})",
                    "mixture.infgram.target",
                )
        knn = self.knn.weight if self.knn else 0.0
        infgram = max(self.infgram.weight_of(False), self.infgram.weight_of(True)) if self.infgram else 0.0
        if knn + infgram > 1:
            raise InvalidArgumentError(
                f"the weights of the mixture add up to {knn + infgram:g}, at most 1 is to be shared", "mixture"
            )


def mix(lm: Floats, parts: list[tuple[Floats, Floats]]) -> Floats:
    """The logarithm of the mixture of probabilities given by their logarithms.

    lm (...) float64; each part has log-probabilities and weights, of a shape that `lm` broadcasts with. A weight of
    zero leaves a part out, whatever it says; the model has the weight that the parts leave.
    """
    rest = 1.0 - sum((weights for _, weights in parts), start=np.zeros(1))
    with np.errstate(divide="ignore"):
        total = lm + np.log(np.maximum(rest, 0.0))
        for log_probabilities, weights in parts:
            said = np.where(weights > 0, log_probabilities + np.log(weights), -np.inf)
            total = np.logaddexp(total, said)
    return total


def _require_share(weight: float, field: str) -> None:
    if not 0 <= weight <= 1:
        raise InvalidArgumentError(f"{field} is {weight}, it must be 0 to 1", field)
