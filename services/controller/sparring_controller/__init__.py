"""The controller: runs and their rounds, the workers that play them, and the command line.

The ways in are `__main__` (the API), `celery_app` (a worker) and `cli` (the command `sparring`). Below them, from the top:
`demo`, `terminal`, `local` beside `api`, `rounds`, `store`. Each floor imports those below it and none above; `settings` is for
all.
"""
