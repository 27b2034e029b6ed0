"""Drivers of the ports, one file each."""
