"""Writes the reference vectors that `lodex embed check` compares with, as sentence-transformers computes them.

    scripts/write_reference.py [--model minilm] [--out embed/conventions/reference/minilm.json]

Another program than ours, so that a check shows parity and not mere habit. Needs the extra [bench].
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import sentence_transformers
from sentence_transformers import SentenceTransformer

from lodex.embed.conventions.check import Reference, ReferenceText, write_reference
from lodex.embed.registry import encoder_folder
from lodex.types import TextKind

TEXTS = (
    ("How many legs does a spider have?", TextKind.QUERY),
    ("Spiders have eight legs; insects have six.", TextKind.PASSAGE),
    ("", TextKind.PASSAGE),
    ("naïve café 中文 \U0001f600", TextKind.PASSAGE),
    ("The quick brown fox jumps over the lazy dog. " * 60, TextKind.PASSAGE),
)


def main() -> None:
    """Embed each text alone, and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="minilm")
    parser.add_argument("--out", type=Path, default=Path("embed/conventions/reference/minilm.json"))
    arguments = parser.parse_args()
    peer = SentenceTransformer(str(encoder_folder(arguments.model)), device="cpu")
    made_by = f"sentence-transformers {sentence_transformers.__version__}, float32"
    texts = tuple(_embed(peer, text, kind) for text, kind in TEXTS)
    write_reference(Reference(arguments.model, made_by, texts), arguments.out)


def _embed(peer: Any, text: str, kind: TextKind) -> ReferenceText:
    name = "query" if kind is TextKind.QUERY else next((n for n in ("document", "passage") if n in peer.prompts), "")
    prompt = peer.prompts.get(name) or ""
    ids = peer.preprocess([prompt + text])["input_ids"][0].tolist()
    vector = peer.encode([text], prompt=prompt, normalize_embeddings=True)[0]
    return ReferenceText(text, kind.value, tuple(ids), tuple(round(float(x), 7) for x in vector))


if __name__ == "__main__":
    main()
