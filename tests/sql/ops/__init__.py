"""The schema ops: its views tell the truth, its functions do what they say, and the operator has nothing else."""
