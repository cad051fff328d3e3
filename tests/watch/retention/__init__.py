"""What expires goes, and nothing else."""
