"""Deleting documents: one new version in which no way into the store finds them any more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xxhash

from lodex.errors import NotFoundError
from lodex.index.deletions import Deletions, write_tombstones
from lodex.index.files import checksum_bytes
from lodex.index.manifest import (
    IndexEntry,
    Manifest,
    PartEntry,
    RequestEntry,
    SegmentEntry,
    known_request,
    with_request,
)
from lodex.index.open_files import OpenFiles
from lodex.index.receipt import RECEIPT, Artefact, canonical_json
from lodex.index.segment import doc_id_hash
from lodex.index.snapshot import Snapshot
from lodex.index.subtractive import write_subtractive

if TYPE_CHECKING:
    from lodex.index.store import Store

RowsBySegment = Mapping[str, npt.NDArray[np.uint32]]
"""Rows of segments, by the ids of these."""
Chooser = Callable[[Snapshot], RowsBySegment]


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a deletion did: the version without the documents, how many they are, and the ids that were not there."""

    version: int
    documents: int
    missing: tuple[str, ...] = ()


def delete_documents(store: Store, doc_ids: Sequence[str], request_id: str = "") -> Deleted:
    """Delete documents by their ids. Those that are not there are named; where none is, no version is published.

    A `request_id` that was carried out before deletes nothing more, and names the same as missing if the version before
    is still there. InvalidArgumentError where it is the id of another request.
    """
    missing: list[str] = []

    def choose(snapshot: Snapshot) -> RowsBySegment:
        rows, unknown = find_rows(snapshot, doc_ids)
        missing[:] = unknown
        return rows

    version = store.version
    done = delete_chosen(store, choose, request_id, canonical_json(sorted(doc_ids)))
    if request_id and done.version <= version:
        return replace(done, missing=_missing_before(store, done.version, doc_ids))
    return replace(done, missing=tuple(missing))


def _missing_before(store: Store, version: int, doc_ids: Sequence[str]) -> tuple[str, ...]:
    """The ids that no document had when they were deleted in a version; none where it is not known any more."""
    try:
        return tuple(find_rows(store.snapshot(version - 1), doc_ids)[1])
    except NotFoundError:
        return ()


def delete_chosen(store: Store, choose: Chooser, request_id: str = "", request: bytes = b"") -> Deleted:
    """Delete the live rows that `choose` names, in the version that they are deleted from.

    `request` says what is asked for under the `request_id`; see `delete_documents`.
    """
    done = Deleted(0, 0)
    digest = xxhash.xxh3_64_hexdigest(request)

    def change(latest: Manifest) -> Manifest:
        nonlocal done
        known = known_request(latest, request_id, "delete", digest)
        if known is not None:
            done = Deleted(known.version, known.documents)
            return latest
        rows = choose(Snapshot(latest, store.files))
        documents = sum(map(len, rows.values()))
        done = Deleted(latest.version + 1, documents)
        if request_id:
            latest = with_request(latest, request_id, RequestEntry("delete", digest, 0, latest.version + 1, documents))
        elif not documents:
            done = Deleted(latest.version, 0)
            return latest
        return with_deleted(store.files, latest, rows)

    store.commit(change, "delete")
    return done


def find_rows(snapshot: Snapshot, doc_ids: Sequence[str]) -> tuple[RowsBySegment, list[str]]:
    """The live rows of documents, and the ids that no document has. An id given twice counts once."""
    wanted = list(dict.fromkeys(doc_ids))
    hashes = np.array([doc_id_hash(doc_id) for doc_id in wanted], np.uint64)
    rows: dict[str, npt.NDArray[np.uint32]] = {}
    is_found = np.zeros(len(wanted), np.bool_)
    for segment in snapshot.segments:
        deletions = snapshot.deletions(segment)
        here = []
        for i in np.flatnonzero(np.isin(hashes, segment.doc_id_hashes)):
            row = segment.row_of(wanted[i])
            if row is not None and row not in deletions:
                here.append(row)
                is_found[i] = True
        if here:
            rows[segment.id] = np.unique(np.array(here, np.uint32))
    return rows, [wanted[i] for i in np.flatnonzero(~is_found)]


def with_deleted(files: OpenFiles, manifest: Manifest, rows: RowsBySegment) -> Manifest:
    """The manifest with further rows deleted. A segment of which nothing is left leaves it, with its index parts.

    What is to be subtracted from suffix indexes is written with it; both are durable when this returns.
    """
    segments: list[SegmentEntry] = []
    touched: dict[str, tuple[Deletions, Artefact]] = {}
    for entry in manifest.segments:
        more = rows.get(entry.id)
        if more is None or not len(more):
            segments.append(entry)
            continue
        segment = files.segment(entry)
        every = np.union1d(files.deletions(entry).rows, more).astype(np.uint32)
        if len(every) < entry.documents:
            tombstones, artefact = write_tombstones(files.root, segment, every.tolist())
            segments.append(replace(entry, deleted=tombstones))
            touched[entry.id] = Deletions(every, entry.documents, artefact.id), artefact
    present = {entry.id for entry in segments}
    indexes = {
        name: replace(
            entry,
            parts={
                segment: _part_without(files, manifest, entry, segment, part, touched.get(segment))
                for segment, part in entry.parts.items()
                if segment in present
            },
        )
        for name, entry in manifest.indexes.items()
    }
    return replace(manifest, segments=tuple(segments), indexes=indexes)


def _part_without(
    files: OpenFiles,
    manifest: Manifest,
    entry: IndexEntry,
    segment: str,
    part: PartEntry,
    deleted: tuple[Deletions, Artefact] | None,
) -> PartEntry:
    """The part of an index with what is to be subtracted from it, for those kinds that subtract."""
    if deleted is None or entry.kind != "suffix":
        return part
    stream = manifest.indexes[entry.config["stream"]].parts.get(segment)
    if stream is None:
        return part
    deletions, tombstones = deleted
    tokens = files.artefact("tokens", stream.task, stream.receipt)
    minus = write_subtractive(files.root, tokens, tombstones, deletions)
    return replace(part, minus=PartEntry(minus.id, checksum_bytes((minus.path / RECEIPT).read_bytes())))
