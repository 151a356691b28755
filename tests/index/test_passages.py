"""Passages: spans that cover the words of a document, under each chunking."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lodex.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from lodex.index.build import build_index
from lodex.index.passages import CHUNKINGS, PassagesBuilder, PassageTable, chunk_180w, chunk_256w
from lodex.index.store import Store
from lodex.types import Document

WORDS = st.lists(
    st.sampled_from(["word", "end.", "naïve", "中文字", "x" * 100, "\n\n", "\U0001f600"]), max_size=900
).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(text=WORDS, chunking=st.sampled_from(["180w", "256w"]))
def test_passages_hold_every_word_once_and_in_order(text: str, chunking: str) -> None:
    """Joined without their gaps, the passages are the text without its white space."""
    spans = list(CHUNKINGS[chunking](text))
    assert "".join("".join(text[a:b].split()) for a, b in spans) == "".join(text.split())
    assert all(a < b for a, b in spans)


@settings(max_examples=40, deadline=None)
@given(text=WORDS)
def test_no_default_passage_has_more_than_180_words(text: str) -> None:
    """The limit holds, whatever the boundaries."""
    assert all(len(text[a:b].split()) <= 180 for a, b in chunk_180w(text))


def test_the_massiveds_chunking_is_plain_python() -> None:
    """256 words of str.split, the last chunk kept."""
    text = " ".join(f"w{i}" for i in range(600))
    assert [text[a:b] for a, b in chunk_256w(text)] == [" ".join(text.split()[i : i + 256]) for i in range(0, 600, 256)]


def test_a_passage_ends_at_a_paragraph_or_a_sentence() -> None:
    """In the second half of the window a blank line wins over a full stop, and that over the limit."""
    words = ["w"] * 179
    assert next(chunk_180w(" ".join([*words, "w", "w"])))[1] == 2 * 180 - 1
    sentence = " ".join([*words[:120], "end.", *words])
    assert sentence[slice(*next(chunk_180w(sentence)))].endswith("end.")
    paragraph = " ".join(words[:100]) + "\n\n" + sentence
    assert paragraph[slice(*next(chunk_180w(paragraph)))] == " ".join(words[:100])


def test_long_words_and_punctuation_make_shorter_passages() -> None:
    """What an encoder splits into several tokens counts as so many; a single piece of text is never empty."""
    assert [len(text.split()) for text in passages_of("immunohistochemistry " * 300)] == [55] * 5 + [25]
    assert [len(text.split()) for text in passages_of("x=f(y) " * 100)] == [36, 36, 28]


def passages_of(text: str) -> list[str]:
    return [text[begin:end] for begin, end in chunk_180w(text)]


@pytest.mark.parametrize("segment_bytes", [1, 1 << 20])
def test_passages_are_found_by_id_with_the_same_key_in_any_segmentation(tmp_path: Path, segment_bytes: int) -> None:
    """Ids, spans and keys depend on the document alone."""
    texts = {"a": "één twee. " * 400, "b": "", "c": "drie " * 50}
    store = Store.create(tmp_path / "store")
    store.add((Document(i, text, title=i.upper()) for i, text in texts.items()), segment_bytes=segment_bytes)
    with pytest.raises(FailedPreconditionError, match="lodex index passages"):
        store.passage("a#0")
    snapshot = build_index(store, "180w", PassagesBuilder())
    passages = [
        table.passage(i)
        for segment, part in snapshot.parts("180w")
        for table in [PassageTable(part, segment)]
        for i in range(table.num_passages)
    ]
    assert [p.id for p in passages] == [f"a#{i}" for i in range(6)] + ["c#0"]
    assert passages[2].key == "ef46cc9982a1904dd1d2497521f9d8ed"
    for passage in passages:
        assert store.passage(passage.id) == passage
        assert texts[passage.doc_id].encode()[passage.begin : passage.end].decode() == passage.text
    for unknown in ("a#6", "b#0", "d#0", "a", "a#-1", "a#x"):
        with pytest.raises(NotFoundError, match=unknown):
            store.passage(unknown)


def test_an_unknown_chunking_lists_the_known_ones() -> None:
    """The message is the documentation."""
    with pytest.raises(InvalidArgumentError, match="180w, 256w, document"):
        PassagesBuilder("lines")
