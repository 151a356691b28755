"""How long a store of many documents and segments takes to open.

    scripts/check_open.py [--documents 10000000] [--segments 500] [--json FILE]

Writes a store of short documents, opens it in fresh processes and times that: its manifest, every segment's receipt,
and the first look-up of a document. The manifest is given five indexes of as many parts, as a store in use has; their
files are not there and not asked for. Exits 1 where opening takes a second or more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from lodex.index.files import checksum_bytes
from lodex.index.manifest import IndexEntry, Manifest, PartEntry, publish_manifest
from lodex.index.store import Store
from lodex.types import Document

LIMIT_S = 1.0
REPEATS = 5
KINDS = ("passages", "tokens", "suffix", "dense", "knn")

OPEN = """
import sys, time
from lodex.index.store import Store
started = time.perf_counter()
store = Store.open(sys.argv[1])
opened = time.perf_counter()
store.get(sys.argv[2])
print(opened - started, time.perf_counter() - opened)
"""


def main() -> None:
    """Write the store, open it several times, and print the slowest."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=10_000_000)
    parser.add_argument("--segments", type=int, default=500)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        started = time.perf_counter()
        store = write_store(path, arguments.documents, arguments.segments)
        written_s = time.perf_counter() - started
        manifest = store.snapshot().manifest
        times = [open_once(path, f"document-{arguments.documents // 2}") for _ in range(REPEATS)]
        result = {
            "documents": manifest.live_documents,
            "segments": len(manifest.segments),
            "manifest_bytes": len(manifest.to_bytes()),
            "written_s": round(written_s, 1),
            "open_s": round(max(opened for opened, _ in times), 3),
            "open_median_s": round(sorted(opened for opened, _ in times)[REPEATS // 2], 3),
            "first_get_s": round(max(got for _, got in times), 3),
            "limit_s": LIMIT_S,
            "cpus": os.cpu_count(),
        }
    for name, value in result.items():
        print(f"{name:16} {value:>14,}")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    sys.exit(0 if max(opened for opened, _ in times) < LIMIT_S else 1)


def write_store(path: Path, documents: int, segments: int) -> Store:
    """A store of short documents, evenly in segments, with indexes by name."""
    store = Store.create(path)
    bytes_of_one = len(text_of(0))
    with store.writer(segment_bytes=-(-documents // segments) * bytes_of_one) as writer:
        for i in range(documents):
            writer.add(Document(f"document-{i}", text_of(i)))
        writer.commit()
    latest = store.snapshot().manifest
    following = replace(with_indexes(latest), version=latest.version + 1, parent=latest.version)
    # Not by `Store.commit`, which asks for the files.
    publish_manifest(path, following)
    return store


def text_of(i: int) -> str:
    """A text of 20 bytes."""
    return f"the text of {i:8d}"


def with_indexes(latest: Manifest) -> Manifest:
    """The manifest with one index of each kind and a part for each segment."""
    part = PartEntry("0" * 32, checksum_bytes(b""), PartEntry("0" * 32, checksum_bytes(b"")))
    parts = {segment.id: part for segment in latest.segments}
    return replace(latest, indexes={kind: IndexEntry(kind, {}, parts) for kind in KINDS})


def open_once(path: Path, doc_id: str) -> tuple[float, float]:
    """Seconds to open the store, and to find a document in it, in a fresh process."""
    run = subprocess.run([sys.executable, "-c", OPEN, str(path), doc_id], check=True, capture_output=True, text=True)
    opened, got = run.stdout.split()
    return float(opened), float(got)


if __name__ == "__main__":
    main()
