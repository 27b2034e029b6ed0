"""Graphs of repos and pipelines as text and as SVG."""
