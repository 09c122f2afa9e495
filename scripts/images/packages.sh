# Installs pins into the environment and takes out what nothing runs: `packages.sh PINS`.
set -eu
uv pip install --quiet --no-deps -r "$1"
python3 /build/prune.py /opt/venv/lib/python3*/site-packages
