"""The demo judge in the other layout, that of llm-blender/PairRM, which the package reads: the same tensors, the same ids."""

import json
import shutil
from pathlib import Path

from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parents[2]
DEMO_JUDGE = ROOT / "models" / "demo-judge"
TAGS = 4


def write_blender_layout(root: Path) -> Path:
    """The judge's folder in `root`; its backbone, whose tokenizer has no tags yet, is `backbone` beside it."""
    judge, backbone = root / "pairrm", root / "backbone"
    judge.mkdir()
    backbone.mkdir()
    shutil.copy(DEMO_JUDGE / "model.safetensors", judge)
    limits = {"source_maxlength": 1224, "candidate_maxlength": 412}
    ranker = {"ranker_type": "pairranker", "model_type": "deberta", "model_name": "backbone"} | limits
    (judge / "config.json").write_text(json.dumps(ranker), encoding="utf-8")

    config = json.loads((DEMO_JUDGE / "config.json").read_bytes())
    words = config["vocab_size"] - TAGS
    config |= {"vocab_size": words, "architectures": ["DebertaV2Model"], "dtype": "float32"}
    (backbone / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tokenizer = json.loads((DEMO_JUDGE / "tokenizer.json").read_bytes())
    tokenizer["added_tokens"] = [token for token in tokenizer["added_tokens"] if token["id"] < words]
    (backbone / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    shutil.copy(DEMO_JUDGE / "tokenizer_config.json", backbone)
    weights = {
        name.removeprefix("pretrained_model."): tensor.float()
        for name, tensor in load_file(judge / "model.safetensors").items()
    }
    embedded = "embeddings.word_embeddings.weight"
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith("head_layer")}
    save_file(kept | {embedded: weights[embedded][:words].clone()}, backbone / "model.safetensors", metadata={"format": "pt"})
    return judge
