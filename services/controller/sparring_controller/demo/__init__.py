"""The demo: a small world with an exact checker, the runs that play in it, and the report that they leave.

Imports `terminal` and `local`; only the command line imports it.
"""
