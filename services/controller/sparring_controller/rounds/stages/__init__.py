"""What each stage does: a function from `Work` to `Done` or, for work that goes on elsewhere, `Later`."""

from collections.abc import Callable

from sparring_controller.rounds.stages.evaluate import evaluate
from sparring_controller.rounds.stages.generate import generate
from sparring_controller.rounds.stages.judge import judge
from sparring_controller.rounds.stages.prompts import prompts
from sparring_controller.rounds.stages.select import select
from sparring_controller.rounds.stages.train import train
from sparring_controller.rounds.stages.work import Done, GotFurther, Later, Work
from sparring_shared.wire.controller import StageName

STAGES: dict[StageName, Callable[[Work], Done | Later]] = {
    "prompts": prompts,
    "generate": generate,
    "judge": judge,
    "select": select,
    "train": train,
    "evaluate": evaluate,
}

__all__ = ["STAGES", "Done", "GotFurther", "Later", "Work"]
