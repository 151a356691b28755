"""Interpolated modified Kneser-Ney: the classical n-gram language model, over suffix tables as one corpus.

Chen and Goodman 1999, An empirical study of smoothing techniques for language modeling, section 3 and equations 25 to
27. With h the n - 1 tokens before w, h' the same without the first, and a the count of an n-gram:

    P_n(w | h) = (a(hw) - D_n(a(hw))) / A(h) + g(h) P_{n-1}(w | h')        A(h) = sum of a(hw) over all w
    g(h) = (D1 N1(h) + D2 N2(h) + D3+ N3+(h)) / A(h)                       Nc(h) = tokens w with a(hw) = c
    P_0(w) = 1 / V

Where A(h) is 0, P_n(w | h) is P_{n-1}(w | h'). Of the highest order a is how often an n-gram occurs; of the lower ones
N1+(. hw), the number of distinct tokens that stand before it. Discounts are those of each order, from how many of its
n-grams have the counts 1, 2, 3 and 4:

    Y = n1 / (n1 + 2 n2)    D1 = 1 - 2 Y n2 / n1    D2 = 2 - 3 Y n3 / n2    D3+ = 3 - 4 Y n4 / n3

What the paper leaves open is done as KenLM does it (Heafield et al. 2013). A document reads EOS, tokens, EOS, and no
context goes back behind its start. Nothing can stand before the EOS that starts a document, so n-grams that begin with
it are counted by their occurrences in every order, and that EOS is itself never predicted; before a token it is one of
those that N1+ counts. Where n1, n2 or n3 is 0 or a discount is not above 0, as in tiny or artificial corpora, an order
has the discounts 0.5, 1 and 1.5. One deviation: KenLM's V is that of the corpus and one unknown word; here it is the
tokenizer's vocabulary, of which any token may come.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lodex.errors import InvalidArgumentError
from lodex.index.kneser_ney_counts import ContinuationCounts, Followers, SortedPart
from lodex.index.ngram_queries import Vocabulary
from lodex.index.tokenizer import TokenIds
from lodex.types import TokenQuery

Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]

FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""D1, D2 and D3+ where counts of counts do not give any."""

# What follows the contexts of a block is in memory at once: for each up to `frequent` tokens, mostly far fewer.
_BLOCK = 4096


class KneserNey:
    """A model of an order, exact for the documents that parts of sign 1 hold and those of sign -1 do not.

    Token ids are those of the tokenizer, `eos_id` among them for the start and the end of a document; an id outside
    [0, vocab_size) raises InvalidArgumentError. What stands before the last EOS of a prompt is of no account, so a
    prompt that ends in EOS stands at the start of a document. After other prompts that are shorter than order - 1 the
    model of a lower order answers. Every token has a probability above 0, and those after a prompt sum to one.
    """

    def __init__(self, counts: ContinuationCounts) -> None:
        self.order = counts.order
        self.vocabulary = counts.vocabulary
        self.counts_of_counts = counts.counts_of_counts
        self.discounts = np.array([modified_discounts(*row) for row in counts.counts_of_counts.tolist()])  # (order, 3)
        self._counts = counts
        self._unigrams = self._smooth_unigrams()  # (V,)

    @classmethod
    def fit(
        cls, parts: Sequence[SortedPart], vocab_size: int, eos_id: int, order: int = 5, frequent: int = 4096
    ) -> KneserNey:
        """Count the parts, of one dtype, in one pass over all of their tokens.

        `order` is 1 to 255. A context that occurs `frequent` times or more is counted now and kept; others are counted
        whenever they are met, which reads each of their occurrences. No probability depends on it.

        Raises FailedPreconditionError where `eos_id` stands inside of a document, DataLossError for a token outside
        the vocabulary, a table that cannot belong to its tokens, or documents subtracted that no part holds.
        """
        if not parts:
            raise InvalidArgumentError("a Kneser-Ney model needs one part of a suffix index or more", "parts")
        dtype = parts[0].tokens.dtype
        vocabulary = Vocabulary(vocab_size, eos_id, int(np.iinfo(dtype).max), dtype)
        return cls(ContinuationCounts(parts, vocabulary, order, frequent))

    # ------------------------------------------------------------------------------------ queries

    def prob(self, prompts: Sequence[TokenQuery], continuations: Sequence[TokenQuery]) -> Float64s:
        """The probability that each continuation, of one token or more, follows its prompt, (n,).

        That of several tokens is the product over them; behind an EOS in it the next document goes on.
        """
        if len(prompts) != len(continuations):
            raise InvalidArgumentError(
                f"{len(continuations)} continuations, expected one for each of {len(prompts)} prompts", "continuations"
            )
        pairs = []
        for i, (prompt, continuation) in enumerate(zip(prompts, continuations, strict=True)):
            behind = self.vocabulary.encode(continuation, f"continuations[{i}]")
            if not len(behind):
                raise InvalidArgumentError(f"continuations[{i}] is empty", f"continuations[{i}]")
            pairs.append((self._context(prompt, f"prompts[{i}]"), behind))
        if not pairs:
            return np.empty(0)
        found = self._probabilities(pairs)
        starts = np.cumsum([0, *(len(behind) for _, behind in pairs[:-1])])
        return np.multiply.reduceat(found, starts)

    def distribution(self, prompt: TokenQuery) -> Float64s:
        """The probability of every token after a prompt, (V,); at `eos_id` that of the end of the document."""
        context = self._context(prompt, "prompt")
        found = self._unigrams.copy()
        for length in range(1, len(context) + 1):
            ((_, rows, followers),) = self._counts.followers(context[None, len(context) - length :])
            tokens, counts = followers.row(int(rows[0]))
            if not len(tokens):
                break  # a context that nothing follows is no part of a longer one that something follows
            discounted, left = self._discount(followers, rows, counts, length)
            found *= left
            found[self._ids(tokens)] += discounted
        return found

    def score(self, tokens: TokenQuery) -> Float64s:
        """The natural logarithm of the probability of each token of a document after all before it, (n,).

        The first stands at the start of the document. Its end is scored if `tokens` ends in EOS.
        """
        start = np.full(1, self.vocabulary.separator, self.vocabulary.dtype)
        return np.log(self._probabilities([(start, self.vocabulary.encode(tokens, "document"))]))

    # ------------------------------------------------------------------------------------ the model

    def _context(self, prompt: TokenQuery, field: str) -> TokenIds:
        """The tokens of a prompt that matter."""
        tokens = self.vocabulary.last_document(self.vocabulary.encode(prompt, field))
        return tokens[max(0, len(tokens) - self.order + 1) :]

    def _ids(self, tokens: npt.NDArray[np.integer]) -> Int64s:
        """Tokens of a stream as callers know them."""
        return np.where(tokens == self.vocabulary.separator, self.vocabulary.eos_id, tokens)

    def _smooth_unigrams(self) -> Float64s:
        tokens, counts = self._counts.unigrams
        found = np.full(self.vocabulary.size, 1 / self.vocabulary.size)
        if len(tokens):
            followers = Followers(tokens, counts, np.array([0, len(tokens)]))
            discounted, left = self._discount(followers, np.zeros(1, np.int64), counts, 0)
            found *= left
            found[self._ids(tokens)] += discounted
        return found

    def _discount(self, followers: Followers, rows: Int64s, counts: Int64s, length: int) -> tuple[Float64s, Float64s]:
        """Of contexts of a length that something follows: what counts are worth, and the weight of the lower order.

        `rows` (n,) are their rows; the counts are one for each, (n,), or any number for one row.
        """
        discounts = self.discounts[length]
        totals = followers.totals[rows]
        discounted = (counts - np.append(0.0, discounts)[np.minimum(counts, 3)]) / totals
        return discounted, followers.numbers[rows] @ discounts / totals

    def _probabilities(self, pairs: Sequence[tuple[TokenIds, TokenIds]]) -> Float64s:
        """The probability of every token of the second of each pair, one behind the other, after all before it."""
        flat = np.concatenate([tokens for pair in pairs for tokens in pair])
        bounds = np.cumsum([0, *(len(tokens) for pair in pairs for tokens in pair)])
        is_target = np.repeat(np.arange(len(bounds) - 1) % 2 == 1, np.diff(bounds))
        # A context begins where its pair does, or at the last EOS before the token.
        begins = np.zeros(len(flat) + 1, np.int64)
        begins[bounds[:-1:2]] = bounds[:-1:2]
        ends = np.flatnonzero(flat == self.vocabulary.separator)
        begins[ends + 1] = np.maximum(begins[ends + 1], ends)
        begins = np.maximum.accumulate(begins)
        places = np.flatnonzero(is_target)
        lengths = np.minimum(places - begins[places], self.order - 1)
        found = np.empty(len(places))
        for start in range(0, len(places), _BLOCK):
            block = slice(start, start + _BLOCK)
            found[block] = self._block(flat, places[block], lengths[block])
        return found

    def _block(self, flat: TokenIds, places: Int64s, lengths: Int64s) -> Float64s:
        """The probability of the token at each place after as many tokens before it as `lengths` says."""
        targets = flat[places].astype(np.int64)
        found = self._unigrams[self._ids(targets)]
        open = np.arange(len(places))  # those whose next longer context may have been seen
        context_of = np.zeros(len(places), np.int64)  # of each of them the number of its present context
        for length in range(1, self.order):
            open = open[lengths[open] >= length]
            if not len(open):
                break
            # A context is one that is shorter by a token, and that token before it.
            longer = context_of[open] << 32 | flat[places[open] - length]
            _, first, numbers = np.unique(longer, return_index=True, return_inverse=True)
            context_of[open] = numbers
            contexts = flat[places[open[first], None] + np.arange(-length, 0)]  # (distinct, length)
            seen = np.zeros(len(open), np.bool_)
            for chosen, rows, followers in self._counts.followers(contexts):
                row_of = np.full(len(contexts), -1)
                row_of[chosen[followers.totals[rows] > 0]] = rows[followers.totals[rows] > 0]
                here = np.flatnonzero(row_of[numbers] >= 0)
                at, rows = open[here], row_of[numbers[here]]
                discounted, left = self._discount(followers, rows, followers.count(rows, targets[at]), length)
                found[at] = discounted + left * found[at]
                seen[here] = True
            open = open[seen]
        return found


def modified_discounts(n1: int, n2: int, n3: int, n4: int) -> tuple[float, float, float]:
    """D1, D2 and D3+ from how many n-grams have the counts 1, 2, 3 and 4 (Chen and Goodman 1999, equation 26).

    `FALLBACK_DISCOUNTS` where n1, n2 or n3 is 0 or one of them is not above 0: with a discount of 0 an unseen token
    could have no probability.
    """
    if not (n1 and n2 and n3):
        return FALLBACK_DISCOUNTS
    y = n1 / (n1 + 2 * n2)
    found = 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3
    return found if min(found) > 0 else FALLBACK_DISCOUNTS
