"""What a person at a terminal sees of runs: a client of the API, progress as it happens, tables of rounds.

Imports `local` to find the controller of this machine, and the reports that rounds leave.
"""
