"""One job from beginning to end: pairs in, checkpoint out."""

import gc
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, TrainingArguments
from transformers.utils.logging import disable_progress_bar

from sparring_shared.algorithms import MnpoConfig
from sparring_shared.artifacts import publish_checkpoint, read_records, replacing, write_json
from sparring_shared.errors import Broken, Unavailable
from sparring_shared.probe import write_probe
from sparring_shared.records import Pair
from sparring_shared.wire.trainer import CheckpointRef, JobRequest
from sparring_trainer.device_name import DeviceName
from sparring_trainer.job.folder import PROVENANCE, JobFolder, Provenance
from sparring_trainer.job.inner_checkpoints import latest, step_of
from sparring_trainer.job.progress import Progress, summarise
from sparring_trainer.learning.batches import Anchors, Steps, plan_steps
from sparring_trainer.learning.divergence import check_finite
from sparring_trainer.learning.examples import Example, cuts, sampler_gap, to_example
from sparring_trainer.learning.loop import (
    StepTrainer,
    enable_gradient_checkpointing,
    score,
    training_arguments,
)
from sparring_trainer.learning.losses import mixture
from sparring_trainer.learning.models import load_policy, save_model, vocabulary_size, writing
from sparring_trainer.learning.probe import probe_of
from sparring_trainer.learning.signals import answer_signals
from sparring_trainer.learning.together import agreed, part

log = logging.getLogger(__name__)

FINAL_PAIRS = 256
"""How many pairs are scored once more after training."""


def train(folder: JobFolder, *, checkpoint_seconds: float, device: DeviceName = "auto") -> None:
    """Run the job of a folder, from its last inner checkpoint if there is one, and publish the trained policy.

    One is saved every `checkpoint_seconds`. Raises InvalidInput for pairs or models that do not fit, Diverged for a loss
    that is not a number any more, Broken when memory does not suffice, Unavailable where torch is built for GPUs and finds
    none, and where a checkpoint cannot be written.
    """
    try:
        _train(folder, checkpoint_seconds, device)
    except torch.OutOfMemoryError as error:
        raise Broken("The GPU is out of memory; lower training.micro_batch_tokens or set gradient_checkpointing.") from error


def _train(folder: JobFolder, checkpoint_seconds: float, device: DeviceName) -> None:
    disable_progress_bar()
    request = folder.request()
    config = request.training
    examples = read_examples(request)
    arguments = training_arguments(folder.checkpoints, config, request.seed, device)
    first = arguments.process_index == 0
    if first:
        folder.sweep()
    plan = plan_steps(len(examples), config.batch_size, config.train_epochs, request.seed)
    progress = Progress(folder, len(plan), writes=first)
    model, anchors = _model_and_anchors(folder, request, examples, arguments, progress)
    if config.gradient_checkpointing:
        enable_gradient_checkpointing(model)

    epoch_steps = len(plan) // config.train_epochs
    steps = Steps(
        examples,
        anchors,
        plan,
        budget=config.micro_batch_tokens,
        rank=arguments.process_index,
        processes=arguments.world_size,
    )
    trainer = StepTrainer(
        model,
        arguments,
        steps,
        algorithm=request.algorithm,
        schedule_steps=epoch_steps * (config.schedule_epochs or config.train_epochs),
        save_seconds=checkpoint_seconds,
        listener=progress,
    )
    resumed = agreed(latest(folder.checkpoints) if first else None)
    progress.begin(0 if resumed is None else step_of(resumed))
    trainer.train(resume_from_checkpoint=None if resumed is None else str(resumed))

    final = _final_logratios(model, examples, anchors, request, arguments, partial(progress.phase, "scoring"))
    check_finite("the end", final, {})
    if first:
        progress.phase("saving")
        metrics = summarise(folder.metric_rows(), epoch_steps) | final | cuts(examples)
        gap = sampler_gap(examples, anchors.previous.tolist())
        metrics |= {} if gap is None else {"sampler_gap": gap}
        checkpoint = _publish(folder, request, model, metrics)
        progress.succeed(metrics, checkpoint)
        shutil.rmtree(folder.checkpoints, ignore_errors=True)
    part()


def read_examples(request: JobRequest) -> list[Example]:
    """All pairs of a request, cut. Raises InvalidInput for files that hold something else."""
    vocabulary = vocabulary_size(Path(request.policy.path))
    config = request.training
    lengths = {"max_length": config.max_length, "max_prompt_length": config.max_prompt_length}
    return [
        replace(
            to_example(pair, vocabulary=vocabulary, **lengths),
            win_rates=answer_signals(request.algorithm, pair),
        )
        for path, sha256 in request.pair_files
        for pair in read_records(path, Pair, sha256)
    ]


def _model_and_anchors(
    folder: JobFolder, request: JobRequest, examples: Sequence[Example], arguments: TrainingArguments, progress: Progress
) -> tuple[PreTrainedModel, Anchors]:
    """The policy on its device, and log pi_t and log pi_ref of all answers; only one model is in memory at a time.

    They are kept in the job's folder, so that a job that goes on after a crash regresses on the very same targets.
    """
    progress.phase("loading")
    if agreed(_kept_anchors(folder) is not None):
        if (kept := _kept_anchors(folder)) is None:
            raise Unavailable(
                f"{folder.anchors} cannot be read by process {arguments.process_index}; the job goes on once it can."
            )
        return _on_device(request.policy, arguments), kept
    mixed = _reference_mixture(request)
    others = {
        checkpoint.digest: _reference_logprobs(checkpoint, request, examples, arguments, progress)
        for checkpoint in {each.digest: each for each, _ in mixed if each.digest != request.policy.digest}.values()
    }
    progress.phase("loading")
    model = _on_device(request.policy, arguments)
    previous = score(model, examples, request.training, arguments, partial(progress.phase, "scoring"))
    parts = [torch.from_numpy(others.get(checkpoint.digest, previous)) for checkpoint, _ in mixed]
    anchors = Anchors(previous, mixture(parts, [share for _, share in mixed]).numpy())
    if arguments.process_index == 0:
        with replacing(folder.anchors) as temporary, temporary.open("wb") as stream:
            np.savez(stream, previous=anchors.previous, reference=anchors.reference)
    return model, anchors


def _kept_anchors(folder: JobFolder) -> Anchors | None:
    """Those of an earlier attempt; None if there are none, or they cannot be read: then they are computed again."""
    try:
        with np.load(folder.anchors) as kept:
            return Anchors(kept["previous"], kept["reference"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        log.warning("%s cannot be read (%s); the log-probs are computed again.", folder.anchors, error)
        return None


def _reference_mixture(request: JobRequest) -> list[tuple[CheckpointRef, float]]:
    """The policies that log pi_ref is made of, with their shares: one, or the history of MNPO; pi_t where there is none."""
    if isinstance(request.algorithm, MnpoConfig):
        return list(zip(request.history, request.algorithm.shares, strict=True))
    return [(request.reference or request.policy, 1.0)]


def _reference_logprobs(
    reference: CheckpointRef,
    request: JobRequest,
    examples: Sequence[Example],
    arguments: TrainingArguments,
    progress: Progress,
) -> NDArray[np.float32]:
    progress.phase("loading")
    model, on_batch = _on_device(reference, arguments), partial(progress.phase, "scoring")
    logprobs = score(model, examples, request.training, arguments, on_batch)
    del model
    gc.collect()
    if torch.accelerator.is_available():
        torch.accelerator.empty_cache()
    return logprobs


def _on_device(policy: CheckpointRef, arguments: TrainingArguments) -> PreTrainedModel:
    model = load_policy(policy)
    model.to(arguments.device)  # pyright: ignore[reportArgumentType]  # transformers annotates `to` wrongly
    return model


def _final_logratios(
    model: PreTrainedModel,
    examples: Sequence[Example],
    anchors: Anchors,
    request: JobRequest,
    arguments: TrainingArguments,
    on_batch: Callable[[int, int], None],
) -> dict[str, float]:
    """Mean log pi - log pi_t of the chosen and the rejected answers after training, over up to FINAL_PAIRS pairs."""
    stride = -(-len(examples) // FINAL_PAIRS)
    logratios = score(model, examples[::stride], request.training, arguments, on_batch) - anchors.previous[::stride]
    chosen, rejected = logratios.mean(axis=0).tolist()
    return {"final_chosen_logratio": chosen, "final_rejected_logratio": rejected}


def _publish(folder: JobFolder, request: JobRequest, model: PreTrainedModel, metrics: dict[str, float]) -> CheckpointRef:
    output, temporary = Path(request.output), folder.unpublished()
    with writing(temporary):
        temporary.mkdir(parents=True)
        save_model(model, temporary, Path(request.policy.path), as_source=request.training.precision == "bf16")
        write_probe(temporary, probe_of(model, temporary))
        provenance = Provenance(job_id=folder.job_id, request=request, metrics=metrics)
        write_json(temporary / PROVENANCE, provenance.model_dump(mode="json"))
        digest = publish_checkpoint(temporary, output, request.version)
    return CheckpointRef(version=request.version, digest=digest, path=request.output)
