"""Prompts in the run's folder: written when the run is made, read from there ever after, whatever becomes of the sources."""

import logging

from sparring_controller.rounds.draws import round_prompts
from sparring_controller.rounds.prompts.run_prompts import RunPrompts, read_prompts
from sparring_controller.store.records import FileRef, PinnedPrompts, RunRow
from sparring_shared.artifacts import read_records, write_json, write_records
from sparring_shared.errors import InvalidInput
from sparring_shared.hashes import file_sha256
from sparring_shared.paths import RunPaths
from sparring_shared.records import Prompt

log = logging.getLogger(__name__)


def pin_prompts(places: RunPaths, found: RunPrompts) -> PinnedPrompts:
    """Write the prompts of a new run, and in `prompts/sources.json` what became of the rows of its sources."""
    for report in found.reports:
        log.info("prompts of run %s: %s", places.root.name, report.model_dump_json())
    write_json(places.prompts("sources.json"), [report.model_dump(mode="json") for report in found.reports])
    training = [_write(places, f"{i:05d}.parquet", prompts) for i, prompts in enumerate(found.training)]
    return PinnedPrompts(training=tuple(training), heldout=_write(places, "heldout.parquet", found.heldout))


def played_prompts(run: RunRow, places: RunPaths, number: int) -> list[Prompt]:
    """The prompts that round `number` plays. Raises InvalidInput when their file is not as it was written."""
    alone = run.config.prompts.rounds is None
    pool, turn = (0, number) if alone else (number - 1, 1)
    if run.prompts is None:
        training = read_prompts(run.config.prompts).training[pool]
    else:
        training = _read(places, run.prompts.training[pool])
    return round_prompts(training, run.config.seed, turn, run.config.prompts.per_round)


def heldout_prompts(run: RunRow, places: RunPaths) -> list[Prompt]:
    """The prompts to evaluate on. Raises InvalidInput when their file is not as it was written."""
    if run.prompts is None:
        return read_prompts(run.config.prompts).heldout
    return _read(places, run.prompts.heldout)


def _write(places: RunPaths, name: str, prompts: list[Prompt]) -> FileRef:
    path = places.prompts(name)
    rows = write_records(path, Prompt, prompts)
    return FileRef(path=str(path.relative_to(places.root)), sha256=file_sha256(path), rows=rows)


def _read(places: RunPaths, file: FileRef) -> list[Prompt]:
    path = places.root / file.path
    if not path.is_file() or file_sha256(path) != file.sha256:
        raise InvalidInput(
            f"{path} is not as it was when the run was made; put the file back and resume the run, or make a new run."
        )
    return read_records(path, Prompt)
