"""Run folders: records, checkpoints, resuming."""
