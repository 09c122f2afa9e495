"""The words of a run, as pure functions: what the policy is asked, how it answers, and what the judge is shown of it."""

from sparring_controller.rounds.clients.generator import Sampling
from sparring_shared.errors import InvalidInput
from sparring_shared.records import Answer, CandidateSet, Message, Prompt
from sparring_shared.run_config import RunConfig
from sparring_shared.wire.judge import Conversation


def with_system(prompt: Prompt, system: str | None) -> Prompt:
    """The prompt with the run's system prompt before it, unless it has one of its own; its id stays."""
    if system is None or any(message.role == "system" for message in prompt.messages):
        return prompt
    return prompt.model_copy(update={"messages": (Message(role="system", content=system), *prompt.messages)})


def round_sampling(config: RunConfig, seed: int) -> Sampling:
    """How the K candidates of a prompt are sampled."""
    words = config.sampling
    return Sampling(
        n=words.k,
        temperature=words.temperature,
        top_p=words.top_p,
        top_k=words.top_k,
        min_p=words.min_p,
        max_tokens=words.max_tokens,
        stop=words.stop,
        seed=seed,
        chat_template_kwargs=words.template_arguments,
        reasoning_parser=words.reasoning_parser,
    )


def evaluation_sampling(config: RunConfig, seed: int) -> Sampling:
    """How a held-out prompt is answered: as in a round, but once, and with the evaluation's own decoding where it has one."""
    own = config.evaluation.model_dump(include={"temperature", "top_p", "max_tokens"}, exclude_none=True)
    return round_sampling(config, seed).model_copy(update=own | {"n": 1})


def shown(row: CandidateSet | Answer, *, templated: bool) -> Conversation:
    """The prompt as the judge sees it: the conversation that the policy was asked, or that under its chat template.

    Raises InvalidInput where the template made no text.
    """
    if not templated:
        return row.prompt.messages
    if row.prompt_text is None:
        raise InvalidInput("judge.templated needs the prompt as text, but the policy's chat template makes none; leave it out.")
    return row.prompt_text
