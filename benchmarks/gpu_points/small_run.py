"""A real training job of the trainer on a random policy: base folder, pairs, request, and how it is killed."""

import json
import os
import random
import signal
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch.optim.optimizer import register_optimizer_step_post_hook
from transformers import PreTrainedTokenizerFast

from sparring_shared.artifacts import weights_digest, write_records
from sparring_shared.records import Message, Pair, PolicyRef
from sparring_shared.wire.trainer import CheckpointRef, JobRequest, JobStatus
from sparring_trainer.job.folder import JobFolder

from .llama import SEED, Shape, llama
from .records import Notebook, Setting
from .stepping import trained_on

BASE, PAIRS, STEPS = "base", 12, 6
"""Two steps an epoch."""
TEMPLATE = "{% for message in messages %}{{ message.role }} {{ message.content }} {% endfor %}"


def write_base(folder: Path, shape: Shape, device: str, *, pairs: int, answer: int) -> CheckpointRef:
    """Write `base`, a random policy in bf16 with a tokenizer of numbers, and `pairs.parquet` beside it."""
    base = folder / BASE
    llama(shape, device, torch.bfloat16).save_pretrained(base)
    words = {"<unk>": 0, "<s>": 1, "</s>": 2, "user": 3, "assistant": 4, "What": 5, "is": 6, "zinc": 7}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    fast.chat_template = TEMPLATE
    fast.save_pretrained(base)
    reference = CheckpointRef(version=0, digest=weights_digest(base), path=str(base))
    write_records(
        folder / "pairs.parquet", Pair, [_pair(at, reference.policy, shape.vocab_size, answer) for at in range(pairs)]
    )
    return reference


def _pair(number: int, policy: PolicyRef, vocabulary: int, answer: int) -> Pair:
    draw = random.Random(f"{SEED}/{number}")
    chosen, rejected = (tuple(draw.randrange(3, vocabulary) for _ in range(draw.randint(2, answer))) for _ in range(2))
    said = (Message(role="assistant", content="zinc"),)
    return Pair(
        prompt_id=str(number),
        prompt=(Message(role="user", content="What is zinc"),),
        chosen=said,
        rejected=said,
        prompt_token_ids=(1, 3, 4, 5, 2),
        chosen_token_ids=chosen,
        rejected_token_ids=rejected,
        chosen_logprob=-1.0,
        rejected_logprob=-1.0,
        chosen_win_rate=0.8,
        rejected_win_rate=0.2,
        chosen_beats_rejected=0.9,
        chosen_index=0,
        rejected_index=1,
        policy=policy,
    )


def job_request(folder: Path, name: str, base: CheckpointRef, **training: Any) -> JobRequest:
    """The request of a job that trains the base on its pairs."""
    settings = {"learning_rate": 1e-4, "batch_size": PAIRS // 2, "train_epochs": STEPS // 2, "micro_batch_tokens": 64}
    settings |= {"max_length": 1024, "max_prompt_length": 512, "gradient_checkpointing": True}
    return JobRequest.model_validate(
        {
            "policy": base,
            "pairs": [str(folder / "pairs.parquet")],
            "output": str(folder / f"trained-{name}"),
            "version": 1,
            "algorithm": {"name": "sppo", "eta": 10.0},
            "training": settings | training,
            "seed": 1,
        }
    )


def write_job(folder: Path, name: str, base: CheckpointRef) -> JobFolder:
    """A job's folder as the service leaves it before the process starts."""
    job = JobFolder(folder / name)
    job.root.mkdir(parents=True, exist_ok=True)
    job.write_request(job_request(folder, name, base))
    blank = {"step": 0, "total_steps": None, "metrics": {}, "eta_seconds": None, "checkpoint": None, "error": None}
    job.write_status(JobStatus.model_validate({"job_id": name, "state": "running", **blank}))
    return job


def train_until_killed(setting: Setting, notebook: Notebook, job: str, at_step: int) -> None:
    """Train, and be killed by the system right after an optimizer step."""
    from sparring_trainer.job.training import train

    steps: list[int] = []

    def after_step(*_: Any) -> None:
        steps.append(1)
        notebook.add(steps=len(steps))
        if len(steps) == at_step:
            os.kill(os.getpid(), signal.SIGKILL)

    register_optimizer_step_post_hook(after_step)
    train(JobFolder(Path(job)), checkpoint_seconds=0, device=trained_on(setting.device))


def steps_of(job: JobFolder) -> list[int]:
    """The steps that the job's metrics hold."""
    return [int(json.loads(line)["step"]) for line in job.metrics.read_text(encoding="utf-8").splitlines()]
