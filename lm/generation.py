"""Continuing a prompt, token by token, under a language model and what it reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from lodex.lm.infgram import is_empty, is_single, next_distribution
from lodex.lm.mixture import Mixture
from lodex.lm.model import LanguageModel
from lodex.lm.neighbors import token_distribution
from lodex.lm.reader import Reader
from lodex.lm.sampling import draw, require_sampling
from lodex.lm.writer import TextWriter
from lodex.types import Finished, FinishReason, GeneratedTokens, Sampling

Floats = npt.NDArray[np.float64]
DEFAULT_TOKENS = 128
"""Tokens of a continuation for which no number is given."""


class Generation:
    """A continuation of one prompt, which is the beginning of a document; `finished` is set by its last step.

    Raises what `Mixture.require` and `require_sampling` raise, InvalidArgumentError for ids outside the vocabulary.
    """

    def __init__(
        self,
        model: LanguageModel,
        prompt: Sequence[int],
        sampling: Sampling,
        mixture: Mixture | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """`check` is called within searches and may raise, which ends the continuation."""
        self._mixture = mixture or Mixture()
        self._mixture.require(model)
        require_sampling(sampling)
        model.require_ids(prompt, "prompt")
        self._model = model
        self._check = check
        self._sampling = sampling
        self._max_tokens = DEFAULT_TOKENS if sampling.max_tokens is None else sampling.max_tokens
        self._rng = np.random.default_rng(sampling.seed)
        self._reader = Reader(model.decoder, prompt)
        self._writer = TextWriter(model.decode, prompt, sampling.stop)
        self._ids = [int(token) for token in prompt]
        self._prompt_tokens = len(prompt)
        self._forwards = 0
        self.finished: Finished | None = None

    def step(self) -> GeneratedTokens:
        """Make one token by one forward pass. The token that ends the document is not among those returned."""
        assert self.finished is None, "a continuation that has ended was asked for more; this is a bug"
        log_probabilities = self.next_log_probabilities()
        token = draw(log_probabilities, self._sampling, self._rng)
        if token in self._model.end_ids:
            self._finish(FinishReason.END)
            return GeneratedTokens((), self._writer.finish())
        self._ids.append(token)
        self._reader.append(token)
        text = self._writer.add(token)
        if self._writer.is_stopped:
            self._finish(FinishReason.STOP)
        elif len(self._ids) - self._prompt_tokens == self._max_tokens:
            text += self._writer.finish()
            self._finish(FinishReason.STOP if self._writer.is_stopped else FinishReason.LENGTH)
        return GeneratedTokens((token,), text, (float(log_probabilities[token]),))

    def next_log_probabilities(self) -> Floats:
        """The logarithm of the mixture over the vocabulary (V,) for the token to come; its exponentials sum to one."""
        self._forwards += 1
        knn, infgram = self._mixture.knn, self._mixture.infgram
        state, key = self._reader.state(with_key=knn is not None)
        logits = self._model.decoder.logits(state[None])[0].double()
        log_probabilities: Floats = logits.log_softmax(dim=0).cpu().numpy()
        added: list[tuple[npt.NDArray[np.int64], Floats]] = []
        rest = 1.0
        if knn is not None and key is not None:
            near = knn.index.search(
                key[None].float().cpu().numpy(), knn.k, nprobe=knn.nprobe, exact=knn.exact, check=self._check
            )
            tokens, shares = token_distribution(near, knn.temperature)
            if len(tokens):
                added.append((tokens, knn.weight * shares))
                rest -= knn.weight
        if infgram is not None:
            found = next_distribution(infgram.index, self._ids)
            if not is_empty(found):
                weight = infgram.weight_of(is_single(found))
                added.append((found.token_ids, weight * found.probabilities))
                rest -= weight
        if not added:
            return log_probabilities
        mixed = max(rest, 0.0) * np.exp(log_probabilities)
        for tokens, probabilities in added:
            mixed[tokens] += probabilities
        with np.errstate(divide="ignore"):
            return np.log(mixed)

    def _finish(self, reason: FinishReason) -> None:
        self.finished = Finished(reason, self._prompt_tokens, len(self._ids) - self._prompt_tokens, self._forwards)
