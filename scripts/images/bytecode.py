"""Compiles all Python files of the given folders for good: `bytecode.py FOLDER ...`; read-only images cannot do it later.

Files that this Python cannot parse (tests of newer versions) are left as they are.
"""

import compileall
import py_compile
import sys

for folder in sys.argv[1:]:
    compileall.compile_dir(folder, quiet=2, workers=0, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
