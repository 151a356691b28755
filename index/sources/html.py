"""HTML pages: the text a reader sees, extracted by Resiliparse."""

from __future__ import annotations

import re
from collections.abc import Iterator

from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import map_encoding_to_html5
from resiliparse.parse.html import DOMContext, ElementNode, HTMLTree, traverse_dom

from lodex.index.sources.reading import Item, Reading, Record, SourceFile, too_large
from lodex.index.sources.text import decode
from lodex.types import Document

# Where the HTML standard looks for a declared encoding.
_DECLARATION_BYTES = 1024
_DECLARATION = re.compile(
    rb"<(?:meta\b[^>]*?\bcharset|\?xml\b[^>]*?\bencoding)\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE
)

_LISTS = ("ul", "ol")
_LIST = re.compile(r"<[uo]l\b", re.IGNORECASE)
_INDENT_BYTES = 2


def read_html(file: SourceFile, reading: Reading) -> Iterator[Item]:
    """The document of a page: its visible text with its blocks on lines of their own, and its title.

    Scripts, styles, comments and form fields are left out; navigation and footers are kept, since telling them from
    content is guesswork.
    """
    data = file.read(reading)
    html = decode(data, declared_encoding(data))
    tree = HTMLTree.parse(html)
    if _longest_indentation(html, tree, reading.max_document_bytes) > reading.max_document_bytes:
        raise too_large("the page nests lists so deeply that their indentation could outgrow it", reading)
    text = extract_plain_text(tree, list_bullets=False, alt_texts=False)
    yield Record(Document(file.name, text, source=file.name, title=tree.title or ""), file.place)


def declared_encoding(data: bytes) -> str:
    """The codec that a page declares in a `meta` element or XML declaration; UTF-8 where it declares none we know."""
    declaration = _DECLARATION.search(data, 0, _DECLARATION_BYTES)
    if declaration is None:
        return "utf-8"
    encoding = map_encoding_to_html5(declaration[1].decode(), fallback_utf8=False) or "utf-8"
    # A declaration that could be read is not UTF-16, whatever it says: the standard's own rule.
    return "utf-8" if encoding.startswith("utf-16") else encoding


def _longest_indentation(html: str, tree: HTMLTree, harmless: int) -> int:
    """An upper bound of the bytes by which extraction indents list items: two a level, on every line.

    A page of 100 KB can thereby become a text of 1 GB. The depth is measured only where a bound that costs less is not
    `harmless`.
    """
    lines = html.count("<") + html.count("\n")
    bound = _INDENT_BYTES * lines * len(_LIST.findall(html))
    if bound <= harmless or tree.body is None:
        return bound
    return _INDENT_BYTES * lines * _list_depth(tree.body)


def _list_depth(body: ElementNode) -> int:
    """How deeply lists stand in lists."""
    open_lists: list[int] = []
    deepest = 0

    def enter(context: DOMContext) -> None:
        nonlocal deepest
        while open_lists and open_lists[-1] >= context.depth:
            open_lists.pop()
        if isinstance(context.node, ElementNode) and context.node.tag in _LISTS:
            open_lists.append(context.depth)
            deepest = max(deepest, len(open_lists))

    traverse_dom(body, enter, elements_only=True)
    return deepest
