"""Python clients of the judge, for trainers and scripts: they need httpx and pydantic, no model and no server.

`Judge` waits, `AsyncJudge` is awaited, `trl_reward` makes a reward function for TRL; see docs/judge.md.
"""

from sparring_judge.client.clients import AsyncJudge, Judge
from sparring_judge.client.steps import Retries
from sparring_judge.client.trl import trl_reward

__all__ = ["AsyncJudge", "Judge", "Retries", "trl_reward"]
