"""What ships with CPython, as documents: found by the names that users know, the same every time."""

import builtins
import io
import os
import sys
import tokenize
from pathlib import Path

import pytest

from lodex.errors import InputError
from lodex.index.sources.python_docs import documented_modules, python_docs, python_source
from lodex.index.sources.python_modules import DocumentedObject, module_name, read_module, read_source, source_files
from lodex.types import Document


@pytest.fixture(scope="module")
def docs() -> dict[str, Document]:
    found = list(python_docs())
    by_name = {document.doc_id: document for document in found}
    assert len(by_name) == len(found), "two documents have one doc_id"
    return by_name


def described(source: str, name: str = "pkg.mod", is_package: bool = False) -> dict[str, DocumentedObject]:
    return {found.name: found for found in read_module(name, source, is_package).objects}


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("open", "function", "Open file and return a stream"),
        ("print", "function", "Prints the values to a stream"),
        ("str.split", "method", "Return a list of the substrings"),
        ("dict.get", "method", "Return the value for key"),
        ("ValueError", "class", "Inappropriate argument value"),
        ("io.IOBase.readline", "method", "Read and return a line from the stream"),
        ("io.IOBase.readlines", "method", "Return a list of lines"),
        ("csv.reader", "function", "row"),
        ("re.Match.group", "method", "Return subgroup(s) of the match"),
        ("socket.socket.connect", "method", "Connect the socket to a remote address"),
        ("os.listdir", "function", "names of the files in the directory"),
        ("os.path.join", "function", "pathname components"),
        ("os.path.exists", "function", "Test whether a path exists"),
        ("sys", "module", "interpreter"),
        ("itertools.chain", "class", "chain"),
        ("json", "module", "JavaScript Object Notation"),
        ("json.dumps", "function", "Serialize ``obj`` to a JSON formatted ``str``"),
        ("json.JSONDecoder", "class", "Simple JSON"),
        ("unittest.TestCase.assertEqual", "method", "Fail if the two objects are unequal"),
        ("asyncio.sleep", "function", "Coroutine that completes after a given time"),
        ("concurrent.futures.Future.result", "method", "Return the result of the call"),
        ("collections.abc.Mapping", "class", "generic container"),
        ("decimal.Decimal.quantize", "method", "Quantize"),
        ("fileinput.input", "function", "FileInput"),
        ("topics.with", "topic", "context manager"),
    ],
)
def test_what_users_ask_for_is_there(docs: dict[str, Document], name: str, kind: str, words: str) -> None:
    """In Python or in C, under the public name, with its kind."""
    assert words in docs[name].text
    assert docs[name].metadata["kind"] == kind


def test_names_are_public_and_documents_are_whole(docs: dict[str, Document]) -> None:
    """No private part in any name, no empty text, one source, a title for each."""
    for name, document in docs.items():
        parts = name.removeprefix("topics.").split(".")
        assert not [part for part in parts if part.startswith("_") and not part.endswith("__") and part != "_thread"], (
            name
        )
        assert document.text.strip()
        assert document.title
        assert document.source == "python-docs"
        assert document.metadata["python"] == sys.version.split()[0]
    assert not {name.partition(".")[0] for name in docs} & {"idlelib", "lib2to3", "test", "genericpath", "posixpath"}
    assert len(docs) > 5000


def test_the_text_of_an_object_is_its_signature_and_docstring(docs: dict[str, Document]) -> None:
    """The heading is what one would write, the docstring is unindented."""
    heading, empty, first, *_ = docs["json.loads"].text.splitlines()
    assert heading.startswith("json.loads(s, *, cls=None")
    assert (empty, first.startswith("Deserialize")) == ("", True)
    assert docs["json.loads"].metadata["signature"] == heading.removeprefix("json.loads")
    assert docs["str.split"].text.startswith("str.split(sep=None, maxsplit=-1)\n\n")
    assert docs["json"].text.startswith("module json\n\n")
    assert docs["json.JSONDecoder"].text.startswith("class json.JSONDecoder(*, object_hook=None")


def test_pages_have_the_titles_of_the_reference(docs: dict[str, Document]) -> None:
    """Not the keyword they are looked up by."""
    assert docs["topics.with"].title == 'The "with" statement'
    assert docs["topics.lambda"].title == "Lambdas"


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("open", "functions.html#open"),
        ("str.split", "stdtypes.html#str.split"),
        ("KeyError", "exceptions.html#KeyError"),
        ("json.dumps", "json.html#json.dumps"),
        ("os.path.join", "os.path.html#os.path.join"),
        ("xml.etree.ElementTree.parse", "xml.etree.elementtree.html#xml.etree.ElementTree.parse"),
        ("unittest.TestCase.assertEqual", "unittest.html#unittest.TestCase.assertEqual"),
        ("linecache", "linecache.html#module-linecache"),
    ],
)
def test_objects_link_to_the_library_reference(docs: dict[str, Document], name: str, page: str) -> None:
    """The page of this very version, with its anchor."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert docs[name].url == f"https://docs.python.org/{version}/library/{page}"


def test_every_builtin_function_is_documented(docs: dict[str, Document]) -> None:
    """Against the live module: nothing that has a docstring is forgotten."""
    wanted = {
        name
        for name, value in vars(builtins).items()
        if not name.startswith("_") and type(value) is type(len) and value.__doc__
    }
    assert wanted - docs.keys() == set()
    assert {f"io.{name}" for name in ("StringIO", "BytesIO", "TextIOWrapper", "RawIOBase")} <= docs.keys()
    assert "io.open" not in docs, "io.open is open, told once"
    assert io.open is open
    assert "OSError" in docs
    assert "IOError" not in docs, "an alias of OSError"


@pytest.mark.slow
def test_the_documents_are_the_same_every_time(docs: dict[str, Document]) -> None:
    """Same order, same content; pages first, then objects by name."""
    again = list(python_docs())
    assert again == list(docs.values())
    names = [document.doc_id for document in again]
    pages = [name for name in names if name.startswith("topics.")]
    assert names == sorted(pages) + sorted(set(names) - set(pages))


# ------------------------------------------------------------------------------------------ one module


def test_definitions_are_read_wherever_they_are_made() -> None:
    """Under if, try, with and else, in source order; not inside functions."""
    found = read_module(
        "m",
        """
import sys
if sys.platform == "win32":
    def a(): "on Windows"
else:
    def a(): "elsewhere"
try:
    class B: "the class"
except ImportError:
    def c(): "after a failure"
finally:
    with x:
        async def d(n): "asynchronous"
def undocumented(): pass
def outer():
    def inner(): "not reachable"
""",
        is_package=False,
    ).objects
    assert [(o.name, o.doc) for o in found] == [
        ("m.a", "on Windows"),
        ("m.a", "elsewhere"),
        ("m.B", "the class"),
        ("m.c", "after a failure"),
        ("m.d", "asynchronous"),
    ]


def test_a_class_is_documented_with_its_constructor_and_members() -> None:
    """The constructor's parameters and docstring are the class's; private members are left out."""
    found = described('''
class A:
    """What it is.

    More of it,
        and deeper.
    """
    def __init__(self, x, /, *args, y: int = 1, **more):
        """How to make it."""
    def method(self, a, b=2) -> str: "m"
    @staticmethod
    def static(a): "s"
    @classmethod
    def make(cls, a): "c"
    @property
    def size(self): "p"
    def _private(self): "no"
    def __len__(self): "no"
    class Inner:
        def deep(self): "d"
''')
    assert {name: (o.kind, o.signature) for name, o in found.items()} == {
        "pkg.mod.A": ("class", "(x, /, *args, y: int=1, **more)"),
        "pkg.mod.A.method": ("method", "(a, b=2) -> str"),
        "pkg.mod.A.static": ("method", "(a)"),
        "pkg.mod.A.make": ("method", "(a)"),
        "pkg.mod.A.size": ("property", ""),
        "pkg.mod.A.Inner.deep": ("method", "()"),
    }
    assert found["pkg.mod.A"].doc == "What it is.\n\nMore of it,\n    and deeper.\n\nHow to make it."


def test_objects_are_named_after_the_public_place_that_imports_them() -> None:
    """By name, by star, relatively, renamed, through a chain; otherwise private ones are left out."""
    modules = [
        read_module("pkg", "from .core import Named\nfrom pkg._star import *\nfrom .core import old as new\n", True),
        read_module("pkg.core", 'class Named: "n"\ndef old(): "o"\ndef stays(): "s"\n', False),
        read_module("pkg._star", '__all__ = ["Seen"]\nclass Seen:\n  def f(self): "f"\nclass Hidden: "h"\n', False),
        read_module("_hidden", '"module"\ndef f(): "f"\ndef _g(): "g"\n', False),
        read_module("user", "__all__ = ['other']\nfrom _hidden import f\n", False),
        read_module("outside", "from pkg.core import stays\n", False),
    ]
    assert sorted(found.name for found in documented_modules(modules)) == [
        "pkg.Named",
        "pkg.Seen.f",
        "pkg.core.stays",
        "pkg.new",
    ]


# ------------------------------------------------------------------------------------------ source


def test_the_source_is_every_file_of_the_library_but_tests() -> None:
    """Texts are those that Python reads; tests, caches and what is installed are left out."""
    root = Path(os.__file__).parent
    found = {document.doc_id: document for document in python_source()}
    assert list(found) == sorted(found, key=lambda name: name.split("/"))
    assert {"os.py", "json/decoder.py", "asyncio/__init__.py"} <= found.keys()
    assert not [name for name in found if {"test", "tests", "site-packages", "__pycache__"} & set(name.split("/"))]
    for name in ("os.py", "json/decoder.py", "turtle.py"):
        with tokenize.open(root / name) as file:
            assert found[name].text == file.read()
    assert found["json/__init__.py"].title == "json"
    assert found["json/decoder.py"].url.endswith("/Lib/json/decoder.py")
    assert all(document.text.strip() and document.source == "python-source" for document in found.values())


def test_files_come_in_the_order_of_their_paths(tmp_path: Path) -> None:
    """Whatever the order on disk; only modules."""
    names = [
        "b.py",
        "a/z.py",
        "a/__init__.py",
        "a/b/c.py",
        "a.py",
        "test/x.py",
        "a/__pycache__/q.py",
        "n-o/y.py",
        "r.txt",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    found = [path.relative_to(tmp_path) for path in source_files(tmp_path)]
    assert [path.as_posix() for path in found] == ["a/__init__.py", "a/b/c.py", "a/z.py", "a.py", "b.py"]
    assert [module_name(path) for path in found] == ["a", "a.b.c", "a.z", "a", "b"]


def test_a_file_that_cannot_be_read_as_python_is_named(tmp_path: Path) -> None:
    """Bytes that do not decode, and text that does not parse."""
    path = tmp_path / "bad.py"
    path.write_bytes(b"x = '\xff'\n")
    with pytest.raises(InputError, match=r"bad\.py"):
        read_source(path)
    with pytest.raises(InputError, match="module bad"):
        described("def (", "bad")


def test_the_declared_encoding_of_a_file_holds(tmp_path: Path) -> None:
    """And its line ends become LF."""
    path = tmp_path / "latin.py"
    path.write_bytes("# coding: latin-1\r\n# é\r\n".encode("latin-1"))
    assert read_source(path) == "# coding: latin-1\n# é\n"
