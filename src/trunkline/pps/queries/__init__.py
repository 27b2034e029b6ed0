"""What requests ask about pipelines, jobs, datums, logs, workers and costs. Read only."""
