"""Linux features that the standard library lacks: system calls, process trees, file trees of any depth."""
