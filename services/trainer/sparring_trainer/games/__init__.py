"""The exact-game test-bed: games with a known equilibrium, played by a tabular policy that is trained with our own losses."""
