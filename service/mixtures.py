"""What a request says that a language model reads: the indexes behind it, opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from lodex.config import Limits
from lodex.index.knn import KnnIndex
from lodex.index.ngrams import NgramIndex
from lodex.service.catalog import Catalog
from lodex.service.checks import require_built, within
from lodex.service.passage_search import read_nprobe
from lodex.v1 import common_pb2, language_model_pb2

if TYPE_CHECKING:
    from lodex.lm.mixture import InfgramPart, KnnPart, Mixture
    from lodex.lm.model import LanguageModel

Index = TypeVar("Index", KnnIndex, NgramIndex)
_MIXTURE = frozenset({"knn", "infgram"})
_KNN = frozenset({"target", "k", "temperature", "weight", "parameters"})
_INFGRAM = frozenset({"target", "weight", "single_weight"})
_DEFAULT_NEIGHBORS = 1024
_DEFAULT_WEIGHT = 0.25


class MixtureReader:
    """Opens the indexes of mixtures, and collects what was read in `sources`, in the order of the parts."""

    def __init__(self, catalog: Catalog, limits: Limits) -> None:
        self._catalog = catalog
        self._limits = limits
        self.sources: list[common_pb2.Provenance] = []

    def read(self, message: language_model_pb2.Mixture, model: LanguageModel) -> Mixture:
        """The mixture of a message, checked against the model; raises what `Mixture.require` raises."""
        from lodex.lm.mixture import Mixture  # torch is imported only where a model is at work

        require_built(message, _MIXTURE, "mixture")
        knn = self._knn(message.knn) if message.HasField("knn") else None
        mixture = Mixture(knn, self._infgram(message.infgram) if message.HasField("infgram") else None)
        mixture.require(model)
        return mixture

    def _knn(self, message: language_model_pb2.KnnSource) -> KnnPart:
        from lodex.lm.mixture import KnnPart

        require_built(message, _KNN, "mixture.knn")
        k = message.k if message.HasField("k") else min(_DEFAULT_NEIGHBORS, self._limits.max_k)
        nprobe = read_nprobe(message.parameters, "mixture.knn.parameters")
        return KnnPart(
            index=self._open(message.target, "knn", KnnIndex, "mixture.knn.target"),
            k=within(k, 1, self._limits.max_k, "mixture.knn.k"),
            temperature=message.temperature if message.HasField("temperature") else 1.0,
            weight=message.weight if message.HasField("weight") else _DEFAULT_WEIGHT,
            exact=message.parameters.exact,
            nprobe=nprobe,
        )

    def _infgram(self, message: language_model_pb2.InfgramSource) -> InfgramPart:
        from lodex.lm.mixture import InfgramPart

        require_built(message, _INFGRAM, "mixture.infgram")
        return InfgramPart(
            index=self._open(message.target, "suffix", NgramIndex, "mixture.infgram.target"),
            weight=message.weight if message.HasField("weight") else _DEFAULT_WEIGHT,
            single_weight=message.single_weight if message.HasField("single_weight") else None,
        )

    def _open(self, target: common_pb2.IndexRef, kind: str, opener: type[Index], path: str) -> Index:
        view = self._catalog.view(target, path)
        name = view.choose(kind, target.index, path)
        index = self._catalog.open(view, name, opener)
        self.sources.append(view.provenance(name))
        return index
