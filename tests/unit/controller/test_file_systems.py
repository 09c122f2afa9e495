from pathlib import Path

import pytest

from sparring_controller.store import database
from sparring_controller.store.database import Database
from sparring_controller.store.file_systems import check_local, file_system
from sparring_shared.errors import InvalidInput

MOUNTS = r"""
22 1 0:20 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:41 / /home rw,relatime shared:5 master:2 - nfs4 10.0.0.1:/home rw,vers=4.2
31 30 0:42 / /home/me/scratch rw - xfs /dev/sdb1 rw
32 22 0:43 / /mnt/shared\040disk rw - fuse.sshfs me@far:/ rw
33 22 0:44 / /data rw - ext4 /dev/sdc1 rw
34 22 0:45 / /data rw - cifs //far/data rw
35 22 0:46 / /lustre rw - lustre 10.0.0.2@tcp:/fs rw
36 22 0:47 / /host rw - 9p share rw
nonsense
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", "ext4"),
        ("/srv/runs", "ext4"),
        ("/home/me/runs", "nfs4"),
        ("/homes", "ext4"),
        ("/home/me/scratch/runs", "xfs"),
        ("/mnt/shared disk/runs", "fuse.sshfs"),
        ("/data", "cifs"),
    ],
)
def test_the_innermost_and_latest_mount_of_a_folder_counts(folder: str, kind: str) -> None:
    assert file_system(Path(folder), MOUNTS) == kind


def test_a_table_without_the_folder_says_nothing() -> None:
    assert file_system(Path("/runs"), "") is None


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("/home/me/sparring.db", "nfs4"),
        ("/mnt/shared disk/sparring.db", "fuse.sshfs"),
        ("/data/sparring.db", "cifs"),
        ("/lustre/a/b/sparring.db", "lustre"),
    ],
)
def test_sqlite_is_refused_on_a_network_file_system(tmp_path: Path, file: str, kind: str) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS)
    with pytest.raises(InvalidInput) as raised:
        check_local(Path(file), tmp_path / "mountinfo")
    assert raised.value.message == (
        f"SQLite cannot keep {file} safely, since {Path(file).parent} is on a network file system ({kind}); set "
        "SPARRING_DATABASE_URL to a Postgres, or to an SQLite file on a local disk."
    )


@pytest.mark.parametrize("file", ["/srv/sparring.db", "/home/me/scratch/sparring.db", "/host/sparring.db"])
def test_sqlite_is_allowed_on_file_systems_of_one_machine(tmp_path: Path, file: str) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS)
    check_local(Path(file), tmp_path / "mountinfo")
    check_local(Path(file), tmp_path / "no-such-table")


def test_a_link_to_a_network_file_system_is_followed_and_nothing_is_made_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = tmp_path / "far"
    far.mkdir()
    (tmp_path / "runs").symlink_to(far)
    table = tmp_path / "mountinfo"
    table.write_text(f"1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / {far} rw - nfs x rw\n")
    monkeypatch.setattr(database, "check_local", lambda file: check_local(file, table))
    with pytest.raises(InvalidInput, match="network file system"):
        Database(f"sqlite:///{tmp_path / 'runs' / 'new' / 'sparring.db'}")
    assert list(far.iterdir()) == []
