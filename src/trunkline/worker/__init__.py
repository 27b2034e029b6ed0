"""The worker process: claims datums, downloads their inputs, runs the command, uploads the outputs."""
