"""Converts an installation of format 1 to format 2, in place, at the first start of a release that writes format 2.

``installation`` is the whole; ``packs`` moves the small packs out of the database and writes the tables of the others;
``trees`` builds each tree again. Nothing of format 1 is deleted before all is converted, but for small packs in the
database whose chunks are in the object store by then (docs/design/format-1.md, Conversion).
"""
