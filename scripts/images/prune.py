"""Takes out of a Python environment what nothing runs: `prune.py SITE_PACKAGES`; prints how much that was.

Tests, headers, sources of extension modules, and the parts of pyarrow that Parquet files do not need. What is
imported is told by the image's own tests, not by this list.
"""

import shutil
import sys
from pathlib import Path

UNUSED = (
    "numpy/**/tests",
    "numpy/_core/*_tests*.so",
    "numpy/_core/_simd*.so",
    "numpy/_core/include",
    "numpy/_core/lib/*.a",
    "pandas/tests",
    "pyarrow/**/*.pxi",
    "pyarrow/**/*.pyx",
    "pyarrow/include",
    "pyarrow/libarrow_flight*",
    "pyarrow/libarrow_python*.so",  # a second and third copy of libarrow_python.so.N, which links are made against
    "pyarrow/libarrow_python*.so.*.*",
    "pyarrow/libarrow_s3*",
    "pyarrow/_flight*.so",
    "pyarrow/_s3fs*.so",
    "pyarrow/src",
    "pyarrow/tests",
    "scipy/**/tests",
    "sklearn/**/tests",
    "sqlalchemy/dialects/m[sy]*",
    "sqlalchemy/dialects/oracle",
    "sqlalchemy/testing",
    "sympy/**/tests",
    "torch/bin/*test*",
    "torch/include",
    "torch/lib/*.a",
    "torch/share",
    "torch/test",
)


def size(path: Path) -> int:
    """Bytes of a file, or of all files under a folder."""
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.lstat().st_size for file in files if not file.is_dir())


def prune(site: Path) -> int:
    """Remove everything UNUSED under `site`; returns how many bytes that were."""
    removed = 0
    for pattern in UNUSED:
        for path in sorted(site.glob(pattern)):
            removed += size(path)
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    return removed


if __name__ == "__main__":
    print(f"pruned {prune(Path(sys.argv[1])) / 1e6:.0f} MB")
