"""Writes `pairrm.json`: what the real llm-blender says of our texts with the demo judge (`make golden`).

Runs in `.venv-llm-blender`. `*_bs1` are results at batch size 1, the reference: `rank_scores_bs1` and `ranks_bs1` of
`Blender.rank`, `logit_matrix_bs1[n][i][j]` of the pass with answer i left and j right, `pair01_input_ids` what that of answers
0 and 1 reads. `rank_scores_bs_all` is the same with the group in one batch.
"""

import importlib.metadata
import json
import tempfile
from pathlib import Path
from typing import Any

import llm_blender  # pyright: ignore[reportMissingImports]  # of .venv-llm-blender
import torch
import transformers
from golden_checkpoint import DEMO_JUDGE, write_blender_layout
from golden_texts import CONVERSATIONS, FORGED_TAGS, GROUPS, INSTRUCTIONS, Texts
from llm_blender.blender.blender import get_ranks_from_scores  # pyright: ignore[reportMissingImports]
from llm_blender.blender.blender_utils import tokenize_conv_pair, tokenize_pair  # pyright: ignore[reportMissingImports]
from llm_blender.pair_ranker.pairrm import DebertaV2PairRM  # pyright: ignore[reportMissingImports]

Group = dict[str, Any]
MODES = ("[A,B]", "[B,A]", "[A,B]+[B,A]")
SHORT_LIMITS = {"source_max_length": 12, "candidate_max_length": 8}
PACKAGES = ("llm-blender", "torch", "transformers", "tokenizers")


def numbers(tensor: Any) -> Any:
    """As nested lists, to six decimals."""
    return json.loads(json.dumps(tensor.tolist()), parse_float=lambda text: round(float(text), 6))


def group(blender: Any, name: str, texts: Texts) -> Group:
    """All that llm-blender says of a group."""
    prompts, answers = texts
    said: Group = {"name": name, "inputs": prompts, "candidates": answers}
    scores = blender.rank(prompts, answers, return_scores=True, batch_size=1)
    said["rank_scores_bs1"], said["ranks_bs1"] = numbers(scores), get_ranks_from_scores(scores).tolist()
    if len(prompts) > 1:
        together = blender.rank(prompts, answers, return_scores=True, batch_size=len(prompts))
        said["rank_scores_bs_all"] = numbers(together)
    batches = [
        blender.ranker_collator([{"index": 0, "source": p, "candidates": c}]) for p, c in zip(prompts, answers, strict=True)
    ]
    said["logit_matrix_bs1"] = [matrix(blender, batch) for batch in batches]
    if len(answers[0]) > 1:
        said["pair01_input_ids"] = [pass_ids(blender, batch) for batch in batches]
        first, second = [c[0] for c in answers], [c[1] for c in answers]
        for mode in MODES:
            logits = blender.compare(prompts, first, second, return_logits=True, batch_size=1, mode=mode)
            said[f"compare_logits_bs1 {mode}"] = numbers(logits)
    return said


def matrix(blender: Any, batch: dict[str, Any]) -> list[list[float]]:
    """The logits of all ordered pairs of one item."""
    with torch.no_grad():
        return numbers(
            blender.ranker._full_predict(**{key: value for key, value in batch.items() if value is not None})["logits"][0]
        )


def pass_ids(blender: Any, batch: dict[str, Any]) -> list[int]:
    """What the network reads for answers 0 and 1, without padding."""
    tokenizer, texts = blender.ranker_tokenizer, [batch["source_ids"], batch["source_attention_mask"]]
    for at in (0, 1):
        texts += [batch["candidate_ids"][:, at], batch["candidate_attention_mask"][:, at]]
    ids, mask = blender.ranker.cat_ids(*texts)
    kept = ids[0][mask[0].bool()].clone()
    left, right = torch.where(kept == tokenizer.cand_prefix_id)[0][:2]
    kept[left], kept[right] = tokenizer.cand1_prefix_id, tokenizer.cand2_prefix_id
    return kept.tolist()


def variations(blender: Any) -> list[Group]:
    """Instructions, shorter limits, the best of n."""
    prompts, answers = GROUPS["k2"]
    scores = blender.rank(prompts, answers, instructions=INSTRUCTIONS, return_scores=True, batch_size=1)
    said = [{"name": "k2_instructions", "inputs": prompts, "candidates": answers, "instructions": INSTRUCTIONS}]
    said[0]["rank_scores_bs1"] = numbers(scores)
    prompts, answers = GROUPS["basic_k5"]
    short = blender.rank(prompts, answers, return_scores=True, batch_size=1, **SHORT_LIMITS)
    best = blender.get_best_of_n(prompts, answers, pairrm_cmp_type="full", batch_size=1)
    basic = {"inputs": prompts, "candidates": answers}
    said.append({"name": "basic_k5_short_limits", "rank_scores_bs1": numbers(short)} | SHORT_LIMITS | basic)
    said.append({"name": "basic_k5_best_of_n_full", "best_full": [str(one) for one in best]} | basic)
    return said


def hub_layout(blender: Any) -> list[Group]:
    """Conversations, and the package's class for the demo judge's own layout."""
    network = DebertaV2PairRM.from_pretrained(str(DEMO_JUDGE), dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(DEMO_JUDGE))

    def logits(encoded: Any) -> Any:
        with torch.no_grad():
            return numbers(network(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"]).logits)

    a, b = CONVERSATIONS
    talks: Group = {"name": "conversations", "conv_a": a, "conv_b": b}
    for mode in (MODES[0], MODES[2]):
        talks[f"logits {mode}"] = numbers(blender.compare_conversations(a, b, batch_size=1, return_logits=True, mode=mode))
    talks["hf_logits [A,B]"] = logits(tokenize_conv_pair(tokenizer, a, b))
    prompts, answers = (texts[:3] for texts in GROUPS["k2"])
    first, second = [c[0] for c in answers], [c[1] for c in answers]
    native = logits(tokenize_pair(tokenizer, prompts, first, second))
    return [talks, {"name": "k2_hf_native", "inputs": prompts, "A": first, "B": second, "hf_logits_AB": native}]


def forged(blender: Any) -> dict[str, Group]:
    """What it does with a text that holds one of its tags."""
    said: dict[str, Group] = {}
    for name, (prompt, answers) in FORGED_TAGS.items():
        try:
            blender.rank([prompt], [answers], return_scores=True, batch_size=1)
        except RuntimeError:
            said[name] = {"source": prompt, "candidates": answers, "error": "RuntimeError"}
    return said


def golden(folder: Path) -> dict[str, Any]:
    """The golden set; `folder` is empty, for the checkpoint in llm-blender's layout."""
    torch.set_num_threads(1)
    blender = llm_blender.Blender(blender_config=llm_blender.BlenderConfig(device="cpu", use_tqdm=False))
    judge = write_blender_layout(folder)
    blender.loadranker(str(judge), device="cpu", model_name=str(judge.parent / "backbone"), fp16=False)
    groups = [group(blender, name, texts) for name, texts in GROUPS.items()]
    return {
        "env": {name: importlib.metadata.version(name) for name in PACKAGES},
        "groups": groups + variations(blender) + hub_layout(blender),
        "special_token_injection": forged(blender),
    }


def main() -> None:
    """Write the file anew."""
    with tempfile.TemporaryDirectory() as folder:
        said = golden(Path(folder))
    lines = json.dumps(said, ensure_ascii=False, separators=(",", ":")).replace('{"name"', '\n{"name"')
    (Path(__file__).parent / "pairrm.json").write_text(lines + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
