"""Files."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from trunkline.cli import deletion, output
from trunkline.cli.commands.commits import commit_name
from trunkline.cli.exit_codes import UsageError
from trunkline.cli.parsing import CHANGING, SHOWING, Command, argument, natural
from trunkline.cli.transfer.progress import Progress
from trunkline.errors import InvalidArgument, TrunklineError
from trunkline.rpc.gen import pfs_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from trunkline.cli.invocation import Invocation
    from trunkline.cli.transfer.upload_plan import Upload

FILE = argument("file", metavar="REPO@BRANCH-OR-ID:/PATH", help="file or folder of a commit")
FOLDER = argument(
    "file", metavar="REPO@BRANCH-OR-ID[:/PATH]", help="folder of a commit; without a path the root"
)
COLUMNS = ("NAME", "TYPE", ">SIZE", "COMMITTED")
LISTED = 3  # pipelines that a note names
GLOB_CHARACTERS = "*?[{"  # a path with one of them names no single file or folder


def put(invocation: Invocation) -> None:
    """Write files into a repo, in one stream: all of them or none."""
    from tempfile import TemporaryDirectory

    from trunkline.cli.transfer import upload_plan

    options = invocation.options
    file, _ = invocation.file(options.file)
    path = options.file.partition(":")[2]  # unchanged: a slash at its end makes it a folder
    sources = [*options.sources, *(upload_plan.read_list(options.input) if options.input else ())]
    if not sources and not sys.stdin.isatty():
        sources = [upload_plan.STDIN]
    if not sources:
        raise UsageError("put file needs -f FILE (- is standard input) or -i LIST")
    with ExitStack() as unpacked:
        planned = upload_plan.plan(
            [source for source in sources if not (options.untar and upload_plan.is_archive(source))],
            path,
            recursive=options.recursive,
            skipped=invocation.note,
        )
        for archive in filter(upload_plan.is_archive, sources) if options.untar else ():
            folder = unpacked.enter_context(TemporaryDirectory(prefix="trunkline-"))
            planned += upload_plan.plan_archive(archive, folder, path, invocation.note)
        done = _send(invocation, file.commit, planned)
    number = f"{output.counted(len(planned), 'file')} ({output.size(done)})"
    _report(
        invocation,
        "put",
        "file",
        options.file,
        f"put {number} into {options.file.partition(':')[0]}",
        files=len(planned),
        bytes=done,
    )


def _send(invocation: Invocation, commit: pfs_pb2.Commit, planned: Sequence[Upload]) -> int:
    """Write files into a commit; return their bytes."""
    from trunkline.cli.transfer import uploads

    sizes = [upload.size for upload in planned if upload.size is not None]
    total = sum(sizes) if len(sizes) == len(planned) else None
    append = invocation.options.append
    with Progress(total, quiet=invocation.quiet) as progress:
        try:
            uploads.send(invocation.channel, commit, planned, append=append, count=progress.add)
        except KeyboardInterrupt as interrupt:
            if total is None or progress.done < total:  # else the server may have committed
                interrupt.add_note("nothing was committed")
            raise
    return progress.done


def get(invocation: Invocation) -> None:
    """Read a file, or a folder with -r."""
    from trunkline.cli.transfer import downloads

    options = invocation.options
    file, ref = invocation.file(options.file)
    request = pfs_pb2.GetFileRequest(file=file, offset=options.offset).SerializeToString()
    to_stdout = options.output in ("-", None)
    if options.recursive and to_stdout:
        raise UsageError("get file -r needs -o FOLDER to write to")
    quiet = invocation.quiet or to_stdout
    is_glob = any(character in ref.path for character in GLOB_CHARACTERS)
    total = None
    if not quiet and not is_glob:
        total = invocation.pfs.InspectFile(pfs_pb2.InspectFileRequest(file=file)).size_bytes
    call = "GetFileTAR" if options.recursive else "GetFile"
    try:
        with (
            Progress(total, quiet=quiet) as progress,
            invocation.channel.server_stream(f"/pfs_v2.API/{call}", request) as frames,
        ):
            if options.recursive:
                root = "/" if is_glob else ref.path
                number = downloads.to_folder(frames, root, options.output, progress.add)
                invocation.note(f"got {output.counted(number, 'file')}, {output.size(progress.done)}")
            elif to_stdout:
                downloads.to_stdout(frames, progress.add)
            else:
                downloads.to_file(frames, options.output, progress.add)
    except InvalidArgument as error:
        if not options.recursive and not is_glob and _is_folder(invocation, file):
            error.hint = f"trunkline get file {options.file} -r -o FOLDER"
        raise


def _is_folder(invocation: Invocation, file: pfs_pb2.File) -> bool:
    info: pfs_pb2.FileInfo = invocation.pfs.InspectFile(pfs_pb2.InspectFileRequest(file=file))
    return info.file_type == pfs_pb2.FileType.DIR


def list_(invocation: Invocation) -> None:
    """List a folder.

    Raises:
        NotFound: the path does not exist.
    """
    file, _ = invocation.file(invocation.options.file)

    def entries() -> Iterator[pfs_pb2.FileInfo]:
        empty = True
        for info in invocation.pfs.ListFile(pfs_pb2.ListFileRequest(file=file)):
            empty = False
            yield info
        if empty and file.path.strip("/"):  # the server returns nothing for a path that does not exist
            invocation.pfs.InspectFile(pfs_pb2.InspectFileRequest(file=file))

    _show_files(invocation, entries())


def inspect(invocation: Invocation) -> None:
    """Show a file."""
    file, _ = invocation.file(invocation.options.file)
    info = invocation.pfs.InspectFile(pfs_pb2.InspectFileRequest(file=file))

    def fields(info: pfs_pb2.FileInfo) -> Sequence[tuple[str, str]]:
        return [
            ("Path", info.file.path),
            ("Commit", commit_name(info.file.commit)),
            ("Datum", info.file.datum),
            ("Type", _type(info)),
            ("Size", f"{output.size(info.size_bytes)} ({info.size_bytes:,} bytes)"),
            ("Hash", info.hash.hex()),
            ("Committed", output.when(info.committed, whole=invocation.options.full_timestamps)),
        ]

    output.show_one(invocation, info, fields, info.file.path)


def glob(invocation: Invocation) -> None:
    """List the files that match a pattern."""
    options = invocation.options
    commit, _, pattern = options.file.partition(":")
    request = pfs_pb2.GlobFileRequest(commit=invocation.commit(commit), pattern=pattern or "/")
    _show_files(invocation, invocation.pfs.GlobFile(request))


def _show_files(invocation: Invocation, infos: Iterable[pfs_pb2.FileInfo]) -> None:
    whole = invocation.options.full_timestamps

    def row(info: pfs_pb2.FileInfo) -> Sequence[str]:
        committed = output.when(info.committed, whole=whole)
        return info.file.path, _type(info), output.size(info.size_bytes), committed

    output.show_many(invocation, infos, COLUMNS, row, _file_name)


def _file_name(info: pfs_pb2.FileInfo) -> str:
    """Return the name of a file as in references."""
    return f"{commit_name(info.file.commit)}:{info.file.path}"


def diff(invocation: Invocation) -> None:
    """Compare a file or folder between two commits, by default a commit and its parent."""
    options = invocation.options
    request = pfs_pb2.DiffFileRequest(new_file=invocation.file(options.file)[0], shallow=options.shallow)
    if options.old:
        request.old_file.CopyFrom(invocation.file(_in(options.old_project, options.old))[0])
    changes: Iterable[pfs_pb2.DiffFileResponse] = invocation.pfs.DiffFile(request)
    if not options.folders:
        changes = (change for change in changes if not _changed_path(change).endswith("/"))
    form = output.form_of(invocation)
    if options.name_only:
        for change in changes:
            print(_changed_path(change))
    elif options.stat or options.folders or options.shallow or options.columns or form != "table":
        _show_changes(invocation, changes)
    else:
        _show_lines(invocation, list(changes))


def _in(project: str | None, file: str) -> str:
    """Return the reference of a file with the project of an option, which pachctl's scripts use."""
    return f"{project}/{file}" if project else file


def _changed_path(change: pfs_pb2.DiffFileResponse) -> str:
    return change.new_file.file.path or change.old_file.file.path


def _show_changes(invocation: Invocation, changes: Iterable[pfs_pb2.DiffFileResponse]) -> None:
    """Print a row for each change."""

    def row(change: pfs_pb2.DiffFileResponse) -> Sequence[str]:
        has_old, has_new = change.HasField("old_file"), change.HasField("new_file")
        kind = "changed" if has_old and has_new else "added" if has_new else "deleted"
        sizes = [
            output.size(info.size_bytes) if exists else "-"
            for exists, info in ((has_old, change.old_file), (has_new, change.new_file))
        ]
        return kind, _changed_path(change), *sizes

    columns = ("CHANGE", "NAME", ">OLD SIZE", ">NEW SIZE")
    output.show_many(invocation, changes, columns, row, _changed_path)


def _show_lines(invocation: Invocation, changes: Iterable[pfs_pb2.DiffFileResponse]) -> None:
    """Print the lines of text that changed, through the pager."""
    from trunkline.cli import pager, text_diff

    def side(change: pfs_pb2.DiffFileResponse, field: str) -> text_diff.Side:
        if not change.HasField(field):
            return text_diff.Side(_changed_path(change))
        info: pfs_pb2.FileInfo = getattr(change, field)

        def read() -> bytes:
            pieces = invocation.pfs.GetFile(pfs_pb2.GetFileRequest(file=info.file))
            return b"".join(piece.value for piece in pieces)

        return text_diff.Side(_file_name(info), info.size_bytes, read)

    with pager.paged(use=not invocation.options.no_pager):
        for change in changes:
            for line in text_diff.lines(side(change, "old_file"), side(change, "new_file")):
                print(text_diff.coloured(line, sys.stdout))


def copy(invocation: Invocation) -> None:
    """Copy files inside the server, without transferring their content."""
    options = invocation.options
    source, _ = invocation.file(_in(options.src_project, options.file))
    target, _ = invocation.file(_in(options.dest_project, options.target))
    copied = pfs_pb2.CopyFile(src=source, dst=target.path, append=options.append)
    _modify(invocation, target.commit, lambda request: request.copy_file.CopyFrom(copied))
    sentence = f"copied file {options.file} to {options.target}"
    _report(invocation, "copied", "file", options.file, sentence, to=options.target)


def delete(invocation: Invocation) -> None:
    """Delete a file or folder.

    Raises:
        NotFound: the file does not exist.
        UsageError: it is a folder, and -r is not given.
    """
    options = invocation.options
    file, _ = invocation.file(options.file)
    # The server ignores a path that does not exist; the user should learn of it.
    info = invocation.pfs.InspectFile(pfs_pb2.InspectFileRequest(file=file))
    folder = info.file_type == pfs_pb2.FileType.DIR
    if folder and not options.recursive:
        raise UsageError(f"{options.file} is a folder; add -r to delete it with everything below it")
    # Earlier commits keep it, so no question: the loss has no content.
    kind = "folder" if folder else "file"
    if not deletion.is_wanted(invocation, lambda: [deletion.Loss(kind, options.file)]):
        return
    path = f"{file.path.rstrip('/')}/" if folder else file.path
    deleted = pfs_pb2.DeleteFile(path=path)
    _modify(invocation, file.commit, lambda request: request.delete_file.CopyFrom(deleted))
    _report(invocation, "deleted", kind, options.file, f"deleted {kind} {options.file}")


def _modify(
    invocation: Invocation, commit: pfs_pb2.Commit, fill: Callable[[pfs_pb2.ModifyFileRequest], None]
) -> None:
    operation = pfs_pb2.ModifyFileRequest()
    fill(operation)
    invocation.pfs.ModifyFile([pfs_pb2.ModifyFileRequest(set_commit=commit), operation])


def _report(invocation: Invocation, change: str, kind: str, name: str, sentence: str, **fields: Any) -> None:
    """Say what has changed, which commit has it, and which pipelines run for it.

    Args:
        invocation: its channel has just sent the change.
        change: what was done, such as ``put``.
        kind: of the thing: ``file`` or ``folder``.
        name: of the thing, as in references.
        sentence: of the change, without the commit.
        fields: more of the object that ``-o json`` prints.
    """
    if commit := invocation.channel.trailing.get("trunkline-commit", ""):
        pipelines = (
            [] if invocation.quiet and invocation.options.output != "json" else _starting(invocation, commit)
        )
        fields |= {"commit": commit, "starts": pipelines}
        sentence += f", commit {commit[: output.SHORT_ID]}"
        if pipelines:
            more = f" and {len(pipelines) - LISTED:,} more" if len(pipelines) > LISTED else ""
            sentence += f"; starts {', '.join(pipelines[:LISTED])}{more}"
    invocation.report(change, kind, name, sentence=sentence, **fields)


def _starting(invocation: Invocation, commit: str) -> Sequence[str]:
    """Return the pipelines that have a job for a commit, as references."""
    from trunkline.rpc.gen import pps_pb2

    request = pps_pb2.InspectJobSetRequest(job_set=pps_pb2.JobSet(id=commit))
    try:
        jobs: list[pps_pb2.Job] = [info.job for info in invocation.pps.InspectJobSet(request)]
    except TrunklineError:  # the commit is open, or no pipeline reads the branch
        return []
    names = [(job.pipeline.project.name, job.pipeline.name) for job in jobs]
    return [name if project == invocation.project else f"{project}/{name}" for project, name in names]


def _type(info: pfs_pb2.FileInfo) -> str:
    return pfs_pb2.FileType.Name(info.file_type).lower()


COMMANDS = {
    "put file": Command(
        put,
        (
            argument(
                "file",
                metavar="REPO@BRANCH[:/PATH]",
                help="destination; without a path files keep their names, a path that ends in / is a folder",
            ),
            argument(
                "-f",
                "--file",
                dest="sources",
                metavar="FILE",
                action="several",
                default=[],
                help="files, folders or URLs to put, - for standard input (which is also the default in a pipe)",
            ),
            argument(
                "-i",
                "--input-file",
                dest="input",
                metavar="LIST",
                help="read the names of files to put from this file, one per line",
            ),
            argument("-r", "--recursive", action="store_true", help="put folders with all files below them"),
            argument(
                "-a",
                "--append",
                action="store_true",
                help="append to existing files instead of replacing them",
            ),
            argument(
                "--untar",
                action="store_true",
                help="put what is in archives (.tar, .tar.gz, .tgz) instead of them",
            ),
            *CHANGING,
        ),
        examples=(
            ("trunkline put file texts@master -f hamlet.txt", "write a file under its own name"),
            ("trunkline put file texts@master -f hamlet.txt othello.txt", "several files in one commit"),
            ("trunkline put file texts@master:/plays/ -r -f plays", "a folder with everything below it"),
            ("echo 'to be' | trunkline put file texts@master:/note.txt", "standard input"),
            ("trunkline put file texts@master:/log.txt -f hamlet.txt --append", "append to a file"),
        ),
    ),
    "get file": Command(
        get,
        (
            FILE,
            argument(
                "-o", "--output", metavar="PATH", help="file or folder to write (standard output, also -)"
            ),
            argument("-r", "--recursive", action="store_true", help="a folder with all files below it"),
            argument("--offset", type=natural, default=0, metavar="BYTES", help="skip this many bytes"),
        ),
        examples=(
            ("trunkline get file texts@master:/hamlet.txt", "print a file"),
            ("trunkline get file texts@master:/hamlet.txt -o copy.txt", "write it to a file"),
            ("trunkline get file texts@master:/ -r -o texts", "everything in a repo, into a folder"),
        ),
    ),
    "list file": Command(
        list_,
        (FOLDER, *SHOWING),
        examples=(
            ("trunkline list file texts@master", "show the files and folders at the top"),
            ("trunkline list file texts@master^:/plays", "a folder, one commit earlier"),
        ),
    ),
    "inspect file": Command(
        inspect,
        (FILE, *SHOWING),
        examples=(("trunkline inspect file texts@master:/hamlet.txt", "show its size, hash and commit"),),
    ),
    "glob file": Command(
        glob,
        (
            argument(
                "file", metavar="REPO@BRANCH-OR-ID:PATTERN", help="pattern of paths in a commit, in quotes"
            ),
            *SHOWING,
        ),
        examples=(
            ("trunkline glob file 'texts@master:/*.txt'", "files at the top whose names end in .txt"),
            ("trunkline glob file 'texts@master:/**/m*'", "at any depth"),
        ),
    ),
    "diff file": Command(
        diff,
        (
            argument("file", metavar="NEW", help="repo@branch-or-id[:/path]"),
            argument("old", metavar="OLD", nargs="?", help="repo@branch-or-id[:/path] (the parent commit)"),
            argument("--old-project", metavar="NAME", help="project of OLD, as in project/repo"),
            argument("--stat", action="store_true", help="list the files that changed, with their sizes"),
            argument("--name-only", action="store_true", help="print only the paths that changed"),
            argument("-s", "--shallow", action="store_true", help="list what changed in the folder itself"),
            argument("--folders", action="store_true", help="list folders that changed, too"),
            argument("--no-pager", action="store_true", help="print directly, without $TRUNKLINE_PAGER"),
            *SHOWING,
        ),
        examples=(
            ("trunkline diff file texts@master", "what the last commit changed"),
            ("trunkline diff file texts@master texts@dev", "compare two branches"),
            ("trunkline diff file texts@master --stat", "list the files that changed"),
        ),
    ),
    "copy file": Command(
        copy,
        (
            argument("file", metavar="SOURCE", help="repo@branch-or-id:/path"),
            argument("target", metavar="TARGET", help="repo@branch:/path"),
            argument("--src-project", metavar="NAME", help="project of SOURCE, as in project/repo"),
            argument("--dest-project", metavar="NAME", help="project of TARGET"),
            argument("-a", "--append", action="store_true", help="append to existing files"),
            *CHANGING,
        ),
        examples=(
            (
                "trunkline copy file texts@master:/hamlet.txt texts@dev:/hamlet.txt",
                "copy between branches without a transfer",
            ),
        ),
    ),
    "delete file": Command(
        delete,
        (
            FILE,
            argument("-r", "--recursive", action="store_true", help="a folder with all files below it"),
            deletion.DRY_RUN,
            *CHANGING,
        ),
        examples=(
            ("trunkline delete file texts@dev:/lear.txt", "delete a file; earlier commits keep it"),
            ("trunkline delete file texts@dev:/plays -r", "a folder with everything below it"),
        ),
    ),
}
