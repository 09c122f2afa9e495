"""What a request must fulfil before a job is started for it."""

from pathlib import Path

from pydantic import ValidationError

from sparring_shared.algorithms import history_versions, reference_version
from sparring_shared.artifacts import read_manifest, read_records, verified_digest
from sparring_shared.errors import InvalidInput
from sparring_shared.paths import within
from sparring_shared.records import Pair
from sparring_shared.settings import FolderSettings
from sparring_shared.wire.trainer import CheckpointRef, JobRequest
from sparring_trainer.job.folder import PROVENANCE, Provenance


def check_paths(request: JobRequest, folders: FolderSettings) -> None:
    """Raises InvalidInput for a path outside the folders that the service may use, or one with no checkpoint in it."""
    for path in (*request.pairs, request.output):
        within(path, [folders.runs_dir])
    for checkpoint in (request.policy, request.reference, *request.history):
        if checkpoint is not None:
            folder = within(checkpoint.path, folders.checkpoint_roots)
            if not (folder / "config.json").is_file():
                raise InvalidInput(f"{checkpoint.path} holds no model; give the folder of a Hugging Face checkpoint.")


def check_data(request: JobRequest) -> None:
    """Raises InvalidInput for a missing reference, and for pairs that are missing, unreadable or not of this policy."""
    name, needed = request.algorithm.name.upper(), len(history_versions(request.algorithm, 1))
    if reference_version(request.algorithm, 1) is not None and request.reference is None:
        raise InvalidInput(f"{name} needs a reference: set `reference` to the base model.")
    if len(request.history) != needed:
        raise InvalidInput(f"{name} needs {needed} policies in `history`, one per weight, but it has {len(request.history)}.")
    pairs = [(path, pair) for path, sha256 in request.pair_files for pair in read_records(path, Pair, sha256)]
    if not pairs:
        raise InvalidInput(f"There are no pairs in {', '.join(request.pairs)}; nothing can be learnt from them.")
    for path, pair in pairs:
        if pair.policy.digest != request.policy.digest:
            raise InvalidInput(
                f"{path} holds answers of the policy {pair.policy.digest}, but {request.policy.digest} is to be trained; "
                "train the policy that gave the answers."
            )


def published(job_id: str, request: JobRequest) -> tuple[CheckpointRef, dict[str, float]] | None:
    """The checkpoint and metrics that an earlier attempt of this very job left at `output`; None if nothing is there.

    Raises InvalidInput if something else is there.
    """
    output = Path(request.output)
    if not output.exists():
        return None
    try:
        made_by = Provenance.model_validate_json((output / PROVENANCE).read_bytes())
    except (OSError, ValidationError):
        made_by = None
    ours = made_by is not None and made_by.job_id == job_id and made_by.request.asks_for(request)
    if made_by is None or not ours or read_manifest(output) is None:
        raise InvalidInput(f"{request.output} already holds something else; remove it or choose another output.")
    return CheckpointRef(version=request.version, digest=verified_digest(output), path=request.output), made_by.metrics
