"""FIRST: a window of candidates read in one forward pass, scored by the logits of their identifiers."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from lodex.embed.decoder import Decoder
from lodex.errors import InvalidArgumentError
from lodex.index.tokenizer import TOKENIZER_FILE, Tokenizer
from lodex.rerank.chat import chat_frame, has_chat_template
from lodex.rerank.prompt import ChatFrame, PromptBuilder, ReadPassage, go_on
from lodex.rerank.settings import RerankerSettings, read_settings
from lodex.rerank.sliding import sliding_windows
from lodex.rerank.template import IDENTIFIERS, PLAIN
from lodex.types import RankedCandidate, Ranking, RerankWindow

_CHAT_TEMPLATE_DEFAULT = "rank-zephyr"


@dataclass(frozen=True, slots=True)
class ReadWindow:
    """What the model makes of one window of n candidates, and what that cost.

    `logits` (n,) float64 are those of the identifiers, `truncated` (n,) marks the passages that were cut.
    """

    logits: npt.NDArray[np.float64]
    truncated: npt.NDArray[np.bool_]
    prompt_tokens: int
    forwards: int


class FirstReranker:
    """A decoder that orders candidates by one prefill a window and no decoding.

    The score of a candidate is the log-softmax of its identifier's logit among those of its window, read at the "["
    that ends the prompt; only the rows of these identifiers are taken from the LM head.

    Gangi Reddy et al. 2024, FIRST (arXiv:2406.15657). The published code reads the scores from the strings of a
    top-30 list of a serving engine, where identifiers can be missing or stand twice; here every one has its logit.
    """

    def __init__(
        self, decoder: Decoder, tokenizer: Tokenizer, settings: RerankerSettings, chat: ChatFrame | None = None
    ) -> None:
        self.decoder = decoder
        self.settings = settings
        self.name = decoder.name
        self.max_tokens = min(decoder.max_tokens, settings.max_tokens or decoder.max_tokens)
        self.builder = PromptBuilder(tokenizer, settings.template, decoder.start_id, chat)
        self._letters = torch.from_numpy(self.builder.letter_ids).to(decoder.device)
        asked = json.dumps(asdict(settings), sort_keys=True)
        identity = f"lodex-first 1\n{decoder.fingerprint}\n{tokenizer.fingerprint}\n{asked}\n{chat}"
        self.fingerprint = f"sha256:{hashlib.sha256(identity.encode()).hexdigest()}"

    @classmethod
    def open(cls, folder: Path, name: str = "", device: str = "cpu") -> FirstReranker:
        """Load a transformers folder of a decoder with a `tokenizer.json`.

        A `reranker.json` says how it is asked; without one an instructed model is asked by its chat template and the
        template `rank-zephyr`, another by `plain`, in windows of 20 every 10.
        """
        if not (folder / TOKENIZER_FILE).is_file():
            raise InvalidArgumentError(f"{folder} is not a reranker's folder: no {TOKENIZER_FILE}", "model")
        settings = read_settings(folder, _CHAT_TEMPLATE_DEFAULT if has_chat_template(folder) else PLAIN)
        chat = chat_frame(folder, settings.template.system) if settings.template.chat else None
        return cls(Decoder.open(folder, name, device), Tokenizer.load(folder), settings, chat)

    def rerank(
        self,
        query: str,
        candidates: Sequence[str],
        *,
        window: int | None = None,
        stride: int | None = None,
        check: Callable[[], None] = go_on,
        deadline: float | None = None,
        on_window: Callable[[RerankWindow], None] | None = None,
    ) -> Ranking:
        """The order of the candidates, best first; equal scores keep the order they came in.

        `check` is called before each passage and each window, and may raise. A window that would likely end after
        `deadline`, an instant of `time.monotonic`, is not begun: the order so far is `partial`, and candidates that no
        window held have score -inf, no logit and 0 windows. `on_window` is told each window. A candidate's scores are
        those of its last window, so they compare within one window only.
        """
        work = self.begin(query, candidates, window=window, stride=stride, check=check)
        while not work.is_finished:
            check()
            if deadline is not None and time.monotonic() + work.slowest_s > deadline:
                return work.ranking(partial=True)
            read = work.step()
            if on_window is not None:
                on_window(read)
        return work.ranking()

    def begin(
        self,
        query: str,
        candidates: Sequence[str],
        *,
        window: int | None = None,
        stride: int | None = None,
        check: Callable[[], None] = go_on,
    ) -> Reranking:
        """The work of `rerank`, to be done window by window; its texts are tokenised here."""
        chosen, step = self.require_windows(window, stride)
        longest = min(self.max_tokens, self.settings.max_passage_tokens or self.max_tokens)
        passages = self.builder.read(candidates, longest, check)
        return Reranking(self, query, passages, list(sliding_windows(len(candidates), chosen, step)))

    def read_window(self, query: str, passages: Sequence[ReadPassage]) -> ReadWindow:
        """Read one window, in one forward pass."""
        prompt = self.builder.assemble(query, passages, self.max_tokens, self.settings.max_passage_tokens)
        hidden = self.decoder.forward(torch.from_numpy(prompt.ids)[None]).hidden[0, -1]  # (H,)
        logits = self.decoder.logits_of(hidden, self._letters[: len(passages)])  # (n,)
        return ReadWindow(logits.double().cpu().numpy(), prompt.truncated, len(prompt.ids), forwards=1)

    def require_windows(self, window: int | None = None, stride: int | None = None) -> tuple[int, int]:
        """The window and stride to read with, by default the reranker's own; InvalidArgumentError names the limit."""
        chosen = self.settings.window if window is None else window
        if not 1 <= chosen <= len(IDENTIFIERS):
            raise InvalidArgumentError(
                f"window is {chosen}, expected 1 to {len(IDENTIFIERS)}, the number of identifiers", "options.window"
            )
        usual = self.settings.stride if window is None else max(1, chosen // 2)
        step = usual if stride is None else stride
        if not 1 <= step <= chosen:
            raise InvalidArgumentError(f"stride is {step}, expected 1 to the window of {chosen}", "options.stride")
        return chosen, step


class Reranking:
    """The candidates of one query on their way to an order, a window a step; `slowest_s` is its slowest step."""

    def __init__(
        self,
        reranker: FirstReranker,
        query: str,
        passages: Sequence[ReadPassage],
        windows: Sequence[tuple[int, int]],
    ) -> None:
        self.slowest_s = 0.0
        self._reranker = reranker
        self._query = query
        self._passages = passages
        self._windows = windows
        self._order = list(range(len(passages)))
        self._best: dict[int, RankedCandidate] = {}
        self._steps = self._forwards = self._tokens = 0

    @property
    def is_finished(self) -> bool:
        """Whether every window was read."""
        return self._steps == len(self._windows)

    def step(self) -> RerankWindow:
        """Read the next window and put its candidates in order."""
        assert not self.is_finished, "a step after the last window; this is a bug"
        started = time.monotonic()
        begin, end = self._windows[self._steps]
        members = self._order[begin:end]
        read = self._reranker.read_window(self._query, [self._passages[i] for i in members])
        scores = log_softmax(read.logits)
        for place, i in enumerate(members):
            held = self._best[i].windows + 1 if i in self._best else 1
            score, logit = float(scores[place]), float(read.logits[place])
            self._best[i] = RankedCandidate(i, score, logit, held, bool(read.truncated[place]))
        self._order[begin:end] = [members[place] for place in np.argsort(-read.logits, kind="stable")]
        self._steps += 1
        self._tokens += read.prompt_tokens
        self._forwards += read.forwards
        self.slowest_s = max(self.slowest_s, time.monotonic() - started)
        return RerankWindow(begin, tuple(self._best[i] for i in self._order[begin:end]))

    def ranking(self, partial: bool = False) -> Ranking:
        """The order so far; candidates that no window held yet have score -inf."""
        return Ranking(
            candidates=tuple(self._best.get(i, RankedCandidate(i, -math.inf)) for i in self._order),
            windows=self._steps,
            forwards=self._forwards,
            prompt_tokens=self._tokens,
            partial=partial,
        )


def log_softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Log-softmax of (n,) in float64."""
    wide = logits.astype(np.float64)
    shifted = wide - wide.max()
    scores: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum())
    return scores
