"""The worker process: claims runs of datums, fetches their inputs, runs the command, hands in outputs."""
