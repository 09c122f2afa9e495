"""What speaks HTTP: the judge's own routes, those of other tools, streaming, limits, middleware.

Imports the queue and what lies below it; nothing else here imports FastAPI. An engine is never imported here, only asked.
"""
