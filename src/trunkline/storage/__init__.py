"""The storage engine: bytes to chunks, chunks to packs, rows to trees, files to tree rows.

Each module stands on those before it::

    chunks    the words: ids, places, codecs; packing writes chunks into packs, store reads them
    segments  rows to bytes and back; builder cuts rows into segments
    trees     content-addressed trees; merging and comparing cost what differs
    refs      the chunk list of a file
    deltas    records changes to a file tree; applying makes them a tree
    files     reads file trees: inspect, list, walk, glob, diff, content

It knows objects (``ports.ObjectStore``) and a chunk index; no SQL, no commits, no wire.
``docs/design/format.md`` is its specification.
"""
