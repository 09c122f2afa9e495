"""Which files of a data set on the hub hold a split: those that its card names, else those that are named after the split."""

import re
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ValidationError

from sparring_controller.rounds.hub import card, fetched
from sparring_shared.errors import InvalidInput
from sparring_shared.prompt_sources import NamedSource

_ENDINGS = (".parquet", ".jsonl", ".jsonl.gz")
_DATASET_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_CONVERTED = ", or set {} to refs/convert/parquet, where the hub keeps Parquet files of public data sets."
_USUAL_SPLITS = ("train", "training", "validation", "valid", "dev", "test", "testing", "eval", "evaluation")


class DatasetFiles(NamedTuple):
    """The files of a split, in the order of their names, at one commit of the data set."""

    revision: str
    paths: list[Path]


class _Files(BaseModel):
    split: str = "train"
    path: str | list[str]


class _Subset(BaseModel):
    config_name: str = "default"
    default: bool = False
    data_dir: str | None = None
    data_files: str | list[str | _Files] | None = None


class _Card(BaseModel):
    configs: list[_Subset] = []


def is_dataset_id(source: str) -> bool:
    """Whether it can be the id of a data set, e.g. `openbmb/UltraFeedback`."""
    return _DATASET_ID.fullmatch(source) is not None


def dataset_files(named: NamedSource) -> DatasetFiles:
    """The Parquet and JSON-lines files of a split, fetched. Raises InvalidInput if they cannot be had or there are none."""
    subset = _subset(named, _card(named))
    found = _by_name(named, subset.data_dir) if subset.data_files is None else _matching(named, _patterns(named, subset))
    if found is None:
        raise InvalidInput(
            f"{named.source.source} has no Parquet or JSON-lines file of the split {named.source.split}; correct "
            f"{named.key('split')}{_CONVERTED.format(named.key('revision'))}"
        )
    return found


def _card(named: NamedSource) -> _Card:
    folder = _fetched(named, ["README.md"])
    try:
        return _Card.model_validate(card(folder))
    except (InvalidInput, ValidationError):
        raise InvalidInput(
            f"The README.md of the Hugging Face dataset {named.source.source} cannot be read; correct "
            f"{named.key('source')}{_CONVERTED.format(named.key('revision'))}"
        ) from None


def _subset(named: NamedSource, found: _Card) -> _Subset:
    """The subset that is asked for; a data set without a list of them has a folder for each."""
    source = named.source
    if not found.configs:
        return _Subset(data_dir=source.subset)
    names = {subset.config_name: subset for subset in found.configs}
    usual = [subset for subset in found.configs if subset.default or len(names) == 1 or subset.config_name == "default"]
    chosen = names.get(source.subset) if source.subset is not None else next(iter(usual), None)
    if chosen is None:
        raise InvalidInput(
            f"{source.source} has no subset {source.subset or 'by default'}; set {named.key('subset')} to one of "
            f"{', '.join(names)}."
        )
    return chosen


def _patterns(named: NamedSource, subset: _Subset) -> list[str]:
    """Patterns of the split's files, as the card has them."""
    listed = [subset.data_files] if isinstance(subset.data_files, str) else subset.data_files or []
    splits: dict[str, list[str]] = {}
    for entry in (_Files(path=each) if isinstance(each, str) else each for each in listed):
        splits.setdefault(entry.split, []).extend([entry.path] if isinstance(entry.path, str) else entry.path)
    source = named.source
    if source.split not in splits:
        raise InvalidInput(
            f"{source.source} has no split {source.split}; set {named.key('split')} to one of {', '.join(splits) or '(none)'}."
        )
    within = f"{subset.data_dir}/" if subset.data_dir else ""
    return [within + pattern.replace("**/", "*").removeprefix("./") for pattern in splits[source.split]]


def _by_name(named: NamedSource, folder: str | None) -> DatasetFiles | None:
    """Files with the split's name in theirs or in their folder's; all files, for `train`, if none is named after a split."""
    within, split = f"{folder}/" if folder else "", named.source.split
    found = _matching(named, [f"{within}*{split}*{ending}" for ending in _ENDINGS], lambda path: _names(path, (split,)))
    if found is None and split == "train":
        return _matching(named, [f"{within}*{ending}" for ending in _ENDINGS], lambda path: not _names(path, _USUAL_SPLITS))
    return found


def _names(path: str, splits: tuple[str, ...]) -> bool:
    """Whether a path has one of the names as a word: `data/train-00000-of-00001.parquet` has `train`."""
    return re.search(rf"(^|[^A-Za-z])({'|'.join(map(re.escape, splits))})([^A-Za-z]|$)", path) is not None


def _matching(
    named: NamedSource, patterns: list[str], wanted: Callable[[str], bool] = lambda path: True
) -> DatasetFiles | None:
    folder = _fetched(named, patterns)
    paths = [
        path
        for path in sorted(folder.rglob("*"))
        if path.name.endswith(_ENDINGS)
        and any(fnmatch(path.relative_to(folder).as_posix(), pattern) for pattern in patterns)
        and wanted(path.relative_to(folder).as_posix())
    ]
    return DatasetFiles(folder.name, paths) if paths else None


def _fetched(named: NamedSource, patterns: list[str]) -> Path:
    source = named.source
    try:
        return fetched(source.source, "dataset", source.revision, patterns)
    except InvalidInput as error:
        raise InvalidInput(
            f"The Hugging Face dataset {source.source} cannot be had: {error.message}; check {named.key('source')}, "
            f"{named.key('revision')} and the network."
        ) from None
