"""What the parts of Python that are written in C document, read from the live objects."""

from __future__ import annotations

import _thread
import builtins
import inspect
import re
import types
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import Any

from lodex.index.sources.python_modules import DocumentedObject

# C modules, and the public module whose names theirs are. All can be imported without effect.
_C_MODULES = {
    "builtins": "builtins",
    "_bz2": "bz2",
    "_codecs": "codecs",
    "_collections": "collections",
    "_contextvars": "contextvars",
    "_csv": "csv",
    "_ctypes": "ctypes",
    "_datetime": "datetime",
    "_decimal": "decimal",
    "_functools": "functools",
    "_hashlib": "hashlib",
    "_io": "io",
    "_locale": "locale",
    "_lzma": "lzma",
    "_pickle": "pickle",
    "_queue": "queue",
    "_random": "random",
    "_signal": "signal",
    "_socket": "socket",
    "_sqlite3": "sqlite3",
    "_ssl": "ssl",
    "_struct": "struct",
    "_thread": "_thread",
    "_tracemalloc": "tracemalloc",
    "_weakref": "weakref",
    "array": "array",
    "atexit": "atexit",
    "binascii": "binascii",
    "cmath": "cmath",
    "errno": "errno",
    "faulthandler": "faulthandler",
    "fcntl": "fcntl",
    "gc": "gc",
    "grp": "grp",
    "itertools": "itertools",
    "marshal": "marshal",
    "math": "math",
    "mmap": "mmap",
    "nt": "os",
    "posix": "os",
    "pwd": "pwd",
    "pyexpat": "xml.parsers.expat",
    "resource": "resource",
    "select": "select",
    "sys": "sys",
    "syslog": "syslog",
    "termios": "termios",
    "time": "time",
    "unicodedata": "unicodedata",
    "winreg": "winreg",
    "zlib": "zlib",
}

_METHODS = (types.MethodDescriptorType, types.ClassMethodDescriptorType, types.BuiltinFunctionType, staticmethod)
_PROPERTIES = (types.GetSetDescriptorType, types.MemberDescriptorType)


def documented_builtins() -> Iterator[DocumentedObject]:
    """The C modules, their functions and classes, and the classes' own methods and properties.

    Names of `builtins` stand bare, as they are used: `open`, `str.split`. Modules that this Python was built without
    are left out.
    """
    for c_module, module in _C_MODULES.items():
        with suppress(ImportError):
            yield from _module(import_module(c_module), module)
    for name, live_type in _unnamed_types().items():
        yield from _class(live_type, name, name.rpartition(".")[0])


def _unnamed_types() -> dict[str, type]:
    """Types by their public names that no module above holds: compiled patterns, their matches, locks, generators."""
    return {
        "re.Pattern": re.Pattern,
        "re.Match": re.Match,
        "threading.Lock": type(_thread.allocate_lock()),
        "types.FunctionType": types.FunctionType,
        "types.GeneratorType": types.GeneratorType,
        "types.CoroutineType": types.CoroutineType,
        "types.AsyncGeneratorType": types.AsyncGeneratorType,
        "types.MappingProxyType": types.MappingProxyType,
        "types.SimpleNamespace": types.SimpleNamespace,
        "types.GenericAlias": types.GenericAlias,
    }


def _module(live: types.ModuleType, module: str) -> Iterator[DocumentedObject]:
    if doc := _doc(live):
        yield DocumentedObject(module, module, "module", "", doc)
    prefix = "" if module == "builtins" else f"{module}."
    for name, value in sorted(vars(live).items()):
        if isinstance(value, type) and value.__module__.lstrip("_") in (live.__name__.lstrip("_"), module):
            # `_io._IOBase` is the C half of `io.IOBase`. A name that is not the class's own is an alias (IOError).
            if name == value.__name__:
                yield from _class(value, prefix + name.lstrip("_"), module)
        elif isinstance(value, types.BuiltinFunctionType) and _is_public(name) and (doc := _doc(value)):
            if module != "builtins" and value is getattr(builtins, name, None):
                continue  # io.open is open
            yield DocumentedObject(prefix + name, module, "function", _signature(value), doc)


def _class(live: type, name: str, module: str) -> Iterator[DocumentedObject]:
    if doc := _doc(live):
        yield DocumentedObject(name, module, "class", _signature(live), doc)
    for member, value in sorted(vars(live).items()):
        if member.startswith("_") or not (doc := _doc(value)):
            continue
        if isinstance(value, _METHODS):
            yield DocumentedObject(f"{name}.{member}", module, "method", _signature(value), doc)
        elif isinstance(value, _PROPERTIES):
            yield DocumentedObject(f"{name}.{member}", module, "property", "", doc)


def _is_public(name: str) -> bool:
    return not name.startswith("_") or name == "__import__"


def _doc(live: Any) -> str:
    doc = getattr(live, "__doc__", None)
    return inspect.cleandoc(doc).strip() if isinstance(doc, str) else ""


def _signature(live: Any) -> str:
    """The signature a C function declares, without the object or module it is bound to; "" where it declares none."""
    text = " ".join((getattr(live, "__text_signature__", None) or "").split()).replace("<unrepresentable>", "...")
    return re.sub(r"^\(\$\w+(, /)?(, )?", "(", text)
