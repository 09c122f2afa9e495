"""The engine llm-blender where its package is not installed; tests/parity holds its numbers, in its own environment."""

from importlib.util import find_spec

import pytest
from skips import Skip, because

from sparring_judge.engines.by_name import load_engine
from sparring_judge.settings import JudgeSettings
from sparring_shared.errors import Unavailable


@pytest.mark.skipif(find_spec("llm_blender") is not None, reason=because(Skip.OTHER_STAGE, "make judge-parity"))
def test_without_the_package_one_sentence_says_which_environment_it_needs() -> None:
    with pytest.raises(Unavailable) as refused:
        load_engine(JudgeSettings(engine="llm-blender", model="llm-blender/PairRM"))
    assert refused.value.message == (
        "The engine llm-blender needs an environment of its own, with llm-blender 0.0.2 and transformers 4.57.6; make it with "
        "python scripts/setup.py --llm-blender and start the judge with .venv-llm-blender/bin/python."
    )
