"""Drivers of the ``Fleet`` port: processes, Kubernetes pods, and simulated machines."""
