"""PairRM's network from the tensors of a checkpoint."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sparring_judge.engines.models.devices import set_up_torch
from sparring_judge.engines.pairrm.attention import at_once
from sparring_judge.engines.pairrm.encoder import PairRmNetwork
from sparring_judge.engines.pairrm.encoder_config import EncoderConfig
from sparring_judge.engines.pairrm.freed_memory import keep_freed_memory
from sparring_judge.engines.pairrm.passes import Pass
from sparring_judge.precision import Precision
from sparring_shared.errors import CheckpointMismatch, InvalidInput

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

_NAMES = {
    "pretrained_model.embeddings.word_embeddings.": "words.",
    "pretrained_model.embeddings.LayerNorm.": "words_norm.",
    "pretrained_model.encoder.rel_embeddings.": "positions.",
    "pretrained_model.encoder.LayerNorm.": "positions_norm.",
    "pretrained_model.encoder.layer.": "layers.",
    ".attention.self.": ".attention.",
    ".attention.output.dense.": ".attended.",
    ".attention.output.LayerNorm.": ".attended_norm.",
    ".intermediate.dense.": ".widen.",
    ".output.dense.": ".narrow.",
    ".output.LayerNorm.": ".narrow_norm.",
    "head_layer.1.": "head_hidden.",
    "head_layer.4.": "head_out.",
}
"""From the checkpoint's names to ours, replaced in this order."""


def _our_name(name: str) -> str:
    for theirs, ours in _NAMES.items():
        name = name.replace(theirs, ours)
    return name


def read_weights(files: Sequence[Path]) -> dict[str, Tensor]:
    """Tensors of a checkpoint in fp32, by its own names. Raises CheckpointMismatch for a file that cannot be read."""
    tensors: dict[str, Tensor] = {}
    for path in files:
        try:
            read = load_file(path) if path.suffix == ".safetensors" else torch.load(path, "cpu", weights_only=True)
        except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
            raise CheckpointMismatch(f"{path} cannot be read as weights ({type(error).__name__}); copy it again.") from None
        tensors.update((name, tensor.float()) for name, tensor in read.items())
    return tensors


def build_network(
    config: EncoderConfig, tensors: Mapping[str, Tensor], device: str, threads: int, precision: Precision | None = None
) -> PairRmNetwork:
    """The network with the weights of a checkpoint, on `device` (`auto` takes a GPU if there is one).

    `precision` is one that `precision_on` allows there.
    Raises CheckpointMismatch when names or shapes do not fit the config, InvalidInput for a device that is not there or a
    precision that it does not compute in.
    """
    place = set_up_torch(device, threads)
    precision = precision_on(place, precision)
    # transformers before 4.31 stored this constant with the weights.
    ours = {_our_name(name): tensor for name, tensor in tensors.items() if not name.endswith("position_ids")}
    with torch.device("meta"):
        network = PairRmNetwork(config, _rows(ours, "words.weight"), _rows(ours, "head_out.weight"))
    wanted = {name: tensor.shape for name, tensor in network.state_dict().items()}
    wrong = sorted(name for name in wanted.keys() | ours.keys() if name not in ours or wanted.get(name) != ours[name].shape)
    if wrong:
        raise CheckpointMismatch(f"The weights do not fit the config at {', '.join(wrong[:3])} ({len(wrong)} in all).")
    network.load_state_dict(ours, assign=True)
    network.requires_grad_(False).eval().to(place)
    network.fix(_DTYPES.get(precision, torch.float32))
    if place.type == "cpu":
        _pack(network, int8=precision == "int8")
    else:
        network.attend = at_once
    return network


def _pack(network: PairRmNetwork, *, int8: bool) -> None:
    """Make the network ready for a CPU; for int8 note what the rounding changes."""
    vocabulary = network.words.num_embeddings
    tried = [_trial(length, vocabulary) for length in (30, 100, 300)] if int8 else []
    exact = network.logits(tried)
    network.pack(int8)
    if int8:
        network.int8_error = max(abs(a - b) for a, b in zip(exact, network.logits(tried), strict=True))
    keep_freed_memory()


def _trial(length: int, vocabulary: int) -> Pass:
    """A pass of ids all over the vocabulary, its tags a third apart."""
    return Pass(tuple(at * 7919 % vocabulary for at in range(length)), (1, length // 3, 2 * length // 3))


def precision_on(device: torch.device, wanted: Precision | None) -> Precision:
    """The precision to compute in; unless one is wanted, fp32 on a CPU and fp16 elsewhere, as llm-blender.

    Raises InvalidInput for one that the network does not compute in there.
    """
    possible: tuple[Precision, ...] = ("fp32", "int8") if device.type == "cpu" else ("fp16", "bf16", "fp32")
    if wanted is None:
        return possible[0]
    if wanted not in possible:
        raise InvalidInput(f"The judge computes in {', '.join(possible)} on {device}, not in {wanted}; set one of them.")
    return wanted


def _rows(tensors: Mapping[str, Tensor], name: str) -> int:
    return tensors[name].shape[0] if name in tensors else 1
