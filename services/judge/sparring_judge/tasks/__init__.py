"""The nouns of judging: a task (prompt, candidates, games), the text and dialogue it is read as, and its units of work.

The ground floor: imports `sparring_shared` and numpy alone.
"""
