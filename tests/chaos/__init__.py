"""Whole runs under violence: `python -m chaos` plays the scenarios and prints a row for each. Everything it starts is real,
or in the smaller world of stand-ins all but generator, judge and trainer.
"""
