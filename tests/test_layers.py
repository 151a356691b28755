"""The house: who may import whom, and what stands where (DESIGN of the rooms in docs/adr/0001)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOUNDATION = {"errors", "types", "config", "filters", "filter_syntax"}
# Each room may import itself, the foundation and these.
MAY_IMPORT = {
    "errors": set(),
    "types": {"errors"},
    "filters": {"errors"},
    "filter_tokens": {"errors", "filters"},
    "filter_syntax": {"errors", "filters", "filter_tokens"},
    "config": {"errors", "types"},
    "v1": set(),
    "tei": set(),
    "kernels": FOUNDATION,
    "index": FOUNDATION | {"kernels"},
    "embed": FOUNDATION | {"kernels"},
    "lm": FOUNDATION | {"kernels", "index", "embed"},
    "rerank": FOUNDATION | {"kernels", "index", "embed"},
    "client": FOUNDATION | {"v1"},
    "service": FOUNDATION | {"kernels", "index", "embed", "lm", "rerank", "client", "v1", "tei"},
    "cli": FOUNDATION | {"kernels", "index", "embed", "lm", "rerank", "client", "service"},
}
FOLDERS = {room: ROOT / room for room in ("kernels", "index", "embed", "lm", "rerank", "service")} | {
    room: ROOT / "lodex" / room for room in ("client", "cli")
}


def modules() -> list[tuple[str, Path]]:
    found = [(room, path) for room, folder in FOLDERS.items() for path in sorted(folder.rglob("*.py"))]
    return found + [(path.stem, path) for path in sorted((ROOT / "lodex").glob("*.py")) if path.stem != "__init__"]


def imported_rooms(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = node.module or ""
            names |= {f"{module}.{alias.name}" if module == "lodex" else module for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("lodex.")}


@pytest.mark.parametrize(
    ("room", "path"), modules(), ids=lambda value: value.name if isinstance(value, Path) else value
)
def test_a_room_imports_only_what_stands_below_it(room: str, path: Path) -> None:
    """The layering of the house holds for every file, by its syntax tree."""
    rooms = imported_rooms(ast.parse(path.read_text()))
    assert rooms <= MAY_IMPORT[room] | {room, "__version__"}, f"{path.relative_to(ROOT)} imports {rooms}"


def test_every_folder_of_the_house_is_watched() -> None:
    """A new room cannot appear beside the layering."""
    watched = {folder.name for folder in FOLDERS.values()} | {"v1", "tei", "__pycache__"}
    assert {p.name for p in (ROOT / "lodex").iterdir() if p.is_dir()} <= watched


def test_kernels_and_proto_are_no_packages_of_their_own() -> None:
    """A library that probes for a module called `kernels` or `proto` finds its own, which a bare folder never hides."""
    assert not (ROOT / "kernels" / "__init__.py").exists()
    assert not (ROOT / "proto" / "__init__.py").exists()


def test_the_client_needs_grpc_and_numpy_alone() -> None:
    """`import lodex` and the clients work where no extra is installed."""
    program = (
        "import sys\n"
        "class Block:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in sys.argv[1].split(','):\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Block())\n"
        "import lodex\n"
        "lodex.Client, lodex.AsyncClient, lodex.Document\n"
    )
    extras = (
        "faiss,pyarrow,pydantic,pydantic_settings,resiliparse,tokenizers,uvloop,xxhash,rich,typer,torch,transformers"
    )
    subprocess.run([sys.executable, "-c", program, extras], check=True)
