"""The trainer service: jobs that train a policy on pairs, each a process of its own."""
