"""What a tree of Python modules documents, read from its syntax: nothing is imported and nothing runs."""

from __future__ import annotations

import ast
import inspect
import os
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lodex.errors import InputError
from lodex.index.sources.fault import Fault

_IGNORED_FOLDERS = frozenset({"test", "tests", "idle_test", "site-packages", "__pycache__"})

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class DocumentedObject:
    """A module, class, function, method or property and its docstring.

    `name` is dotted and whole, `module` is the part of it that names the module. `signature` is what follows the name
    in a call, with its parentheses; "" where it is not known or there is no call.
    """

    name: str
    module: str
    kind: str
    signature: str
    doc: str


@dataclass(frozen=True, slots=True)
class Import:
    """`from module import name as alias`; both names are "*" for a star."""

    module: str
    name: str
    alias: str


@dataclass(frozen=True, slots=True)
class ModuleDocs:
    """What one module documents, in source order. `exported` is its literal `__all__`, None where it has none."""

    name: str
    objects: tuple[DocumentedObject, ...]
    imports: tuple[Import, ...]
    exported: frozenset[str] | None

    def offers(self, name: str) -> bool:
        """Whether `from module import *` would bind `name`, given that the module has it."""
        return name in self.exported if self.exported is not None else not name.startswith("_")


def source_files(root: Path) -> list[Path]:
    """The `.py` files under `root` by ascending relative path, without tests, caches and installed packages.

    Folders that cannot be packages (`config-3.11-x86_64-linux-gnu`) and the description of the machine that built
    Python (`_sysconfigdata*.py`) are left out too: they are not the library.
    """
    found: list[Path] = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if name.isidentifier() and name not in _IGNORED_FOLDERS]
        found += [Path(folder, n) for n in names if n.endswith(".py") and not n.startswith("_sysconfigdata")]
    return sorted(found, key=lambda path: path.relative_to(root).parts)


def read_source(path: Path) -> str:
    """The text of a source file in its declared encoding, with LF line ends; InputError where it does not decode."""
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (SyntaxError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be decoded: {error}", str(path), kind=Fault.UNDECODABLE) from error


def module_name(path: Path) -> str:
    """The dotted name of the module in a file, given by its path relative to the root of the library."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def read_module(name: str, source: str, is_package: bool) -> ModuleDocs:
    """What a module's source documents; InputError where it is not Python."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise InputError(f"module {name} cannot be parsed: {error}", kind=Fault.DAMAGED) from error
    objects = []
    if doc := _docstring(tree):
        objects.append(DocumentedObject(name, name, "module", "", doc))
    package = name if is_package else name.rpartition(".")[0]
    imports: list[Import] = []
    exported: set[str] | None = None
    for node in _statements(tree.body):
        if isinstance(node, Definition):
            objects += _definition(node, name, name)
        elif isinstance(node, ast.ImportFrom):
            source_module = _absolute(node, package)
            imports += [Import(source_module, alias.name, alias.asname or alias.name) for alias in node.names]
        elif names := _exported_names(node):
            exported = (exported or set()) | names
    return ModuleDocs(name, tuple(objects), tuple(imports), frozenset(exported) if exported else None)


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when a body does: those under `if`, `try` and `with` too, in source order."""
    for node in body:
        if isinstance(node, ast.If | ast.Try | ast.With):
            yield from _statements(node.body)
            for handler in getattr(node, "handlers", ()):
                yield from _statements(handler.body)
            yield from _statements([*getattr(node, "orelse", ()), *getattr(node, "finalbody", ())])
        else:
            yield node


def _definition(node: Definition, module: str, owner: str) -> Iterator[DocumentedObject]:
    """A definition that has a docstring, and for a class its public members."""
    name = f"{owner}.{node.name}"
    doc = _docstring(node)
    if isinstance(node, ast.ClassDef):
        members = [member for member in _statements(node.body) if isinstance(member, Definition)]
        functions = {member.name: member for member in reversed(members) if not isinstance(member, ast.ClassDef)}
        constructor = functions.get("__init__", functions.get("__new__"))
        # A class is called through its constructor, so the two are documented as one.
        doc = "\n\n".join(filter(None, [doc, _docstring(constructor) if constructor else ""]))
        if doc:
            yield DocumentedObject(name, module, "class", _signature(constructor) if constructor else "", doc)
        for member in members:
            if not member.name.startswith("_"):
                yield from _definition(member, module, name)
    elif doc:
        is_method = owner != module
        decorators = {ast.unparse(decorator).rpartition(".")[2] for decorator in node.decorator_list}
        if is_method and decorators & {"property", "cached_property", "setter", "abstractproperty"}:
            yield DocumentedObject(name, module, "property", "", doc)
        else:
            bound = is_method and "staticmethod" not in decorators
            yield DocumentedObject(name, module, "method" if is_method else "function", _signature(node, bound), doc)


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef, bound: bool = True) -> str:
    """The parameters as they are written; those of a bound method without the first."""
    arguments = node.args
    positional = arguments.posonlyargs or arguments.args
    # A first parameter with a default is not the object that the method is bound to.
    if bound and positional and len(arguments.defaults) < len(arguments.posonlyargs) + len(arguments.args):
        del positional[0]
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"({ast.unparse(arguments)}){returns}"


def _docstring(node: ast.Module | Definition) -> str:
    return inspect.cleandoc(ast.get_docstring(node, clean=False) or "").strip()


def _absolute(node: ast.ImportFrom, package: str) -> str:
    """The dotted name of the module imported from, relative imports resolved."""
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])


def _exported_names(node: ast.stmt) -> set[str]:
    """The names that `__all__ = [...]` or `__all__ += [...]` writes out."""
    match node:
        case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List(elts=names) | ast.Tuple(elts=names)):
            pass
        case ast.AugAssign(target=ast.Name(id="__all__"), value=ast.List(elts=names) | ast.Tuple(elts=names)):
            pass
        case _:
            return set()
    return {name.value for name in names if isinstance(name, ast.Constant) and isinstance(name.value, str)}
