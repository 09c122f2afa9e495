"""Where things lie: the run directory, and the check that a path from a request stays inside what was allowed."""

from pathlib import Path

from sparring_shared.errors import InvalidInput


def within(path: str, roots: list[Path]) -> Path:
    """`path` resolved, if it lies under one of the allowed roots; else InvalidInput.

    Symbolic links are followed first, so a link cannot lead outside.
    """
    resolved = Path(path).resolve()
    if any(resolved.is_relative_to(root.resolve()) for root in roots):
        return resolved
    allowed = ", ".join(str(root) for root in roots)
    raise InvalidInput(f"{path} lies outside the folders that this service may use ({allowed}).")


class RunPaths:
    """Names of the files of one run, e.g. `RunPaths(Path("runs"), "demo").shard(2, "pairs", 0)`."""

    def __init__(self, runs_dir: Path, run_id: str) -> None:
        self.root = runs_dir / run_id

    @property
    def config(self) -> Path:
        """The run config as it was posted."""
        return self.root / "config.toml"

    @property
    def judges(self) -> Path:
        """The judges that the run is pinned to (`RunJudges`)."""
        return self.root / "judges.json"

    def prompts(self, name: str) -> Path:
        """A file of the prompts that were read when the run was made, e.g. `heldout.parquet`."""
        return self.root / "prompts" / name

    def round(self, number: int) -> Path:
        """Folder of one round; round 0 holds only the evaluation of the base."""
        return self.root / "rounds" / str(number)

    def shard(self, round_number: int, kind: str, shard: int) -> Path:
        """Parquet shard of `prompts`, `candidates`, `preferences` or `pairs`."""
        return self.round(round_number) / kind / f"{shard:05d}.parquet"

    def training(self, round_number: int) -> Path:
        """Folder of the training job's summary."""
        return self.round(round_number) / "training"

    def evaluation(self, round_number: int) -> Path:
        """Folder of held-out answers and their comparison."""
        return self.round(round_number) / "evaluation"

    def kept(self, stage: str) -> Path:
        """Folder of what an unfinished stage, named by its key, has got so far."""
        return self.root / "kept" / stage

    @property
    def staged(self) -> Path:
        """Folder of what is written and not yet committed, a folder for each claim of a stage: `KEY.TOKEN`."""
        return self.root / "staged"

    def checkpoint(self, version: int) -> Path:
        """Folder of a trained policy; version 0, the base, lies where the run config says."""
        return self.root / "checkpoints" / str(version)
