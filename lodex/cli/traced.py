"""A traced text for people: its spans in colour or in brackets, and a table of where they stand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from rich.table import Table
from rich.text import Text

from lodex.cli.app import console, escaped, plural, say, show_table
from lodex.cli.ngrams import one_line
from lodex.types import Occurrence, Trace, TraceSpan

COLOURS = ("bright_red", "bright_yellow", "bright_cyan")
"""Of the third of the spans with the rarest words, of the next, and of the others."""

_RARITIES = ("rarest words", "rare words", "less rare words")
_AROUND = 32
_MATCH = 96


def print_trace(text: str, trace: Trace) -> None:
    """Print a text with its spans marked and numbered, and where each of them stands."""
    in_colour = console.is_terminal and console.color_system is not None and not console.no_color
    colours = span_colours(trace.spans) if in_colour else None
    console.print(marked_text(text.rstrip("\n"), trace.spans, colours), soft_wrap=not console.is_terminal)
    covered = int(_covered(trace).sum())
    tokens = len(trace.token_ids)
    share = f", {covered / tokens:.0%} of {plural(tokens, 'token')}" if tokens else ""
    legend: list[str | tuple[str, str]] = []
    for colour, rarity in zip(COLOURS, _RARITIES, strict=True):
        if colours and colour in colours:
            legend += ["  ", (f" {rarity} ", _on(colour))]
    say(f"\n{plural(len(trace.spans), 'span')}{share}", *legend)
    if trace.spans:
        say("")
        show_table(_table(trace.spans, colours))


def span_colours(spans: Sequence[TraceSpan]) -> list[str]:
    """The colour of each span by its rank in rarity: its tokens' log-probability, as if each came by itself."""
    order = np.argsort([span.unigram_log_probability for span in spans], kind="stable")
    ranks = np.empty(len(spans), np.int64)
    ranks[order] = np.arange(len(spans))
    return [COLOURS[rank * len(COLOURS) // len(spans)] for rank in ranks.tolist()]


def marked_text(text: str, spans: Sequence[TraceSpan], colours: Sequence[str] | None) -> Text:
    """A text with its spans: each in its colour, its number behind it; without colours in brackets, as [1|so|1].

    Spans may overlap: what several of them share has the colour of the rarest. What a terminal would obey is escaped.
    """
    data = text.encode()
    beginning, ending = defaultdict(list), defaultdict(list)
    for number, span in enumerate(spans, 1):
        begin, end = _bounds(data, span)
        beginning[begin].append(number)
        ending[end].append(number)
    cuts = sorted({0, len(data), *beginning, *ending})
    marked, within = Text(), set[int]()
    for begin, end in pairwise([*cuts, cuts[-1]]):
        within = (within - set(ending[begin])) | set(beginning[begin])
        piece = "\n".join(map(_shown, data[begin:end].decode(errors="replace").split("\n")))
        if colours is None:
            closing = "".join(f"|{number}]" for number in ending[begin])
            opening = "".join(f"[{number}|" for number in beginning[begin])
            marked.append(closing + opening + piece)
        else:
            marked.append("".join(f"[{number}]" for number in ending[begin]), "dim")
            rarest = min((colours[number - 1] for number in within), key=COLOURS.index, default="")
            marked.append(piece, rarest and _on(rarest))
    return marked


def _bounds(data: bytes, span: TraceSpan) -> tuple[int, int]:
    """The bytes of a span without the white space that its first token brings, as it is shown."""
    piece = data[span.begin_byte : span.end_byte]
    return span.begin_byte + len(piece) - len(piece.lstrip() or piece), span.end_byte


def _on(colour: str) -> str:
    return f"black on {colour}"


def _shown(line: str) -> str:
    """A line whose tabs stay as they are."""
    return "\t".join(map(escaped, line.split("\t")))


def _covered(trace: Trace) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    covered = np.zeros(len(trace.token_ids), np.bool_)
    for span in trace.spans:
        covered[span.begin : span.end] = True
    return covered


def _table(spans: Sequence[TraceSpan], colours: Sequence[str] | None) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("#", "tokens", "count", "log p"):
        table.add_column(name, justify="right", no_wrap=True)
    with_sources = any(map(_source, (place for span in spans for place in span.occurrences)))
    for name in ("document", "source", "there") if with_sources else ("document", "there"):
        table.add_column(name, overflow="fold")
    for number, span in enumerate(spans, 1):
        colour = None if colours is None else colours[number - 1]
        figures = [
            Text(str(number), "" if colour is None else _on(colour)),
            Text(f"{span.end - span.begin:,}"),
            Text(f"{span.count:,}"),
            Text(f"{span.unigram_log_probability:.1f}"),
        ]
        if not span.occurrences:
            table.add_row(*figures, *[""] * (1 + with_sources), _match(" ".join(span.text.split()), colour))
        for place in span.occurrences:
            names = [Text(escaped(_name(place)), "cyan"), Text(escaped(_source(place)))][: 1 + with_sources]
            table.add_row(*figures, *names, _snippet(place, colour))
            figures = [Text()] * len(figures)
    return table


def _name(place: Occurrence) -> str:
    return place.title or place.doc_id


def _source(place: Occurrence) -> str:
    """Where a document comes from, "" where its name says so already."""
    return "" if place.source == _name(place) else place.source


def _snippet(place: Occurrence, colour: str | None) -> Text:
    """A match between what stands around it, on one line."""
    before, match, after = one_line(place)
    if match.startswith(" "):
        before, match = before + " ", match[1:]
    return Text.assemble(escaped(_last_words(before)), _match(match, colour), escaped(_first_words(after)))


def _last_words(text: str) -> str:
    if len(text) <= _AROUND:
        return text
    shown = text[-_AROUND:]
    return "…" + (shown.partition(" ")[2] or shown)


def _first_words(text: str) -> str:
    if len(text) <= _AROUND:
        return text
    shown = text[:_AROUND]
    return (shown.rpartition(" ")[0] or shown) + "…"


def _match(text: str, colour: str | None) -> Text:
    """The text of a match, without its middle where it is long: in a colour, or without one between «»."""
    shown = text if len(text) <= _MATCH else f"{text[: _MATCH // 2]}…{text[1 - _MATCH // 2 :]}"
    return Text(f"«{escaped(shown)}»") if colour is None else Text(escaped(shown), f"bold {colour}")
