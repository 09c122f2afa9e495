"""The PairRM network: a DeBERTa-v2/v3 encoder and the pair head.

Dimensions: B passes of S tokens, h hidden, H heads of size d, R queries whose output is wanted, P positions.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn

from sparring_judge.engines.models.length_batches import length_batches
from sparring_judge.engines.pairrm.attention import Attend, Places, Positions, by_head
from sparring_judge.engines.pairrm.encoder_config import EncoderConfig
from sparring_judge.engines.pairrm.linear import Linear
from sparring_judge.engines.pairrm.passes import Pass, even_groups, padded_length
from sparring_judge.engines.pairrm.relative_positions import relative_rows

CPU_TOKENS = 2048
"""Computed at once on a CPU: more fills a core no better and costs memory."""
GPU_TOKENS = 32_768
"""Computed at once on a GPU, padding included: in 16 bits PairRM's bias takes 2 GB at its longest passes, three times over."""
KEPT_LENGTHS = 2
"""Lengths whose places are kept: passes come sorted by length."""


class Attention(nn.Module):
    """Disentangled self-attention. The position projections depend on weights alone and are computed once, by `fix`."""

    position_key: Tensor | None
    position_query: Tensor | None

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.register_buffer("position_key", None, persistent=False)
        self.register_buffer("position_query", None, persistent=False)
        self.heads = config.num_attention_heads
        self.kinds = config.pos_att_type
        self.query_proj = Linear(size, size)
        self.key_proj = Linear(size, size)
        self.value_proj = Linear(size, size)
        self.shared = config.share_att_key
        if not self.shared:
            self.pos_key_proj = Linear(size, size) if "c2p" in self.kinds else None
            self.pos_query_proj = Linear(size, size) if "p2c" in self.kinds else None
        self.scale = 1 / math.sqrt(size // self.heads * (1 + len(self.kinds)))

    def fix(self, positions: Tensor) -> None:
        """Project the relative embeddings [P, h]; scale the queries, of which sqrt(d * number of products) is taken."""
        key, query = (self.key_proj, self.query_proj) if self.shared else (self.pos_key_proj, self.pos_query_proj)
        self.position_key = self._split(key(positions)) if key is not None and "c2p" in self.kinds else None
        self.position_query = self._split(query(positions)) * self.scale if query is not None and "p2c" in self.kinds else None
        self.query_proj.weight = nn.Parameter(self.query_proj.weight * self.scale, requires_grad=False)
        self.query_proj.bias = nn.Parameter(self.query_proj.bias * self.scale, requires_grad=False)

    def forward(self, hidden: Tensor, asking: Tensor, places: Places, attend: Attend) -> Tensor:
        """Context [B, R, h] of the rows `asking` [B, R, h] over `hidden` [B, S, h]."""
        projected = self.query_proj(asking), self.key_proj(hidden), self.value_proj(hidden)
        query, key, value = (x.unflatten(-1, (self.heads, -1)) for x in projected)
        return attend(query, key, value, Positions(self.position_key, self.position_query), places)

    def _split(self, x: Tensor) -> Tensor:
        """[P, h] -> [H, P, d]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(0, 1).contiguous()


class Layer(nn.Module):
    """One encoder layer: attention and feed-forward, each with a residual and a layer norm after it."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        size, wide = config.hidden_size, config.intermediate_size
        self.attention = Attention(config)
        self.attended = Linear(size, size)
        self.attended_norm = nn.LayerNorm(size, config.layer_norm_eps)
        self.widen = Linear(size, wide)
        self.narrow = Linear(wide, size)
        self.narrow_norm = nn.LayerNorm(size, config.layer_norm_eps)

    def forward(self, hidden: Tensor, asking: Tensor, places: Places, attend: Attend) -> Tensor:
        """Output [B, R, h] for the rows `asking`; see `Attention`."""
        context = self.attended_norm(self.attended(self.attention(hidden, asking, places, attend)).add_(asking))
        return self.narrow_norm(self.narrow(self.widen.gelu(context)).add_(context))


class PairRmNetwork(nn.Module):
    """logit(a, b) = head(source, a) - head(source, b) at the tags' last hidden states; > 0 when a, shown first, is better.

    `attend` is `by_head` on a CPU, `at_once` on a GPU. `padded_tokens` counts the padding that was computed. `int8_error` is
    the largest difference of a logit to fp32 on a few fixed passes, where the weights are int8.
    """

    padded_tokens = 0
    int8_error: float | None = None

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
        self.attend: Attend = by_head
        self._index = lru_cache(KEPT_LENGTHS)(self._new_index)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.words.weight.device

    @property
    def batch_tokens(self) -> int:
        """How many tokens `logits` computes at once; more are cut into several."""
        return CPU_TOKENS if self.attend is by_head else GPU_TOKENS

    @torch.inference_mode()
    def fix(self, dtype: torch.dtype = torch.float32) -> None:
        """Compute what depends on the weights alone, in fp32, then turn all but the head to `dtype`; call once loaded."""
        positions = self.positions.weight
        for layer in self.layers:
            assert isinstance(layer, Layer)
            layer.attention.fix(self.positions_norm(positions) if self.positions_norm is not None else positions)
        self.to(dtype)
        for module in (self.head_hidden, self.head_out):
            module.float()

    def pack(self, int8: bool = False) -> None:
        """Bring the encoder's weights into the form that a CPU computes with; call last."""
        for module in self.layers.modules():
            if isinstance(module, Linear):
                module.pack(int8)

    def encode(self, ids: Tensor, rows: Tensor, lengths: Sequence[int]) -> Tensor:
        """Last hidden states [B, R, h] of ids [B, S] at `rows` [B, R]; the last layer is computed there alone.

        Ids from `lengths` [B] on are padding, which no token sees.
        """
        places = self._places(ids.shape[1], lengths)
        hidden = self.words_norm(self.words(ids))
        for layer in self.layers[:-1]:
            hidden = layer(hidden, hidden, places, self.attend)
        asking = hidden.gather(1, rows[..., None].expand(-1, -1, hidden.shape[-1]))
        return self.layers[-1](hidden, asking, places.at(rows), self.attend)

    def forward(self, ids: Tensor, tags: Tensor, lengths: Sequence[int]) -> Tensor:
        """Logits [B] of ids [B, S], whose tags of source, first and second candidate stand at `tags` [B, 3]; see `encode`."""
        source, first, second = self.encode(ids, tags, lengths).float().unbind(1)
        scores = [self.head_out(self.head_hidden(torch.cat((source, side), -1)).tanh()) for side in (first, second)]
        return (scores[0] - scores[1]).mean(-1)

    @torch.inference_mode()
    def logits(self, passes: Sequence[Pass]) -> list[float]:
        """The logit of each pass, in their order; a pass's logit does not depend on the others."""
        lengths = [padded_length(len(one.ids)) for one in passes]
        groups = (even_groups if self.attend is by_head else length_batches)(lengths, self.batch_tokens)
        # All groups are under way before the first result is waited for.
        found = [self._group([passes[at] for at in group]) for group in groups]
        ordered = dict(zip((at for group in groups for at in group), torch.cat(found).tolist(), strict=True)) if found else {}
        return [ordered[at] for at in range(len(passes))]

    def _group(self, passes: Sequence[Pass]) -> Tensor:
        lengths = [len(one.ids) for one in passes]
        longest = padded_length(max(lengths))
        self.padded_tokens += longest * len(lengths) - sum(lengths)
        ids = torch.tensor([one.ids + (0,) * (longest - len(one.ids)) for one in passes]).to(self.device)
        return self(ids, torch.tensor([one.tags for one in passes]).to(self.device), lengths)

    def _places(self, length: int, lengths: Sequence[int]) -> Places:
        padding = torch.arange(length) >= torch.tensor(lengths)[:, None]
        unseen = torch.zeros(padding.shape).masked_fill_(padding, -math.inf).to(self.device, self.words.weight.dtype)
        return Places(*self._index(length), lengths, unseen[:, None, None])

    def _new_index(self, length: int) -> tuple[Tensor, Tensor]:
        """See `Places`."""
        rows = relative_rows(length, self.config.position_buckets, self.config.max_position)
        place = torch.arange(length, device=self.device)
        index = torch.from_numpy(rows).to(self.device)[place[:, None] - place + length - 1]
        return index[None], index.mT.contiguous()[None]
