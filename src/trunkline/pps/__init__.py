"""Pipelines: datums from inputs, jobs, claims, workers, the loops that drive them."""
