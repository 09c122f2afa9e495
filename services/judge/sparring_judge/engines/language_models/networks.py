"""Language models that judge, in torch: one that prefers the letter A or B, one that rewards a text."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, PreTrainedModel

from sparring_judge.engines.engine import Computed, Description
from sparring_judge.engines.language_models.chat_tokenizer import Encoded
from sparring_judge.engines.language_models.model_files import LmFiles
from sparring_judge.engines.models.devices import number_format, set_up_torch
from sparring_judge.engines.models.length_batches import length_batches, padding
from sparring_judge.tasks.units import Unit
from sparring_shared.errors import CheckpointMismatch

_CPU_TOKENS = 2048
_GPU_TOKENS = 32_768


class Network(Protocol):
    """What computes a batch of texts on a device."""

    device: torch.device

    def values(self, texts: Sequence[Encoded]) -> Tensor:
        """The value of each text [B], computed together."""
        ...


class LetterHead(nn.Module):
    """The rows of an output embedding for two tokens, in fp32: logits of a whole vocabulary are not needed, and those of a
    model in bf16 would be a 32nd or more apart."""

    def __init__(self, head: nn.Linear, letters: Sequence[int]) -> None:
        super().__init__()
        rows = torch.tensor(list(letters), device=head.weight.device)
        self.weight = nn.Parameter(head.weight.detach()[rows].float(), requires_grad=False)
        self.bias = None if head.bias is None else nn.Parameter(head.bias.detach()[rows].float(), requires_grad=False)

    def forward(self, hidden: Tensor) -> Tensor:
        """Hidden states [..., H] to logits [..., 2]."""
        return nn.functional.linear(hidden.float(), self.weight, self.bias)


class LetterNetwork:
    """A causal language model that knows two letters; the value is the first one's logit less the second one's."""

    def __init__(self, model: PreTrainedModel, letters: Sequence[int]) -> None:
        self.device = model.device
        self._model = model
        head = model.get_output_embeddings()
        if not isinstance(head, nn.Linear):
            raise CheckpointMismatch(f"{type(model).__name__} has no linear output embedding; a pair-lm judge needs one.")
        probe = [Encoded(tuple(range(min(16, head.out_features))))]
        ids, last = _padded(probe, self.device)
        with torch.inference_mode():
            own = model(input_ids=ids, use_cache=False).logits[0, last[0], list(letters)].float()
        model.set_output_embeddings(LetterHead(head, letters))
        off = abs(own[0] - own[1] - self.values(probe)[0]).item()
        exact = model.dtype == torch.float32
        if off > (1e-3 if exact else 0.05 * (1 + own.abs().max().item())):
            raise CheckpointMismatch(f"{type(model).__name__} makes its logits in a way that a pair-lm judge does not know.")

    @torch.inference_mode()
    def values(self, texts: Sequence[Encoded]) -> Tensor:
        """See `Network`. Padded on the right without a mask: under causal attention nothing looks at what stands behind it."""
        ids, last = _padded(texts, self.device)
        logits = self._model(input_ids=ids, use_cache=False).logits[torch.arange(len(texts), device=self.device), last]
        return logits[:, 0] - logits[:, 1]


class RewardNetwork:
    """A model with one label; the value is its logit."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.device = model.device
        self._model: Any = model
        self._text_config = model.config.get_text_config()
        self._pad: int | None = self._text_config.pad_token_id

    @torch.inference_mode()
    def values(self, texts: Sequence[Encoded]) -> Tensor:
        """See `Network`. Decoders find the end of a text by the padding token; where a model has none, any id does that no
        text of the batch holds."""
        held = {token for text in texts for token in text.ids}
        pad = self._pad if self._pad is not None else next(token for token in range(len(held) + 1) if token not in held)
        self._text_config.pad_token_id = pad
        ids, last = _padded(texts, self.device, pad)
        inputs = {"input_ids": ids, "attention_mask": (torch.arange(ids.shape[1], device=self.device) <= last[:, None]).long()}
        if texts[0].types:
            inputs["token_type_ids"], _ = _padded([Encoded(text.types) for text in texts], self.device)
        return self._model(**inputs).logits[:, 0].float()


class LmComputer:
    """A `Computer` over a network."""

    def __init__(self, network: Network) -> None:
        tokens = _CPU_TOKENS if network.device.type == "cpu" else _GPU_TOKENS
        self.description = Description(str(network.device), tokens)
        self._network = network

    def compute(self, units: Sequence[Unit]) -> Computed:
        """See `Computer`."""
        texts: list[Encoded] = [unit.content for unit in units]  # pyright: ignore[reportAssignmentType]  # the reader's
        lengths = [len(text.ids) for text in texts]
        batches = length_batches(lengths, self.description.batch_tokens)
        values = [0.0] * len(texts)
        for batch in batches:
            for at, value in zip(batch, self._network.values([texts[at] for at in batch]).tolist(), strict=True):
                values[at] = value
        return Computed(tuple(values), padding(lengths, batches))


def load_letters(files: LmFiles, letters: Sequence[int]) -> LmComputer:
    """A causal language model that chooses between two tokens. Raises CheckpointMismatch for a folder that holds none."""
    return LmComputer(LetterNetwork(_load(AutoModelForCausalLM, files), letters))


def load_rewards(files: LmFiles) -> LmComputer:
    """A model with one label. Raises CheckpointMismatch for a folder that holds none."""
    return LmComputer(RewardNetwork(_load(AutoModelForSequenceClassification, files)))


def _load(kind: Any, files: LmFiles) -> PreTrainedModel:
    """The model in its number format on its device, dropout off."""
    device = set_up_torch(files.device, files.threads)
    dtype = number_format(files.precision, device)
    try:
        model, report = kind.from_pretrained(
            files.folder,
            dtype=dtype,
            trust_remote_code=files.trust_remote_code,
            local_files_only=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointMismatch(f"{files.folder} cannot be loaded as {kind.__name__}: {why}") from None
    missing: set[str] = set(report["missing_keys"]) | {key for key, *_ in report["mismatched_keys"]}
    if missing:
        raise CheckpointMismatch(f"The weights of {files.folder} lack {', '.join(sorted(missing)[:3])}, of {kind.__name__}.")
    return model.requires_grad_(False).eval().to(device)


def _padded(texts: Sequence[Encoded], device: torch.device, pad: int = 0) -> tuple[Tensor, Tensor]:
    """Ids [B, L] padded on the right, and where each text ends [B]."""
    rows = nn.utils.rnn.pad_sequence([torch.tensor(text.ids) for text in texts], batch_first=True, padding_value=pad)
    return rows.to(device), torch.tensor([len(text.ids) - 1 for text in texts], device=device)
