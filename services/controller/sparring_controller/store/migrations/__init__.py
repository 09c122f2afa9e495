"""How the tables came to be as they are: one file in `versions` for each change of `tables.py`, none ever edited again."""
