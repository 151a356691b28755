"""Two corpora that ship with every CPython: its documentation (`python-docs`) and its source (`python-source`).

Both depend on the running Python alone, so the same interpreter always gives the same documents in the same order.
"""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lodex.errors import FailedPreconditionError
from lodex.index.sources.python_builtins import documented_builtins
from lodex.index.sources.python_modules import (
    DocumentedObject,
    ModuleDocs,
    module_name,
    read_module,
    read_source,
    source_files,
)
from lodex.types import Document

PYTHON_DOCS = "python-docs"
PYTHON_SOURCE = "python-source"

# What lies in the library's folder without being its API: applications, tables, distutils (its manual is that of
# setuptools), and the path functions of the other platform, which repeat those of os.path.
_OTHER_PATHS = "ntpath" if os.path.__name__ == "posixpath" else "posixpath"
_UNDOCUMENTED = frozenset(
    {"__hello__", "distutils", "encodings", "idlelib", "lib2to3", "pydoc_data", "turtledemo", _OTHER_PATHS}
)

# Private by its place, not by its name: what os.path has in common on all platforms.
_PRIVATE = "genericpath"

# Submodules that have a page of their own in the library reference; others are described on their package's.
_SUBMODULE_PAGES: Mapping[str, str] = {
    "collections": "abc",
    "concurrent": "futures",
    "curses": "ascii panel textpad",
    "email": "charset contentmanager encoders errors generator header headerregistry iterators message mime parser "
    "policy utils",
    "html": "entities parser",
    "http": "client cookiejar cookies server",
    "importlib": "metadata resources",
    "logging": "config handlers",
    "multiprocessing": "shared_memory",
    "os": "path",
    "tkinter": "colorchooser dnd font messagebox scrolledtext ttk",
    "unittest": "mock",
    "urllib": "error parse request robotparser",
    "xml": "dom sax",
    "xml.dom": "minidom pulldom",
    "xml.etree": "ElementTree",
    "xml.sax": "handler saxutils xmlreader",
    "xmlrpc": "client server",
}


def python_docs() -> Iterator[Document]:
    """The reference pages of `help()` and every public docstring of the standard library, one document each.

    A page's doc_id is `topics.NAME`, an object's is the dotted name a user imports it by (`json.dumps`, `str.split`,
    `unittest.TestCase.assertEqual`). An object's text is its signature, an empty line and its docstring; its metadata
    has `kind` (module, class, function, method, property), `module`, `signature` and the version of Python. Modules in
    Python are read from their source, those in C from the live objects. Pages come first, then objects by name.
    """
    version = {"python": platform.python_version()}
    for name, text in sorted(_topics().items()):
        title = next((line for line in text.splitlines() if line.strip("*=-~ ")), name)
        yield Document(f"topics.{name}", text, PYTHON_DOCS, title, metadata={"kind": "topic", **version})
    objects: dict[str, DocumentedObject] = {}
    for found in (*documented_modules(_library_modules()), *documented_builtins()):
        objects.setdefault(found.name, found)
    for name, found in sorted(objects.items()):
        heading = f"{found.kind} {name}" if found.kind in ("module", "class") else name
        metadata = {"kind": found.kind, "module": found.module, "signature": found.signature, **version}
        text = f"{heading}{found.signature}\n\n{found.doc}"
        yield Document(name, text, PYTHON_DOCS, name, _reference_url(found), metadata=metadata)


def python_source() -> Iterator[Document]:
    """The standard library's source files, one document each, by path; tests and empty files are left out.

    The doc_id is the path in the library (`json/decoder.py`), the title is the module's name.
    """
    root = _library_root()
    version = platform.python_version()
    # Between two releases the version ends in "+" and has no tag to link to.
    repository = "" if version.endswith("+") else f"https://github.com/python/cpython/blob/v{version}/Lib"
    for path in source_files(root):
        text = read_source(path)
        if text.strip():
            relative = path.relative_to(root)
            name = relative.as_posix()
            url = f"{repository}/{name}" if repository else ""
            yield Document(name, text, PYTHON_SOURCE, module_name(relative), url, metadata={"python": version})


def documented_modules(modules: Iterable[ModuleDocs]) -> Iterator[DocumentedObject]:
    """The public objects of `modules`, each under the public name that it is imported by.

    An object of a private module (`_pydecimal.Decimal`), or of a submodule, is renamed where a public module, or the
    submodule's own package, imports it by name or by star: `decimal.Decimal`, `unittest.TestCase`. Objects that keep a
    private part in their name are left out. Those that keep their own name come first.
    """
    by_name = {module.name: module for module in modules}
    public_names = _public_names(by_name)
    renamed = []
    for module in by_name.values():
        for found in module.objects:
            head, tail = _split(found.name, module.name)
            name = public_names.get(f"{module.name}.{head}", "") if head else ""
            if not name:
                if _is_public(found.name):
                    yield found
            elif _is_public(name + tail):
                owner = name.rpartition(".")[0]
                renamed.append(DocumentedObject(name + tail, owner, found.kind, found.signature, found.doc))
    yield from renamed


def _split(name: str, module: str) -> tuple[str, str]:
    """The top-level name of an object in its module, and the rest with its dot; two empty strings for the module."""
    head, dot, tail = name[len(module) + 1 :].partition(".")
    return head, dot + tail


def _public_names(modules: dict[str, ModuleDocs]) -> dict[str, str]:
    """Where the objects that are imported into a public place are known: full name -> public name."""
    candidates: dict[str, list[str]] = {}
    for module in filter(lambda module: _is_public(module.name), modules.values()):
        for line in module.imports:
            inner = line.module.startswith(f"{module.name}.")
            if line.module not in modules or not (inner or not _is_public(line.module)):
                continue
            source = modules[line.module]
            if line.name == "*":
                heads = {_split(found.name, source.name)[0] for found in source.objects} - {""}
                names = [(head, head) for head in heads if source.offers(head)]
            else:
                names = [(line.name, line.alias)]
            for name, alias in names:
                if module.offers(alias):
                    candidates.setdefault(f"{source.name}.{name}", []).append(f"{module.name}.{alias}")
    nearest = {name: min(found, key=lambda public: (public.count("."), public)) for name, found in candidates.items()}
    return {name: _follow(name, nearest) for name in nearest}


def _follow(name: str, nearest: dict[str, str]) -> str:
    """The end of a chain of imports. Each step leads to a public module or to an enclosing package, so there is one."""
    while name in nearest:
        name = nearest[name]
    return name


def _is_public(name: str) -> bool:
    parts = name.split(".")
    return parts[0] != _PRIVATE and not any(part.startswith("_") and not part.endswith("__") for part in parts)


def _library_modules() -> Iterator[ModuleDocs]:
    root = _library_root()
    for path in source_files(root):
        relative = path.relative_to(root)
        if relative.parts[0].removesuffix(".py") not in _UNDOCUMENTED:
            name = "os.path" if module_name(relative) == os.path.__name__ else module_name(relative)
            yield read_module(name, read_source(path), path.name == "__init__.py")


def _library_root() -> Path:
    root = Path(sysconfig.get_paths()["stdlib"])
    if not (root / "os.py").is_file():
        raise FailedPreconditionError(f"this Python has no source of its standard library in {root}")
    return root


def _topics() -> dict[str, str]:
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise FailedPreconditionError("this Python comes without pydoc_data, the pages of help()") from error
    return dict(topics)


def _reference_url(found: DocumentedObject) -> str:
    """The place in the library reference: the page of the module, or of its package, and the object's anchor there."""
    if found.module == "builtins":
        page = "stdtypes" if "." in found.name else "exceptions" if _is_exception(found.name) else "functions"
    else:
        package, _, submodule = found.module.rpartition(".")
        has_page = submodule in _SUBMODULE_PAGES.get(package, "").split()
        page = found.module if has_page else found.module.partition(".")[0]
    anchor = f"module-{found.name}" if found.kind == "module" else found.name
    return f"https://docs.python.org/{sys.version_info[0]}.{sys.version_info[1]}/library/{page.lower()}.html#{anchor}"


def _is_exception(name: str) -> bool:
    kind = getattr(sys.modules["builtins"], name, None)
    return isinstance(kind, type) and issubclass(kind, BaseException)
