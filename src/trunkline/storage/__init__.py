"""The storage engine: bytes to chunks, chunks to packs, rows to trees, files to tree rows.

Each module uses those above it::

    chunks          ids, locations and protocols; packing writes chunks into packs, store reads them
    memory_budget   bounds what all transfers hold; scratch_chunks keeps chunks for one read
    sums, nodes     kinds of trees and sums of rows; nodes as bytes; cuts says where a node ends
    node_reader     reads nodes, cached and many together
    sequences       writes one sorted list of items; folders decides which folders are lists of their own
    trees           content-addressed trees: row_reads, folder_reads, tree_diff; all cost what differs or is shown
    chunk_lists     the chunk list of a file; file_values has it in a row, with attributes
    deltas          records changes to a file tree; apply_deltas turns them into a tree
    files           reads file trees: inspect, list, walk, diff, content; file_globs selects by pattern
    format1         reads the trees of the format before this one

It knows objects (``ports.ObjectStore``) and a chunk index; no SQL, no commits, no wire.
``docs/design/format.md`` is its specification.
"""
