"""On which file system a folder lies, and whether SQLite may keep a database there."""

import re
from pathlib import Path
from typing import Final

from sparring_shared.errors import InvalidInput

_MOUNTS: Final = Path("/proc/self/mountinfo")
_NETWORK: Final = re.compile(
    r"nfs[34]?|cifs|smb[23]?|smbfs|ncpfs|afs|ceph|lustre|gfs2?|ocfs2|gpfs|beegfs|orangefs|pvfs2|glusterfs|wekafs|coda"
    r"|fuse\.(sshfs|glusterfs|ceph|cephfs|s3fs|goofys|gcsfuse|rclone|juicefs|moosefs|mfs|lizardfs|seaweedfs|davfs2?|beegfs|quobyte)"
)
"""What several machines share. What a host shares with its own guests (9p, virtiofs) is not, as a rule: one kernel uses it."""


def file_system(folder: Path, mounts: str) -> str | None:
    """The type of the file system that a folder without links in it lies on, e.g. `ext4`; None where the table does not say.

    `mounts` is the text of Linux' `/proc/self/mountinfo`; of several mounts at one place the last counts.
    """
    found: tuple[int, str] | None = None
    for line in mounts.splitlines():
        before, separator, after = line.partition(" - ")
        if not separator:
            continue
        place = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), before.split()[4]))
        if folder.is_relative_to(place) and (found is None or len(place.parts) >= found[0]):
            found = len(place.parts), after.split()[0]
    return None if found is None else found[1]


def check_local(file: Path, mounts: Path = _MOUNTS) -> None:
    """Raises InvalidInput for an SQLite file in a network file system: its log is only safe in the memory of one machine.

    Where there is no table of mounts, as on macOS, everything is allowed.
    """
    folder = file.absolute().parent.resolve()
    kind = file_system(folder, mounts.read_text(encoding="utf-8", errors="surrogateescape")) if mounts.is_file() else None
    if kind is not None and _NETWORK.fullmatch(kind):
        raise InvalidInput(
            f"SQLite cannot keep {file} safely, since {folder} is on a network file system ({kind}); set SPARRING_DATABASE_URL "
            "to a Postgres, or to an SQLite file on a local disk."
        )
