"""What `benchmarks/judge.py` compares: the workload, the random checkpoint, and one process per side."""
