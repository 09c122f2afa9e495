"""What makes images small takes out only what it names, and what goes into a bare root is found, not listed."""

import ast
import sys
from importlib import import_module
from importlib.metadata import distributions, packages_distributions, version
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The image scripts import nothing of ours; each is a file by itself."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "scripts" / "images"))


def test_pruning_takes_out_what_nothing_runs(tmp_path: Path) -> None:
    kept = ("numpy/f2py/__init__.py", "numpy/linalg/__init__.py", "pyarrow/libarrow.so.2600", "pyarrow/libarrow_python.so.2600")
    gone = (
        "numpy/linalg/tests/test_a.py",
        "pyarrow/libarrow_python.so",
        "pyarrow/libarrow_flight.so.2600",
        "pyarrow/include/a.h",
    )
    for name in (*kept, *gone):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"12345")
    assert import_module("prune").prune(tmp_path) == 5 * len(gone)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()) == sorted(kept)


def test_only_what_is_not_installed_is_missing() -> None:
    lock = f"# a comment\nno-such-package==1.0 ; python_version > '3'\npytest=={version('pytest')}\nnumpy==0.0.1\n"
    assert import_module("missing").missing(lock) == ["no-such-package==1.0 ; python_version > '3'"]


def test_the_libraries_of_a_binary_are_what_the_loader_brings() -> None:
    found = {path.name for path in import_module("bare_root").libraries(Path(sys.executable).resolve())}
    assert "libc.so.6" in found
    assert any(name.startswith("ld-linux") for name in found)


def test_the_standard_library_is_whole_but_for_what_is_never_run() -> None:
    files = import_module("bare_root").standard_library()
    names = {file.name for file in files}
    assert names >= {"os.py", "ssl.py"}
    assert not [file for file in files if {"site-packages", "idlelib", "ensurepip"} & set(file.parts)]


def test_a_file_is_copied_to_where_it_really_lies(tmp_path: Path) -> None:
    real = tmp_path / "usr" / "lib"
    real.mkdir(parents=True)
    (real / "a.so").write_text("code")
    (tmp_path / "lib").symlink_to("usr/lib")
    import_module("bare_root").copy(tmp_path / "lib" / "a.so", tmp_path / "root")
    assert (tmp_path / "root" / real.relative_to("/") / "a.so").read_text() == "code"


def test_entry_points_are_found_in_the_folder_that_they_were_written_to(tmp_path: Path) -> None:
    project = {"name": "sparring", "version": "0.1.0", "entry-points": {"sparring.checkers": {"mine": "mine.checker:check"}}}
    import_module("entry_points").write_entry_points(project, tmp_path)
    (found,) = distributions(path=[str(tmp_path)])
    assert (found.name, found.version) == ("sparring", "0.1.0")
    assert [(point.group, point.name, point.value) for point in found.entry_points] == [
        ("sparring.checkers", "mine", "mine.checker:check")
    ]


def test_what_a_controller_or_a_worker_imports_is_in_its_image() -> None:
    package = ROOT / "services" / "controller" / "sparring_controller"
    not_in_the_image = {"cli.py", "demo", "local", "terminal"}
    files = [path for path in package.rglob("*.py") if path.relative_to(package).parts[0] not in not_in_the_image]
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    names = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    names |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    lock = (ROOT / "requirements" / "images" / "controller.txt").read_text(encoding="utf-8")
    pinned = {canonicalize_name(line.partition("==")[0]) for line in lock.splitlines() if "==" in line}
    brought_by = packages_distributions()
    roots = {name.partition(".")[0] for name in names} - {"sparring_controller", "sparring_shared"} - sys.stdlib_module_names
    assert [root for root in sorted(roots) if not pinned & set(map(canonicalize_name, brought_by.get(root, ())))] == []
