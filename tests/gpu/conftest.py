"""Tests that ask for `device` run twice: on the CPU, so that they cannot rot, and on an NVIDIA GPU where there is one."""

import pytest
import torch
from skips import Skip

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason=Skip.NO_GPU)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=NO_GPU)])
def device(request: pytest.FixtureRequest) -> str:
    """Where the test computes."""
    return request.param
