"""The PairRM network in plain torch: a DeBERTa-v2/v3 encoder and the pair head; the one module that uses torch.

The attention score of query i and key j is the sum of content-content, content-position and position-content products
over sqrt(d * number of terms) (DeBERTa, arXiv 2006.03654, eq. 4; log buckets and shared projections are v2's).
Dimensions: B passes of one length, S tokens, h hidden, H heads of size d, R queries whose output is wanted, P positions.
"""

import math
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from sparring_judge.buckets import relative_index
from sparring_judge.checkpoint import EncoderConfig
from sparring_judge.passes import Pass, equal_length_groups
from sparring_shared.errors import CheckpointMismatch, InvalidInput

GROUP_TOKENS = 2048
"""Tokens computed at once: more fills a CPU core no better and costs memory."""


class Attention(nn.Module):
    """Disentangled self-attention. The position projections depend on weights alone and are computed once, by `fix`."""

    position_key: Tensor | None
    position_query: Tensor | None

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.heads = config.num_attention_heads
        self.kinds = config.pos_att_type
        self.query_proj = nn.Linear(size, size)
        self.key_proj = nn.Linear(size, size)
        self.value_proj = nn.Linear(size, size)
        self.shared = config.share_att_key
        if not self.shared:
            self.pos_key_proj = nn.Linear(size, size) if "c2p" in self.kinds else None
            self.pos_query_proj = nn.Linear(size, size) if "p2c" in self.kinds else None
        self.scale = 1 / math.sqrt(size // self.heads * (1 + len(self.kinds)))

    def split(self, x: Tensor) -> Tensor:
        """[..., S, h] -> [..., H, S, d]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(-2, -3)

    def fix(self, positions: Tensor) -> None:
        """Project the relative embeddings [P, h] to keys and scaled queries [H, P, d]."""
        key, query = (self.key_proj, self.query_proj) if self.shared else (self.pos_key_proj, self.pos_query_proj)
        self.position_key = self.split(key(positions)) if key is not None and "c2p" in self.kinds else None
        self.position_query = self.split(query(positions)) * self.scale if query is not None and "p2c" in self.kinds else None

    def forward(self, hidden: Tensor, asking: Tensor, index: Tensor) -> Tensor:
        """Context [B, R, h] of the rows `asking` [B, R, h] over `hidden` [B, S, h].

        `index` [B or 1, 1, R, S] is the row of the relative embeddings for each query and key.
        """
        query = self.split(self.query_proj(asking)) * self.scale
        key, value = self.split(self.key_proj(hidden)), self.split(self.value_proj(hidden))
        scores = query @ key.mT
        if self.position_key is not None:
            scores += (query @ self.position_key.mT).gather(-1, index.expand_as(scores))
        if self.position_query is not None:
            scores += (key @ self.position_query.mT).gather(-1, index.mT.expand_as(scores.mT)).mT
        return (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)


class Layer(nn.Module):
    """One encoder layer: attention and feed-forward, each with a residual and a layer norm after it."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        size, wide = config.hidden_size, config.intermediate_size
        self.attention = Attention(config)
        self.attended = nn.Linear(size, size)
        self.attended_norm = nn.LayerNorm(size, config.layer_norm_eps)
        self.widen = nn.Linear(size, wide)
        self.narrow = nn.Linear(wide, size)
        self.narrow_norm = nn.LayerNorm(size, config.layer_norm_eps)

    def forward(self, hidden: Tensor, asking: Tensor, index: Tensor) -> Tensor:
        """Output [B, R, h] for the rows `asking`; see `Attention`."""
        context = self.attended_norm(self.attended(self.attention(hidden, asking, index)) + asking)
        return self.narrow_norm(self.narrow(functional.gelu(self.widen(context))) + context)


class PairRmNetwork(nn.Module):
    """logit(a, b) = head(source, a) - head(source, b) at the tags' last hidden states; > 0 when a, shown first, is better."""

    def __init__(self, config: EncoderConfig, vocabulary: int, tasks: int) -> None:
        super().__init__()
        size = config.hidden_size
        self.config = config
        self.words = nn.Embedding(vocabulary, size)
        self.words_norm = nn.LayerNorm(size, config.layer_norm_eps)
        self.positions = nn.Embedding(config.position_rows, size)
        self.positions_norm = nn.LayerNorm(size, config.layer_norm_eps) if config.norm_rel_ebd == "layer_norm" else None
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.head_hidden = nn.Linear(2 * size, size)
        self.head_out = nn.Linear(size, tasks)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.words.weight.device

    @torch.inference_mode()
    def fix(self) -> None:
        """Compute what depends on the weights alone; call once they are loaded and in place."""
        positions = self.positions.weight
        for layer in self.layers:
            assert isinstance(layer, Layer)
            layer.attention.fix(self.positions_norm(positions) if self.positions_norm is not None else positions)

    def encode(self, ids: Tensor, rows: Tensor) -> Tensor:
        """Last hidden states [B, R, h] of ids [B, S] at `rows` [B, R]; the last layer is computed there alone."""
        buckets = relative_index(ids.shape[1], self.config.position_buckets, self.config.max_position)
        index = torch.from_numpy(buckets).to(ids.device)
        hidden = self.words_norm(self.words(ids))
        for layer in self.layers[:-1]:
            hidden = layer(hidden, hidden, index[None, None])
        asking = hidden.gather(1, rows[..., None].expand(-1, -1, hidden.shape[-1]))
        return self.layers[-1](hidden, asking, index[rows][:, None])

    def forward(self, ids: Tensor, tags: Tensor) -> Tensor:
        """Logits [B] of ids [B, S], whose tags of source, first and second candidate stand at `tags` [B, 3]."""
        source, first, second = self.encode(ids, tags).unbind(1)
        scores = [self.head_out(self.head_hidden(torch.cat((source, side), -1)).tanh()) for side in (first, second)]
        return (scores[0] - scores[1]).mean(-1)

    @torch.inference_mode()
    def logits(self, passes: Sequence[Pass]) -> list[float]:
        """The logit of each pass, in their order; passes of one length are computed together."""
        found = [math.nan] * len(passes)
        for group in equal_length_groups([len(one.ids) for one in passes], GROUP_TOKENS):
            ids = torch.tensor([passes[at].ids for at in group], device=self.device)
            tags = torch.tensor([passes[at].tags for at in group], device=self.device)
            for at, logit in zip(group, self(ids, tags).tolist(), strict=True):
                found[at] = logit
        return found


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


def build_network(config: EncoderConfig, tensors: Mapping[str, Tensor], device: str, threads: int) -> PairRmNetwork:
    """The network with the weights of a checkpoint, on `device` (`auto` takes a GPU if there is one).

    Raises CheckpointMismatch when names or shapes do not fit the config, InvalidInput for a device that is not there.
    """
    torch.set_num_threads(threads)
    # transformers before 4.31 stored this constant with the weights.
    ours = {_our_name(name): tensor for name, tensor in tensors.items() if not name.endswith("position_ids")}
    with torch.device("meta"):
        network = PairRmNetwork(config, _rows(ours, "words.weight"), _rows(ours, "head_out.weight"))
    wanted = {name: tensor.shape for name, tensor in network.state_dict().items()}
    wrong = sorted(name for name in wanted.keys() | ours.keys() if name not in ours or wanted.get(name) != ours[name].shape)
    if wrong:
        raise CheckpointMismatch(f"The weights do not fit the config at {', '.join(wrong[:3])} ({len(wrong)} in all).")
    network.load_state_dict(ours, assign=True)
    network.requires_grad_(False).eval().to(_device(device))
    network.fix()
    return network


def _rows(tensors: Mapping[str, Tensor], name: str) -> int:
    return tensors[name].shape[0] if name in tensors else 1


def _device(wanted: str) -> torch.device:
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    present = torch.cuda.device_count() if wanted.startswith("cuda") else int(torch.backends.mps.is_available())
    device = torch.device(wanted)
    if device.type != "cpu" and (device.index or 0) >= present:
        raise InvalidInput(f"The device {wanted} is wanted, but torch finds {present} of its kind; set auto or cpu.")
    return device
