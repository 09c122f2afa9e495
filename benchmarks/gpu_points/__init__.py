"""What `benchmarks/gpu.py` runs: eight points, each a function in a process of its own, their rows and what was predicted."""
