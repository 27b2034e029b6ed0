"""Versioned state: projects, repos, branches, commits, provenance, files."""
