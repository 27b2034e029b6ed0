"""Linux features that the standard library lacks: system calls, process trees, control groups, deep file trees."""
