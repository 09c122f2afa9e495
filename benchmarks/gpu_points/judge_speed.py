"""Point 4: the judge at its real size with random weights: speed, memory, and what 16 bits change."""

import gc
import statistics
from collections.abc import Sequence
from itertools import chain

import torch
from judge_sides.floor import pass_flops

from sparring_judge.engines.pairrm.encoder import PairRmNetwork
from sparring_judge.engines.pairrm.passes import Pass

from .device import matrix_rate, peak_gib, reset_peak, seconds_of
from .random_judge import VOCABULARY, encoder_config, random_judge, random_passes, random_weights
from .records import Findings, Notebook, Setting

REAL, TINY = (24, 1024, 16), (2, 32, 2)
LENGTHS, TINY_LENGTHS = (256, 512, 1024, 2048), (16, 48)
FORMATS = {"fp16": torch.float16, "bf16": torch.bfloat16}
COMPARED = 8
"""Passes of each length whose logits are compared with those of fp32."""


def judge(setting: Setting, notebook: Notebook) -> None:
    """Both formats at all lengths, each in batches as large as the judge makes them."""
    layers, hidden, heads = TINY if setting.tiny else REAL
    vocabulary = 100 if setting.tiny else VOCABULARY
    lengths = TINY_LENGTHS if setting.tiny else LENGTHS
    config = encoder_config(layers, hidden, heads)
    # In host memory: on the card they would count as the judge's, which holds none in fp32.
    weights = {name: weight.cpu() for name, weight in random_weights(config, vocabulary, setting.device).items()}
    compared = {length: random_passes([length] * COMPARED, vocabulary) for length in lengths}
    exact = random_judge(config, weights, setting.device, torch.float32)
    wanted = {length: exact.logits(passes) for length, passes in compared.items()}
    notebook.add(logits_spread=statistics.stdev(chain(*wanted.values())))
    del exact
    gc.collect()  # a network refers to itself, so that it would stay on the card
    for name, dtype in FORMATS.items():
        rate = matrix_rate(setting.device, dtype, tiny=setting.tiny)
        network = random_judge(config, weights, setting.device, dtype)
        found: Findings = {"matrix_tflops": round(rate / 1e12, 3)}
        for length, passes in compared.items():
            tokens = 256 if setting.tiny else network.batch_tokens
            batch = random_passes([length] * max(1, tokens // length), vocabulary, seed=2)
            of_length = speed(network, batch, setting.device) | error(network.logits(passes), wanted[length])
            flops = len(batch) * pass_flops(length, layers, hidden)
            of_length["share_of_matrix_rate"] = round(flops / of_length["seconds"] / rate, 3)
            found[str(length)] = of_length
            notebook.add(**{name: found})
        del network
        gc.collect()
    ratio = [notebook.findings["bf16"][str(length)]["largest_error"] / max(found, 1e-9) for length, found in _errors(notebook)]
    notebook.add(bf16_error_over_fp16=round(statistics.median(ratio), 2))


def speed(network: PairRmNetwork, batch: Sequence[Pass], device: str) -> Findings:
    """The median of five rounds over one full batch, after one that does not count, and the most memory in use then."""
    network.logits(batch)
    reset_peak(device)
    seconds = statistics.median(seconds_of(device, lambda: network.logits(batch)) for _ in range(5))
    tokens = sum(len(one.ids) for one in batch)
    return {
        "passes": len(batch),
        "seconds": seconds,
        "tokens_per_second": round(tokens / seconds),
        "peak_gib": peak_gib(device),
    }


def error(found: Sequence[float], wanted: Sequence[float]) -> Findings:
    """Largest and root mean square difference of the logits; `finite` says whether all of them are numbers."""
    difference = torch.tensor(found, dtype=torch.float64) - torch.tensor(wanted, dtype=torch.float64)
    return {
        "largest_error": difference.abs().max().item(),
        "rms_error": difference.square().mean().sqrt().item(),
        "finite": bool(difference.isfinite().all()),
    }


def _errors(notebook: Notebook) -> list[tuple[str, float]]:
    of_fp16 = notebook.findings["fp16"]
    return [(key, of_length["largest_error"]) for key, of_length in of_fp16.items() if isinstance(of_length, dict)]
