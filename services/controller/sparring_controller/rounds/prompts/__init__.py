"""Prompts of a run: rows of files and hub data sets, read and dealt out once when the run is made, and kept in its folder."""
