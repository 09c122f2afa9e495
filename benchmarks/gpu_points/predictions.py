"""What was predicted of a GPU before any line ran on one, with the source: the project's reference notes."""

from .records import Prediction

_MEMORY = "reference/gpu.md, memory of full fine-tuning"
_FAULTS = "reference/gpu.md, faults expected"
_JUDGE = "reference/pairrm.md, GPU estimate"
_ROUNDING = "reference/gpu.md, what rounding takes"

PREDICTIONS = (
    Prediction(
        "attention",
        "trainer/cuDNN/extra_ms",
        "cuDNN's plan costs at least 23 ms at each new shape, forward and backward",
        f"{_FAULTS}, 6",
        low=23,
    ),
    Prediction(
        "attention",
        "trainer/without cuDNN/extra_ms",
        "without cuDNN a new shape costs next to nothing",
        f"{_FAULTS}, 6",
        high=2,
    ),
    Prediction("judge", "fp16/2048/peak_gib", "about 7 GB at 2,048 tokens", f"{_FAULTS}, 11", low=5, high=8),
    Prediction(
        "judge",
        "fp16/512/share_of_matrix_rate",
        "40% of the matrix rate at some 550 tokens",
        _JUDGE,
        low=0.3,
        high=0.5,
    ),
    Prediction(
        "judge",
        "fp16/1024/share_of_matrix_rate",
        "the bias is the bound: 10 minutes by FLOPs are 45 to 80 by traffic, at most 22% of the matrix rate",
        f"{_FAULTS}, 10",
        high=10 / 45,
    ),
    Prediction(
        "judge",
        "bf16_error_over_fp16",
        "bf16 is about ten times less exact than fp16",
        f"{_FAULTS}, 12",
        low=5,
        high=20,
    ),
    Prediction(
        "memory",
        "7B rmsprop/stages/weights/allocated_gib",
        "7B: one fp32 copy of the weights is 27.0 GiB",
        _MEMORY,
        low=26.7,
        high=27.4,
    ),
    Prediction(
        "memory",
        "7B rmsprop/stages/step 1/allocated_gib",
        "7B: fp32 weights, gradients and RMSprop's state are 80.9 GiB (the gradients may be gone once a step is over)",
        _MEMORY,
        low=53.5,
        high=82,
    ),
    Prediction(
        "memory",
        "7B rmsprop/stages/step 1/peak_gib",
        "7B: with the foreach temporary of the optimizer's step 107.9 GiB, without it 80.9",
        _MEMORY,
        low=80.5,
        high=110,
    ),
    Prediction(
        "memory",
        "8B rmsprop/stages/step 1/peak_gib",
        "8B: with the foreach temporary 119.7 GiB, without it 89.7",
        _MEMORY,
        low=89.3,
        high=122,
    ),
    Prediction(
        "memory",
        "7B adamw/stages/step 1/peak_gib",
        "7B with AdamW: 134.9 GiB with the foreach temporary, 107.9 without it",
        _MEMORY,
        low=107.5,
        high=137,
    ),
    Prediction(
        "memory",
        "7B rmsprop of 80 GiB/steps_done",
        "no 7B model trains on a card of 80 GB: no step is done",
        _MEMORY,
        high=0,
    ),
    Prediction(
        "logprobs",
        "bf16, head in bf16/rms",
        "RMS 0.039 with a bf16 head (published, trainer against sampler)",
        f"{_FAULTS}, 3",
        low=0.02,
        high=0.08,
    ),
    Prediction(
        "logprobs",
        "bf16, head in fp32/rms",
        "RMS 0.022 with an fp32 head (published, trainer against sampler)",
        f"{_FAULTS}, 3",
        low=0.011,
        high=0.044,
    ),
    Prediction(
        "logprobs",
        "bf16, head in bf16/maximum",
        "a tolerance of 0.1 on the maximum fails by chance",
        f"{_FAULTS}, 3",
        low=0.1,
    ),
    Prediction(
        "logprobs",
        "bf16, head in bf16/largest_mean_of_a_text",
        "a tolerance of 0.05 on the mean of a text holds",
        f"{_FAULTS}, 3",
        high=0.05,
    ),
    Prediction(
        "rounding",
        "nearest/share_of_margin",
        "nearest rounding keeps a fifth of the margin or less",
        _ROUNDING,
        high=0.21,
    ),
    Prediction("rounding", "stochastic/share_of_margin", "stochastic rounding keeps all of it", _ROUNDING, low=0.9, high=1.1),
)
"""A prediction of a point that did not come so far is neither held nor missed."""
