"""The trainer: jobs that train a policy on pairs, each a process of its own.

From the top: `service` (HTTP, starts jobs and watches them), `job` (the process of one job and its folder), `learning` (losses,
log-probs, the loop). Each imports those below it and none above; `games` plays small games with the same losses, `settings` is
for all.
"""
