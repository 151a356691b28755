"""Does an embedder still give the vectors that it is known to give? Kept with the tokens, to say where it differs.

Most often two programs disagree on a model because of a prompt, an end, or the padding: that is seen in the tokens. A
reference has both, as another program made them; one of a model without weights here cannot be, and is not, invented.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lodex.embed.conventions.models import find_model
from lodex.embed.tokens.framing import TokenRow
from lodex.errors import DataLossError, LodexError, NotFoundError
from lodex.types import Embeddings, EncoderInfo, TextKind

FILE = "lodex_reference.json"
"""A folder may bring its own reference."""
COSINE = 0.999
"""What half precision leaves of a vector, here and there; float32 reaches 0.99999."""
_NAMES = {"sentence-transformers/all-MiniLM-L6-v2": "minilm.json"}


@dataclass(frozen=True, slots=True)
class ReferenceText:
    """A text, what it is embedded as, and the tokens and the vector that it is known to have."""

    text: str
    kind: str
    token_ids: tuple[int, ...]
    vector: tuple[float, ...]
    instruction: str | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """Known vectors of a model, and what program made them of which weights."""

    model: str
    made_by: str
    texts: tuple[ReferenceText, ...]


@dataclass(frozen=True, slots=True)
class CheckedText:
    """How a text came out: whether it has the known tokens, and the cosine to the known vector."""

    text: str
    kind: str
    same_tokens: bool
    cosine: float
    known_ids: tuple[int, ...]
    token_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The result of a check; `passed` where all tokens are the same and no cosine is below the least allowed one."""

    model: str
    fingerprint: str
    made_by: str
    texts: tuple[CheckedText, ...]
    least: float = COSINE

    @property
    def worst(self) -> float:
        """The lowest cosine."""
        return min(text.cosine for text in self.texts)

    @property
    def passed(self) -> bool:
        """Whether the model gives what it is known to give."""
        return self.worst >= self.least and all(text.same_tokens for text in self.texts)


class Embedder(Protocol):
    """As much of a `TextEncoder` as a check needs."""

    @property
    def info(self) -> EncoderInfo:
        """Its identity."""
        ...

    def tokenize(
        self, texts: Sequence[str], kind: TextKind, *, instruction: str | None = None
    ) -> Sequence[TokenRow | LodexError]:
        """The rows that it reads."""
        ...

    def embed(self, texts: Sequence[str], kind: TextKind, *, instruction: str | None = None) -> Embeddings:
        """The vectors."""
        ...


def check_model(name_or_path: str | Path, device: str = "cpu", precision: str = "float32") -> CheckReport:
    """Open an embedder as `load_encoder` does, find its reference as `find_reference` does, and compare."""
    from lodex.embed.registry import encoder_folder, load_encoder  # which imports torch

    reference = find_reference(str(name_or_path), encoder_folder(name_or_path))
    return check_embedder(load_encoder(name_or_path, device, precision=precision), reference)


def check_embedder(encoder: Embedder, reference: Reference, *, least: float = COSINE) -> CheckReport:
    """Embed the texts of a reference, each alone, and compare."""
    checked = tuple(_check_text(encoder, text) for text in reference.texts)
    return CheckReport(encoder.info.name, encoder.info.fingerprint, reference.made_by, checked, least)


def find_reference(name: str, folder: Path | None = None) -> Reference:
    """The reference of a model: that of its folder, or the packaged one of its name.

    NotFoundError where there is none, DataLossError for a file that is none.
    """
    if folder is not None and (folder / FILE).is_file():
        return _read((folder / FILE).read_bytes(), str(folder / FILE))
    model = find_model(name)
    file = next((_NAMES[known] for known in model.names if known in _NAMES), None) if model is not None else None
    if file is None:
        where = f" and none in {folder / FILE}" if folder is not None else ""
        raise NotFoundError(
            f"no reference vectors of {name!r} come with Lodex{where}; write_reference makes such a file"
        )
    path = resources.files("lodex.embed.conventions").joinpath("reference", file)
    return _read(path.read_bytes(), str(path))


def make_reference(encoder: Embedder, texts: Sequence[tuple[str, TextKind]], made_by: str) -> Reference:
    """The reference that an embedder would be, of texts and their kinds: to notice a later change."""
    made = []
    for text, kind in texts:
        ids, vector = _embed(encoder, text, kind, None)
        made.append(ReferenceText(text, kind.value, ids, tuple(round(float(x), 7) for x in vector)))
    return Reference(encoder.info.name, made_by, tuple(made))


def write_reference(reference: Reference, path: Path) -> None:
    """Write it as JSON, a text a line."""
    head = json.dumps({"model": reference.model, "made_by": reference.made_by}, ensure_ascii=False)[:-1]
    lines = ",\n".join(json.dumps(asdict(text), ensure_ascii=False) for text in reference.texts)
    path.write_text(f'{head}, "texts": [\n{lines}\n]}}\n', encoding="utf-8")


def _read(data: bytes, where: str) -> Reference:
    try:
        stated: dict[str, Any] = json.loads(data)
        texts = tuple(
            ReferenceText(
                text=str(entry["text"]),
                kind=TextKind(entry["kind"]).value,
                token_ids=tuple(int(i) for i in entry["token_ids"]),
                vector=tuple(float(x) for x in entry["vector"]),
                instruction=entry.get("instruction"),
            )
            for entry in stated["texts"]
        )
        reference = Reference(str(stated["model"]), str(stated["made_by"]), texts)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataLossError(f"{where} holds no reference vectors: {error!r}") from error
    if not texts:
        raise DataLossError(f"{where} holds no reference vectors: it has no texts")
    return reference


def _check_text(encoder: Embedder, known: ReferenceText) -> CheckedText:
    ids, vector = _embed(encoder, known.text, TextKind(known.kind), known.instruction)
    return CheckedText(known.text, known.kind, ids == known.token_ids, _cosine(vector, known), known.token_ids, ids)


def _embed(
    encoder: Embedder, text: str, kind: TextKind, instruction: str | None
) -> tuple[tuple[int, ...], npt.NDArray[np.float32]]:
    (row,) = encoder.tokenize([text], kind, instruction=instruction)
    if isinstance(row, LodexError):
        raise row
    vector: npt.NDArray[np.float32] = encoder.embed([text], kind, instruction=instruction).vectors[0]
    return tuple(int(i) for i in row.ids), vector


def _cosine(vector: npt.NDArray[np.float32], known: ReferenceText) -> float:
    """0 where the sizes differ: other vectors altogether."""
    other = np.array(known.vector)
    if other.shape != vector.shape:
        return 0.0
    return float(vector.astype(np.float64) @ other / (np.linalg.norm(vector) * np.linalg.norm(other)))
