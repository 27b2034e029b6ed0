"""What workers ask for and report: claims, assignments, inputs, completions, presigned transfers."""
