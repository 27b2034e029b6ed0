"""Containers in which the commands of workers run, by the API of a Docker-compatible engine."""
