"""Records, run config, wire schemas, preference maths, artifacts, errors and the HTTP base that every service shares."""
