"""The controller: runs and their rounds, the workers that play them, and the command line."""
