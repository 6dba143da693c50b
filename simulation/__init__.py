"""Years of faults in minutes, repeatable by a seed: README.md."""
