"""An addition to vLLM's worker: the output head of a model with tied embeddings follows a reload of the weights.

vLLM takes this class by name (`--worker-extension-cls`) and mixes it into the worker of each of its processes.
"""

from collections.abc import Callable

from torch import nn
from vllm.config import ModelConfig
from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead, VocabParallelEmbedding


class TiedHead:
    """Gives `retie_head`; the worker brings the rest."""

    model_config: ModelConfig
    get_model: Callable[[], nn.Module]

    def retie_head(self) -> int:
        """Make each tied head anew from the embedding; returns how many there were.

        On the CPU vLLM multiplies by a packed copy of the head. A checkpoint with tied embeddings holds no head, so
        `reload_weights` leaves the old copy in use.
        """
        if not self.model_config.hf_text_config.tie_word_embeddings:
            return 0
        modules = list(self.get_model().modules())
        heads = [module for module in modules if isinstance(module, ParallelLMHead)]
        embeddings = [m for m in modules if isinstance(m, VocabParallelEmbedding) and not isinstance(m, ParallelLMHead)]
        for head in heads:
            head.tie_weights(embeddings[0])
            head.quant_method.process_weights_after_loading(head)
        return len(heads)
