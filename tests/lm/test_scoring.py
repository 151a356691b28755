"""Scores against the plainest formula, and what they must not depend on."""

from pathlib import Path

import numpy as np
import pytest

from lodex.errors import CancelledError, FingerprintMismatchError, InvalidArgumentError
from lodex.index.knn import KnnIndex
from lodex.index.ngrams import NgramIndex
from lodex.index.store import Store
from lodex.index.tokenizer import Tokenizer
from lodex.lm.mixture import InfgramPart, KnnPart, Mixture
from lodex.lm.model import LanguageModel
from lodex.lm.scoring import score_texts
from lodex.service.indexing import build_knn_index, build_suffix_index, update_indexes
from lodex.service.language_models import LanguageModels
from lodex.types import Document
from tests.lm import oracle
from tests.lm.conftest import documents, fill

TEXT = "abd c.a dc ab. abcd da.é cab z"


def build(folder: Path, model_folder: Path, segments: int, count: int = 10) -> Store:
    store = fill(folder, documents(count), segments)
    build_suffix_index(store, str(model_folder))
    build_knn_index(store, str(model_folder))
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Store:
    """Ten documents in one segment, with a suffix and a kNN index."""
    return build(tmp_path_factory.mktemp("one") / "store", model_folder, 1)


def mixture(store: Store, k: int = 7, temperature: float = 2.0) -> Mixture:
    snapshot = store.snapshot()
    return Mixture(KnnPart(KnnIndex(snapshot, "knn"), k, temperature, 0.3), InfgramPart(NgramIndex(snapshot), 0.2, 0.4))


@pytest.mark.parametrize(("window", "stride"), [(None, None), (16, 8), (9, 4), (5, 5), (1, 1)])
def test_every_part_is_what_the_formulas_say(
    window: int | None, stride: int | None, model: LanguageModel, store: Store
) -> None:
    """The model's, the neighbours' and the longest match's probability of each token, and their mixture."""
    ids = model.encode(TEXT)
    # All entries: which of two that are equally far is the last one is a matter of rounding, and the index's own test.
    parts = mixture(store, k=10_000)
    (score,) = score_texts(
        model, [ids], parts, text_bytes=[31], components=True, window_tokens=window, stride_tokens=stride
    )
    lm, knn, infgram = score.components
    entries = oracle.knn_entries(model, store, 16, 8)
    w, s = window or 16, stride or 8
    for i, token in enumerate(ids):
        of_lm = oracle.lm_distribution(model, ids, i, w, s)
        key = oracle.state_and_key(model, ids, i, w, s)[1]
        of_knn = oracle.knn_distribution(key, entries, 10_000, 2.0, 30)
        of_infgram, distinct = oracle.infgram_distribution(model, store, ids, i, 30)
        weight = 0.4 if distinct == 1 else 0.2
        total = (0.7 - weight) * of_lm + 0.3 * of_knn + weight * of_infgram
        assert np.exp(lm.log_probabilities[i]) == pytest.approx(of_lm[token], rel=1e-4)
        assert np.exp(knn.log_probabilities[i]) == pytest.approx(of_knn[token], rel=1e-2, abs=1e-9)
        assert np.exp(infgram.log_probabilities[i]) == pytest.approx(of_infgram[token], abs=1e-12)
        assert (lm.weights[i], knn.weights[i], infgram.weights[i]) == pytest.approx((0.7 - weight, 0.3, weight))
        assert np.exp(score.log_probabilities[i]) == pytest.approx(total[token], rel=5e-3)
    assert score.bits_per_byte == pytest.approx(oracle.bits(score.log_probabilities, 31))


def test_the_segments_make_no_difference(
    tmp_path: Path, model: LanguageModel, model_folder: Path, store: Store
) -> None:
    """Five segments give the numbers of one, to 1e-6."""
    five = build(tmp_path / "five", model_folder, 5)
    assert len(five.snapshot().segments) == 5
    ids = model.encode(TEXT)
    (one,), (other,) = (score_texts(model, [ids], mixture(s, k=40), text_bytes=[31]) for s in (store, five))
    np.testing.assert_allclose(one.log_probabilities, other.log_probabilities, rtol=0, atol=1e-6)


def test_deleted_documents_leave_no_trace_in_a_mixture(
    tmp_path: Path, model: LanguageModel, model_folder: Path
) -> None:
    """With documents deleted and one replaced, scores are those of a store without them, to 1e-6."""
    living = build(tmp_path / "living", model_folder, 3)
    whole = score_texts(model, [model.encode(TEXT)], mixture(living, k=40), text_bytes=[31])[0]
    changed = Document("doc-0-3", "cab dab. a dab")
    living.delete(["doc-0-0", "doc-0-1", "doc-0-7"])
    living.add([changed], replace=True)
    update_indexes(living, language_models=LanguageModels({"letters": model_folder}))
    fresh = Store.create(tmp_path / "fresh")
    fresh.add([d for d in documents(10) if d.doc_id not in ("doc-0-0", "doc-0-1", "doc-0-7", "doc-0-3")] + [changed])
    build_suffix_index(fresh, str(model_folder))
    build_knn_index(fresh, str(model_folder))
    ids = model.encode(TEXT)
    one, other = (score_texts(model, [ids], mixture(s, k=40), text_bytes=[31])[0] for s in (living, fresh))
    np.testing.assert_allclose(one.log_probabilities, other.log_probabilities, rtol=0, atol=1e-6)
    assert np.abs(one.log_probabilities - whole.log_probabilities).max() > 1e-3


def test_texts_of_a_batch_do_not_touch_each_other(model: LanguageModel, store: Store) -> None:
    """A text scores alike alone and among others, an empty one among them."""
    texts = [model.encode(text) for text in (TEXT, "", "a", "cab " * 9)]
    sizes = [31, 0, 1, 36]
    together = score_texts(model, texts, mixture(store), text_bytes=sizes)
    for text, size, score in zip(texts, sizes, together, strict=True):
        (alone,) = score_texts(model, [text], mixture(store), text_bytes=[size])
        np.testing.assert_allclose(alone.log_probabilities, score.log_probabilities, rtol=0, atol=1e-6)
    assert np.isnan(together[1].bits_per_byte)


def test_neighbors_come_with_their_documents(model: LanguageModel, store: Store) -> None:
    """Each neighbour's document holds its token right behind the place that is named; nearest come first."""
    ids = model.encode("abd c")
    (score,) = score_texts(model, [ids], mixture(store), text_bytes=[5], neighbors=3)
    assert [len(found) for found in score.neighbors] == [3] * len(ids)
    for found in score.neighbors:
        assert [n.distance for n in found] == sorted(n.distance for n in found)
        assert [n.weight for n in found] == sorted((n.weight for n in found), reverse=True)
        for neighbor in found:
            text = store.get(neighbor.occurrence.doc_id).text.encode()
            token = model.decode([neighbor.token_id])
            place = neighbor.occurrence
            if neighbor.token_id != model.tokenizer.eos_id:
                assert place.match == token
                assert text[place.begin : place.end].decode() == token
            else:
                assert place.begin == place.end == len(text)


def test_no_mixture_is_the_model_alone(model: LanguageModel) -> None:
    """Without a datastore nothing but the decoder answers."""
    ids = model.encode(TEXT)
    (score,) = score_texts(model, [ids], text_bytes=[31], components=True)
    assert [part.component for part in score.components] == ["lm"]
    np.testing.assert_array_equal(score.components[0].log_probabilities, score.log_probabilities)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_weights_at_their_ends(weight: float, model: LanguageModel, store: Store) -> None:
    """Weight 0 is the model alone, weight 1 the neighbours alone, without a nan where they give nothing."""
    ids = model.encode(TEXT)
    part = KnnPart(KnnIndex(store.snapshot(), "knn"), 3, 1.0, weight)
    (score,) = score_texts(model, [ids], Mixture(part), text_bytes=[31], components=True)
    np.testing.assert_allclose(
        score.log_probabilities, score.components[int(weight)].log_probabilities, rtol=0, atol=1e-12
    )
    assert not np.isnan(score.log_probabilities).any()


def test_an_index_of_another_model_is_refused(tmp_path: Path, model: LanguageModel, store: Store) -> None:
    """States of two models cannot be compared: the error names both."""
    knn = KnnIndex(store.snapshot(), "knn")
    knn.model_fingerprint = "sha256:other"
    with pytest.raises(FingerprintMismatchError, match="sha256:other"):
        score_texts(model, [[1]], Mixture(KnnPart(knn)), text_bytes=[1])


def test_an_index_over_another_vocabulary_is_refused(
    tmp_path: Path, model: LanguageModel, model_folder: Path, store: Store
) -> None:
    """Equal weights read by another tokenizer mean other texts."""
    ours = (model_folder / "tokenizer.json").read_text()
    swapped = ours.replace('"a": 1,', '"a": 2,').replace('"b": 2,', '"b": 1,')
    assert swapped != ours
    (tmp_path / "tokenizer.json").write_text(swapped)
    other = LanguageModel(model.decoder, Tokenizer.load(tmp_path))
    with pytest.raises(FingerprintMismatchError, match="over tokens of"):
        score_texts(other, [[1]], Mixture(KnnPart(KnnIndex(store.snapshot(), "knn"))), text_bytes=[1])


@pytest.mark.parametrize(
    "change", [{"weight": 1.5}, {"weight": -0.1}, {"temperature": 0.0}, {"temperature": float("inf")}, {"k": 0}]
)
def test_mixtures_that_mean_nothing_are_refused(change: dict, model: LanguageModel, store: Store) -> None:
    """The error names the field."""
    part = KnnPart(KnnIndex(store.snapshot(), "knn"), **change)
    with pytest.raises(InvalidArgumentError) as caught:
        score_texts(model, [[1]], Mixture(part), text_bytes=[1])
    assert caught.value.field == f"mixture.knn.{next(iter(change))}"


def test_weights_share_one(model: LanguageModel, store: Store) -> None:
    """What the parts take together must leave the model something that is not negative."""
    snapshot = store.snapshot()
    parts = Mixture(KnnPart(KnnIndex(snapshot, "knn"), weight=0.7), InfgramPart(NgramIndex(snapshot), 0.1, 0.4))
    with pytest.raises(InvalidArgumentError, match=r"add up to 1\.1"):
        score_texts(model, [[1]], parts, text_bytes=[1])


@pytest.mark.parametrize(("window", "stride"), [(17, 8), (0, 1), (8, 9), (8, 0)])
def test_windows_that_the_model_cannot_read_are_refused(window: int, stride: int, model: LanguageModel) -> None:
    """A window is within the model's context, a stride within the window."""
    with pytest.raises(InvalidArgumentError):
        score_texts(model, [[1, 2]], text_bytes=[2], window_tokens=window, stride_tokens=stride)


def test_a_caller_who_gave_up_stops_the_work(model: LanguageModel) -> None:
    """`check` is asked before the first batch already."""

    def give_up() -> None:
        raise CancelledError("gone")

    before = model.decoder.forwards
    with pytest.raises(CancelledError):
        score_texts(model, [[1, 2]], text_bytes=[2], check=give_up)
    assert model.decoder.forwards == before
