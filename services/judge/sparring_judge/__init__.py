"""The judge: a REST service that says how likely each candidate beats each other candidate.

From the top: `service` (HTTP), `queue`, `engines`, `tasks`. Each floor imports those below it and none above; `settings` is for
all, `client` is what other programs import and imports nothing of the service.
"""
