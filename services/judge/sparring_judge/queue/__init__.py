"""What lies between requests and the engine: a fair, bounded queue of units, and the slots in which they are computed.

Imports the contract of engines and the tasks; knows nothing of HTTP, and no engine by name.
"""
