"""Lengths that cannot work are refused when the run is made. All are in tokens."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from sparring_controller.rounds.asking import with_system
from sparring_controller.rounds.clients import GeneratorClient
from sparring_shared.errors import InvalidInput, SparringError, Unavailable
from sparring_shared.records import Prompt
from sparring_shared.run_config import RunConfig
from sparring_shared.wire.trainer import CheckpointRef

log = logging.getLogger(__name__)

_CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")
_UNSCALED = (None, "default", "llama3")
_SHORTEST = 8


def check_lengths(config: RunConfig, base: CheckpointRef, training: Sequence[list[Prompt]], generator: GeneratorClient) -> None:
    """Raises InvalidInput where no answer fits the context of the base model, or all prompts of a round may be cut.

    `training` has a list for each round, or the one that all rounds share, as in `RunPrompts`.
    A generator that serves another model, or does not answer, is not asked: config.json alone then tells the context.
    """
    context = model_context(Path(base.path))
    if context is not None:
        _check_context(config, context, f"the context of {config.policy.model}", prompt=1)
    try:
        served = generator.context(str(Path(base.path).resolve()))
        if served is None:
            return
        for prompts in training:
            shortest = _shortest(config, prompts, generator)
            _check_context(config, served, "what the generator reads of it", prompt=shortest)
            _check_prompts(config, shortest)
    except Unavailable as error:
        log.warning("the lengths of %s are not checked against the generator: %s", config.name, error.message)


def model_context(folder: Path) -> int | None:
    """How many tokens the model of a checkpoint folder reads, by its config.json; None if that does not say.

    Where rotary positions are scaled, what follows is for the generator to say. Raises InvalidInput for a broken file.
    """
    try:
        whole = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except ValueError:
        raise InvalidInput(f"policy.model: {folder / 'config.json'} is not JSON; get the model anew.") from None
    text = whole.get("text_config", whole)
    scaling = text.get("rope_scaling") or text.get("rope_parameters") or {}
    if scaling.get("rope_type", scaling.get("type")) not in _UNSCALED:
        return None
    return min((text[key] for key in _CONTEXT_KEYS if isinstance(text.get(key), int)), default=None)


def _shortest(config: RunConfig, prompts: list[Prompt], generator: GeneratorClient) -> int:
    """Tokens of the shortest of the prompts; of those with the fewest characters, as counting all would take long."""
    asked = [with_system(prompt, config.sampling.system) for prompt in prompts]
    fewest = sorted(asked, key=lambda prompt: sum(len(message.content) for message in prompt.messages))[:_SHORTEST]
    try:
        return min(generator.prompt_tokens(prompt, config.sampling.template_arguments) for prompt in fewest)
    except Unavailable:
        raise
    except SparringError as error:
        raise InvalidInput(
            f"The policy's chat template does not take the prompts ({error.message}); correct sampling.system, "
            "sampling.template_arguments, the prompts or the template."
        ) from None


def _check_context(config: RunConfig, context: int, whose: str, *, prompt: int) -> None:
    lengths = {"sampling.max_tokens": config.sampling.max_tokens, "evaluation.max_tokens": config.evaluation.max_tokens}
    for key, tokens in lengths.items():
        if tokens is not None and prompt + tokens > context:
            raise InvalidInput(
                f"{key} is {tokens}, but {whose} is {context} tokens, of which the shortest prompt takes {prompt}; "
                f"lower {key} to {context - prompt} or less."
            )


def _check_prompts(config: RunConfig, shortest: int) -> None:
    training = config.training
    if shortest > training.max_prompt_length and shortest + config.sampling.max_tokens > training.max_length:
        raise InvalidInput(
            f"training.max_prompt_length is {training.max_prompt_length}, but the shortest prompt has {shortest} tokens, so"
            f" that beside long answers all are cut to training.max_length = {training.max_length}; raise one of the two."
        )
