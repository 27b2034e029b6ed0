"""Drivers of the ``Fleet`` port: one per place where workers can run."""
