"""Point 5, its last part: one process of FSDP2 through scoring, saving and the probe."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import distributed
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from transformers import PreTrainedModel

from sparring_shared.run_config import TrainingConfig
from sparring_trainer.learning.logprobs import bind_scoring, full_logprobs
from sparring_trainer.learning.loop import score, training_arguments
from sparring_trainer.learning.models import load_model

from .device import peak_gib, reset_peak, seconds_of
from .llama import LLAMA_1B, TINY, llama, random_pairs
from .records import Notebook, Setting
from .stepping import trained_on

PROBE = list(range(3, 67))


def sharded(setting: Setting, notebook: Notebook) -> None:
    """Scores of the sharded model against the whole one, and the probe of what was gathered and saved against the model's."""
    shape = TINY if setting.tiny else LLAMA_1B
    model = llama(shape, setting.device)
    bind_scoring(model)
    size = 8 if setting.tiny else 256
    examples = random_pairs(4, shape.vocab_size, prompt=size, answer=size, spread=0.5)
    place = trained_on(setting.device)
    arguments = training_arguments(Path(setting.folder), TrainingConfig(), seed=0, device=place)
    whole = score(model, examples, TrainingConfig(), arguments)
    probe = full_logprobs(model, PROBE)
    _shard(model, setting.device, setting.folder)
    reset_peak(setting.device)
    # Sharding has its own mixed precision: autocast on top of it would be another computation.
    parts = score(model, examples, TrainingConfig(precision="fp32"), arguments)
    notebook.add(
        score_differs_by=float(abs(parts - whole).max()),
        nats=float(abs(whole).mean()),
        scoring_peak_gib=peak_gib(setting.device),
    )
    saved = Path(setting.folder) / "saved"
    notebook.add(saving_seconds=seconds_of(setting.device, lambda: _save(model, saved)))
    loaded = load_model(saved).to(setting.device)  # pyright: ignore[reportArgumentType]  # transformers annotates `to` wrongly
    notebook.add(probe_differs_by=(full_logprobs(loaded, PROBE) - probe).abs().max().item())
    distributed.destroy_process_group()


def _shard(model: PreTrainedModel, device: str, folder: str) -> None:
    """Shard layers and root over a group of one."""
    if device == "cuda":
        torch.cuda.set_device(0)
    backend = "nccl" if device == "cuda" else "gloo"
    distributed.init_process_group(backend, init_method=f"file://{folder}/store", rank=0, world_size=1)
    mesh = init_device_mesh(device, (1,))
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    for layer in model.get_submodule("model.layers").children():
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)


def _save(model: PreTrainedModel, folder: Path) -> None:
    """Gather the whole weights in host memory and write them as a checkpoint folder, in fp32."""
    gathered = get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    weights = {name: weight for name, weight in gathered.items() if isinstance(weight, torch.Tensor)}
    kept = {name: weight.contiguous() for name, weight in weights.items() if not _is_tied(model, name)}
    folder.mkdir()
    model.config.save_pretrained(folder)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})


def _is_tied(model: PreTrainedModel, name: str) -> bool:
    """Whether a weight is the embedding under another name, which safetensors does not store twice."""
    return bool(model.config.tie_word_embeddings) and name == "lm_head.weight"
