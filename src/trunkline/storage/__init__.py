"""The storage engine: bytes to chunks, chunks to packs, rows to trees, files to tree rows.

Each module uses those above it::

    chunks          ids, locations and protocols; packing writes chunks into packs, store reads them
    memory_budget   bounds what all transfers hold; scratch_chunks keeps chunks for one read
    segments        converts rows to bytes and back; builder cuts rows into segments
    trees           content-addressed trees; the cost of tree_merge and tree_diff follows what differs
    chunk_lists     the chunk list of a file; file_values has it in a row, with attributes
    deltas          records changes to a file tree; apply_deltas turns them into a tree
    files           reads file trees: inspect, list, walk, glob, diff, content

It knows objects (``ports.ObjectStore``) and a chunk index; no SQL, no commits, no wire.
``docs/design/format.md`` is its specification.
"""
