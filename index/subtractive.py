"""What is to be subtracted from a suffix index: the deleted documents of a segment, sorted by themselves.

Every document reads separator, tokens, separator whatever stands beside it, so an n-gram occurs among the documents
that are left exactly as often as in the whole stream less in that of the deleted ones.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lodex.errors import DataLossError
from lodex.index.deletions import Deletions
from lodex.index.jobs import Task, TaskResult, run_task
from lodex.index.manifest import SUBTRACTIVE
from lodex.index.receipt import Artefact
from lodex.index.tokenizer import TokenIds
from lodex.index.tokens import TokenStream
from lodex.kernels._suffix import SuffixTable
from lodex.kernels._suffix_sort import suffix_array
from lodex.kernels.suffix_table import encode_offsets, offset_width

TOKENS = "tokens.bin"
TABLE = "suffixes.bin"


def write_subtractive(
    root: Path, tokens: Artefact, tombstones: Artefact, deletions: Deletions, *, afresh: bool = False
) -> Artefact:
    """Sort the deleted documents of a token stream. Memory: 6 to 17 bytes for each of their tokens."""
    task = Task(SUBTRACTIVE, (f"artefacts/{tokens.kind}/{tokens.id}", f"artefacts/{tombstones.kind}/{tombstones.id}"))

    def work(out: Path) -> TaskResult:
        deleted = deleted_tokens(TokenStream(tokens), deletions)
        (out / TOKENS).write_bytes(deleted.tobytes())
        (out / TABLE).write_bytes(_sorted(deleted))
        return TaskResult(len(deleted), {"dtype": deleted.dtype.str})

    return run_task(root, task, work, afresh=afresh)


def open_subtractive(artefact: Artefact, stream: TokenStream, deletions: Deletions) -> SuffixTable:
    """The deleted documents as `write_subtractive` left them; DataLossError for those of other deletions."""
    of_these = any(item.endswith(f"/{deletions.id}") for item in artefact.receipt.inputs)
    path = artefact.file(TOKENS)
    tokens = np.frombuffer(path.read_bytes(), stream.dtype)
    if not of_these or len(tokens) != artefact.receipt.rows:
        raise DataLossError(f"{path} does not hold the documents that are deleted")
    table = artefact.file(TABLE)
    return SuffixTable(tokens, np.frombuffer(table.read_bytes(), np.uint8), str(table))


def sort_deleted(stream: TokenStream, deletions: Deletions) -> SuffixTable:
    """The same in memory: where documents were deleted while the index was being built."""
    deleted = deleted_tokens(stream, deletions)
    return SuffixTable(deleted, np.frombuffer(_sorted(deleted), np.uint8), "the suffixes of deleted documents")


def deleted_tokens(stream: TokenStream, deletions: Deletions) -> TokenIds:
    """The deleted documents one behind the other, each with the separator before it."""
    begins = np.append(stream.offsets // stream.dtype.itemsize, len(stream.tokens)).astype(np.int64)
    runs = [stream.tokens[begins[row] : begins[row + 1]] for row in deletions.rows.tolist()]
    return np.concatenate([np.empty(0, stream.dtype), *runs])


def _sorted(tokens: TokenIds) -> bytes:
    return encode_offsets(suffix_array(tokens), tokens.itemsize, offset_width(tokens.nbytes)).tobytes()
