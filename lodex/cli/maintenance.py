"""Verbs that look after a store on this machine: delete, compact, gc, purge, log, tag, alias, drop."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from lodex.cli.app import JsonFlag, app, plural, print_json, print_table, read_text, say
from lodex.cli.documents import WhereOption
from lodex.cli.job import LogJsonFlag, job_progress
from lodex.errors import InvalidArgumentError, NotFoundError
from lodex.filter_syntax import parse_filter
from lodex.index.gc import GRACE_S, KEEP
from lodex.index.manifest import newest_version
from lodex.index.store import Store

StorePath = Annotated[Path, typer.Argument(metavar="STORE", help="Path of a store.")]


@app.command()
def delete(
    store: StorePath,
    doc_ids: Annotated[list[str] | None, typer.Argument(metavar="[DOC_ID]...", help="Documents by their ids.")] = None,
    ids_from: Annotated[
        Path | None, typer.Option("--ids-from", metavar="FILE", help="File of ids, one a line; - is standard input.")
    ] = None,
    where: WhereOption = None,
    as_json: JsonFlag = False,
) -> None:
    """Delete documents, as one new version; older versions have them until they are purged."""
    from lodex.index.deletion import delete_chosen, delete_documents
    from lodex.index.predicates import matching_documents

    wanted = list(doc_ids or [])
    if ids_from is not None:
        wanted += [line for line in read_text(ids_from, "ids_from").splitlines() if line]
    if (where is None) == (not doc_ids and ids_from is None):
        raise InvalidArgumentError("say which documents: by DOC_ID and --ids-from FILE, or else by --where", "doc_ids")
    opened = Store.open(store)
    if where is not None:
        filter_ = parse_filter(where)
        done = delete_chosen(opened, lambda snapshot: matching_documents(snapshot, filter_))
    else:
        done = delete_documents(opened, wanted)
    if as_json:
        print_json(done)
        return
    say(f"version {done.version}: {plural(done.documents, 'document')} deleted")
    if done.missing:
        some = ", ".join(map(repr, done.missing[:5])) + (", ..." if len(done.missing) > 5 else "")
        say(f"not there: {plural(len(done.missing), 'document')}: {some}")


@app.command()
def compact(
    store: StorePath,
    full: Annotated[bool, typer.Option("--full", help="Leave as few segments as there can be.")] = False,
    log_json: LogJsonFlag = False,
    as_json: JsonFlag = False,
) -> None:
    """Merge small segments, and rewrite those of which a fifth is deleted; answers stay the same."""
    from lodex.index.compaction import compact as run

    with job_progress(log_json) as progress:
        done = run(Store.open(store), full, progress=progress)
    if as_json:
        print_json(done)
        return
    say(
        f"version {done.version}: {plural(done.segments_before, 'segment')} before, {done.segments_after:,} now; "
        f"{plural(done.documents, 'document')} rewritten, {done.reclaimed_bytes / 1e6:,.1f} MB of deleted text left out"
    )
    if done.given_up:
        say(f"{plural(done.given_up, 'group')} changed meanwhile and stayed as they were: run this again")


@app.command()
def gc(
    store: StorePath,
    keep: Annotated[int, typer.Option(min=1, help="Keep so many of the newest versions.")] = KEEP,
    grace: Annotated[
        float, typer.Option(min=0, help="Seconds for which a version is kept after the next one came.")
    ] = GRACE_S,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Remove old versions without a tag, and the files that no version has any more."""
    from lodex.index.gc import collect_garbage

    done = collect_garbage(store, keep, grace, dry_run=dry_run)
    if as_json:
        print_json(done)
        return
    verb = "would go" if dry_run else "removed"
    say(
        f"{plural(len(done.removed), 'version')} and {plural(done.folders, 'folder')} with {done.bytes / 1e6:,.1f} MB "
        f"{verb}; {plural(done.kept, 'version')} kept"
    )


@app.command()
def purge(store: StorePath, log_json: LogJsonFlag = False, as_json: JsonFlag = False) -> None:
    """Remove every byte of documents that the newest version does not have, with all versions that had them."""
    from lodex.index.purge import purge as run

    with job_progress(log_json) as progress:
        done = run(Store.open(store), progress=progress)
    if as_json:
        print_json(done)
        return
    say(
        f"version {done.version}: {plural(done.documents, 'document')} purged; {plural(len(done.versions), 'version')} "
        f"and {plural(done.folders, 'folder')} with {done.bytes / 1e6:,.1f} MB removed"
    )
    if done.tags:
        say(f"tags of these versions are gone: {', '.join(done.tags)}")


@app.command()
def log(
    store: StorePath,
    limit: Annotated[int, typer.Option(min=0, help="List at most so many; 0 lists all.")] = 20,
    as_json: JsonFlag = False,
) -> None:
    """List the versions of a store, newest first."""
    from lodex.index.history import versions

    if not newest_version(store):
        raise NotFoundError(f"no store at {store}: it has no manifests")
    shown = list(islice(versions(store), limit or None))
    if as_json:
        print_json({"versions": shown})
        return
    print_table(
        ("version", "time", "change", "documents", "segments", "deleted", "tags"),
        [
            (
                info.version,
                f"{datetime.fromtimestamp(info.time_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S}Z" if info.time_ns else "",
                info.change,
                info.documents,
                info.segments,
                info.deleted_documents,
                ", ".join(info.tags),
            )
            for info in shown
        ],
    )


@app.command()
def tag(
    store: StorePath,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits and hyphens.")],
    version: Annotated[int | None, typer.Option(help="A version; the newest unless given.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the tag.")] = False,
) -> None:
    """Name a version, so that it is kept."""
    from lodex.index import history

    Store.open(store)
    if remove:
        history.untag(store, name)
        say(f"tag {name} is removed")
    else:
        say(f"tag {name} is of version {history.tag(store, name, version)}")


@app.command()
def alias(
    store: StorePath,
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="The name that queries use.")],
    index: Annotated[str, typer.Argument(metavar="[INDEX]", help="The index that it is to stand for.")] = "",
    drop: Annotated[bool, typer.Option("--drop", help="Let it stand for none any more.")] = False,
) -> None:
    """Let a name stand for an index; running servers follow."""
    from lodex.index.aliases import set_alias

    if bool(index) == drop:
        raise InvalidArgumentError("say either which INDEX the alias stands for or --drop", "index")
    snapshot = set_alias(Store.open(store), alias, index or None)
    say(f"version {snapshot.version}: {alias} " + (f"stands for {index}" if index else "is dropped"))


@app.command()
def drop(store: StorePath, index: Annotated[str, typer.Argument(metavar="INDEX", help="Name of an index.")]) -> None:
    """Leave an index out of the next version; `lodex gc` removes its files."""
    from lodex.index.aliases import drop_index

    snapshot = drop_index(Store.open(store), index)
    say(f"version {snapshot.version}: {index} is dropped")
