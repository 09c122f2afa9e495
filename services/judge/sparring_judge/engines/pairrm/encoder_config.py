"""The shape of a DeBERTa encoder."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _parts(value: Any) -> Any:
    return tuple(value.split("|")) if isinstance(value, str) else value


class EncoderConfig(BaseModel):
    """Shape of a DeBERTa-v2 or v3 encoder, from its config.json; values that this engine does not compute are refused."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    hidden_size: int
    num_hidden_layers: Annotated[int, Field(ge=1)]
    num_attention_heads: Annotated[int, Field(ge=1)]
    intermediate_size: int
    hidden_act: Literal["gelu"] = "gelu"
    layer_norm_eps: float = 1e-7
    max_position_embeddings: int = 512
    max_relative_positions: int = -1
    position_buckets: int = -1
    pos_att_type: Annotated[tuple[Literal["c2p", "p2c"], ...], BeforeValidator(_parts)]
    share_att_key: bool = False
    norm_rel_ebd: Literal["none", "layer_norm"] = "none"
    relative_attention: Literal[True]
    position_biased_input: Literal[False]
    type_vocab_size: Literal[0] = 0
    conv_kernel_size: Literal[0] = 0

    @property
    def max_position(self) -> int:
        """The largest distance that the buckets tell apart."""
        return self.max_relative_positions if self.max_relative_positions > 0 else self.max_position_embeddings

    @property
    def position_rows(self) -> int:
        """Rows of the table of relative embeddings."""
        return 2 * (self.position_buckets if self.position_buckets > 0 else self.max_position)
