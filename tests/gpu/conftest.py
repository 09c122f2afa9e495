"""Each test here runs twice: on the CPU, so that it cannot rot, and on an NVIDIA GPU where there is one."""

import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
sys.path[:0] = [
    str(ROOT / place) for place in ("benchmarks", "tests/services/generator", "shared", "services/judge", "services/trainer")
]


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))])
def device(request: pytest.FixtureRequest) -> str:
    """Where the test computes."""
    return request.param
