"""TRL's own trainer with the judge's reward function, against the judge in a process of its own."""

from pathlib import Path
from typing import Any

import pytest
from compat_answers import OTHER_PROMPT, PROMPT
from processes import ROOT

from sparring_judge.client import trl_reward


@pytest.mark.parametrize("conversational", [True, False])
def test_grpo_is_rewarded_with_win_rates(judge_url: str, tmp_path: Path, conversational: bool) -> None:
    # Imported where it is needed: it takes seconds, in every process that only collects tests too.
    from datasets import Dataset
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    prompts: list[Any] = [PROMPT, OTHER_PROMPT]
    if conversational:
        prompts = [[{"role": "user", "content": prompt}] for prompt in prompts]
    wanted = trl_reward(judge_url)
    seen: list[tuple[list[Any], list[float | None]]] = []

    def judge_win_rate(prompts: list[Any], completions: list[Any], **columns: Any) -> list[float | None]:
        seen.append((prompts, wanted(prompts, completions, **columns)))
        return seen[-1][1]

    config = GRPOConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=8,
        num_generations=4,
        max_completion_length=16,
        max_steps=1,
        use_cpu=True,
        bf16=False,
        report_to=[],
        logging_steps=1,
        save_strategy="no",
    )
    trainer = GRPOTrainer(
        model=str(ROOT / "models" / "demo-policy"),
        reward_funcs=judge_win_rate,
        args=config,
        train_dataset=Dataset.from_dict({"prompt": prompts, "answer": ["plum", "saw"]}),
    )
    trainer.train()
    ((asked, rewards),) = seen
    assert len(asked) == 8
    for prompt in prompts:
        group = [reward for one, reward in zip(asked, rewards, strict=True) if one == prompt]
        assert sum(reward or 0 for reward in group) == pytest.approx(4 * 0.5)  # win rates among four
    logged = trainer.state.log_history[0]
    assert logged["rewards/judge_win_rate/mean"] == pytest.approx(0.5, abs=1e-4)
    assert logged["grad_norm"] > 0
