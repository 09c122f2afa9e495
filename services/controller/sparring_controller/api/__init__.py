"""The HTTP interface: the routes, what they ask of the controller, and runs as they are shown.

Imports rounds and the store; nothing of the command line.
"""
