"""Keys of documents against one forward pass a window, however documents are batched."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from lodex.embed.decoder import Decoder
from lodex.errors import CancelledError, InvalidArgumentError
from lodex.lm import states as states_module
from lodex.lm.states import KeyMaker
from lodex.lm.windows import window_begin

VOCABULARY, LIMIT = 101, 48


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    """A random Llama of two layers, with heads that share keys."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=80,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=LIMIT,
        bos_token_id=None,
        eos_token_id=7,
    )
    return Decoder(LlamaForCausalLM(config).eval(), "tiny", "sha256:tiny", torch.device("cpu"))


def documents(lengths: Sequence[int], seed: int = 0) -> list[npt.NDArray[np.uint16]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(8, VOCABULARY, length).astype(np.uint16) for length in lengths]


def keys_of(maker: KeyMaker, texts: Sequence[npt.NDArray[np.uint16]]) -> npt.NDArray[np.float32]:
    return np.concatenate(list(maker(texts)))


LENGTHS = [0, 1, 2, 5, 5, 5, 47, 48, 49, 110, 0, 3, 5]


@pytest.mark.parametrize(("window", "stride"), [(None, None), (16, 16), (20, 3), (1, 1)])
def test_a_key_is_the_state_of_its_window(decoder: Decoder, window: int | None, stride: int | None) -> None:
    """Token by token, the input of the last MLP in the window that the rule gives, the start token before the text."""
    texts = documents(LENGTHS)
    maker = KeyMaker(decoder, window, stride)
    found = keys_of(maker, texts)
    expected = []
    for text in texts:
        ids = torch.tensor([[decoder.start_id, *text.tolist()]])
        for position in range(ids.shape[1]):
            begin = window_begin(position, maker.source.window_tokens, maker.source.stride_tokens)
            states = decoder.forward(ids[:, begin : position + 1], with_keys=True).keys
            assert states is not None
            expected.append(states[0, -1].numpy())
    assert found.shape == (sum(LENGTHS) + len(LENGTHS), 32)
    np.testing.assert_allclose(found, np.stack(expected), rtol=0, atol=2e-5)


def test_keys_do_not_depend_on_what_stands_beside(decoder: Decoder) -> None:
    """Alone, together and in another order every document has the same bits."""
    texts = documents(list(range(60)) * 2, seed=1)
    maker = KeyMaker(decoder)
    alone = [keys_of(maker, [text]) for text in texts]
    np.testing.assert_array_equal(keys_of(maker, texts), np.concatenate(alone))
    np.testing.assert_array_equal(keys_of(maker, texts[::-1]), np.concatenate(alone[::-1]))


def test_keys_do_not_depend_on_groups_and_batches(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is computed at once, and on how many threads, the bits are the same."""
    texts = documents([300, 1, 7, 48, 500, 7, 0, 13], seed=2)
    expected = keys_of(KeyMaker(decoder), texts)
    for batch, group, threads in ((64, 100, 1), (300, 64, 2), (5000, 5000, 3)):
        monkeypatch.setattr(states_module, "_CPU_BATCH_TOKENS", batch)
        monkeypatch.setattr(states_module, "_FEWEST_GROUP_TOKENS", group)
        monkeypatch.setattr(states_module, "_MOST_GROUP_TOKENS", group)
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            np.testing.assert_array_equal(keys_of(KeyMaker(decoder), texts), expected)
        finally:
            torch.set_num_threads(before)


def test_documents_are_read_as_they_are_needed(decoder: Decoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long list of documents is never held: the first keys come before the last document was asked for."""
    monkeypatch.setattr(states_module, "_FEWEST_GROUP_TOKENS", 50)
    monkeypatch.setattr(states_module, "_MOST_GROUP_TOKENS", 50)
    asked = 0

    def reading():  # type: ignore[no-untyped-def]
        nonlocal asked
        for text in documents([20] * 30):
            asked += 1
            yield text

    next(KeyMaker(decoder)(reading()))
    assert asked < 10


def test_progress_counts_every_key_and_may_stop(decoder: Decoder) -> None:
    """What `advance` is told adds up to the keys; an error of its own ends the work."""
    done: list[int] = []
    texts = documents([100, 3])
    assert sum(map(len, KeyMaker(decoder)(texts, done.append))) == sum(done) == 105

    def stop(amount: int) -> None:
        raise CancelledError("enough")

    with pytest.raises(CancelledError):
        list(KeyMaker(decoder)(texts, stop))


def test_nothing_has_no_keys(decoder: Decoder) -> None:
    """No documents are no rows; a document without tokens has the key of its start."""
    assert list(KeyMaker(decoder)([])) == []
    assert keys_of(KeyMaker(decoder), documents([0])).shape == (1, 32)


def test_windows_beyond_the_model_are_refused(decoder: Decoder) -> None:
    """So are strides that would leave tokens out, and ids that the model does not have."""
    with pytest.raises(InvalidArgumentError, match=f"at most {LIMIT}"):
        KeyMaker(decoder, LIMIT + 1)
    with pytest.raises(InvalidArgumentError, match="stride_tokens is 9"):
        KeyMaker(decoder, 8, 9)
    with pytest.raises(InvalidArgumentError, match=f"token {VOCABULARY}"):
        list(KeyMaker(decoder)([np.array([VOCABULARY], np.uint16)]))
