"""Which of the processes that compute this one is."""

number = 0
"""Counted from 0, set once where a process begins; it chooses the process's GPU."""
