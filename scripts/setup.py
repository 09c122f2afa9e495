"""Make `.venv` and install everything that `make demo` and `make test` need into it; does nothing when it is up to date.

With `--llm-blender` make `.venv-llm-blender` instead: the real llm-blender, which needs older libraries than we do.

Standard library only: it runs with the machine's own Python, before anything is installed. Uses `uv` where it is on PATH, else
pip; both install the same pinned versions (requirements/*.txt). On a machine without an NVIDIA GPU PyTorch comes as the CPU
build, so no CUDA packages: from the configured package sources where they offer it, else from PyTorch's own CPU index.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

TORCH = "2.13.0"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
ROOT = Path(__file__).resolve().parent.parent

# uv reads neither pip.conf nor PIP_* variables; the sources that pip is given must serve it too.
UV_FROM_PIP = {
    "UV_FIND_LINKS": "PIP_FIND_LINKS",
    "UV_DEFAULT_INDEX": "PIP_INDEX_URL",
    "UV_INDEX": "PIP_EXTRA_INDEX_URL",
    "SSL_CERT_FILE": "PIP_CERT",
}


class SetupError(Exception):
    """One sentence that says what is wrong and what to do."""


@dataclass(frozen=True)
class Target:
    """An environment and what determines it: `locks` by the kind of PyTorch; `torch`: whether that for CUDA holds PyTorch."""

    venv: Path
    locks: dict[str, Path]
    torch: bool

    @property
    def python(self) -> Path:
        """Its Python."""
        return self.venv / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """Holds the fingerprint of what was installed, once all of it is."""
        return self.venv / ".sparring-setup"


SPARRING = Target(ROOT / ".venv", {kind: ROOT / "requirements" / f"{kind}.txt" for kind in ("cpu", "cuda")}, torch=True)
LLM_BLENDER = Target(
    ROOT / ".venv-llm-blender", dict.fromkeys(("cpu", "cuda"), ROOT / "requirements" / "llm-blender.txt"), torch=False
)


def accelerator() -> str:
    """`cuda` where an NVIDIA GPU answers, else `cpu`; SPARRING_ACCELERATOR decides instead if set."""
    chosen = os.environ.get("SPARRING_ACCELERATOR")
    if chosen:
        if chosen not in ("cpu", "cuda"):
            raise SetupError(f"SPARRING_ACCELERATOR must be cpu or cuda, but it is {chosen}.")
        return chosen
    if shutil.which("nvidia-smi") is None:
        return "cpu"
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    return "cuda" if listed.returncode == 0 and "GPU 0" in listed.stdout else "cpu"


def fingerprint(target: Target, kind: str) -> str:
    """Changes whenever something that determines the environment changes."""
    digest = hashlib.sha256(f"{kind} {sys.version_info[:2]} {ROOT}".encode())
    for path in (ROOT / "pyproject.toml", target.locks[kind], Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def environment() -> dict[str, str]:
    """This process's environment, with pip's sources handed on to uv."""
    values = dict(os.environ)
    for uv_name, pip_name in UV_FROM_PIP.items():
        if pip_name in values:
            values.setdefault(uv_name, values[pip_name])
    return values


def installer(target: Target) -> list[str]:
    """The command that installs into the environment."""
    uv = shutil.which("uv")
    if uv is not None:
        return [uv, "pip", "install", "--quiet", "--python", str(target.python)]
    return [str(target.python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]


def last_words(output: str, lines: int = 15) -> str:
    """The end of what an installer printed, without pip's warnings of folders that lack a package."""
    return "\n".join(
        [line for line in output.splitlines() if line.strip() and not line.startswith("WARNING: Location ")][-lines:]
    )


def attempt(step: str, command: list[str], **changes: str) -> str:
    """Run a command as one line with its seconds; empty if it succeeded, else its last words."""
    print(f"setup: {step} ... ", end="", flush=True)
    began, ending = time.monotonic(), "interrupted"
    try:
        done = subprocess.run(
            command, env=environment() | changes, cwd=ROOT, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        ending = "failed" if done.returncode else f"{time.monotonic() - began:.0f} s"
    finally:
        print(ending, flush=True)
    if done.returncode == 0:
        return ""
    return last_words(done.stdout.decode(errors="replace")) or f"{Path(command[0]).name} said nothing, exit {done.returncode}"


def must(step: str, command: list[str]) -> None:
    """Run a command as a step; SetupError after its last words if it fails."""
    said = attempt(step, command)
    if said:
        print(said, file=sys.stderr)
        raise SetupError(f"The step '{step}' failed as said above; mend it and run the same command again.")


def make_venv(target: Target) -> None:
    """An environment whose Python runs; one that is broken or of another version is made anew."""
    python, name = target.python, target.venv.name
    probe = [str(python), "-c", f"import sys; raise SystemExit(sys.version_info[:2] != {tuple(sys.version_info[:2])})"]
    if python.exists() and subprocess.run(probe, capture_output=True, check=False).returncode == 0:
        # uv makes environments without pip, and may be gone from PATH since.
        if shutil.which("uv") is None and not installed(target, "pip"):
            must(f"pip for {name}", [str(python), "-m", "ensurepip"])
        return
    shutil.rmtree(target.venv, ignore_errors=True)
    uv = shutil.which("uv")
    if uv is not None:
        must(name, [uv, "venv", "--quiet", "--python", sys.executable, str(target.venv)])
        return
    said = attempt(name, [sys.executable, "-m", "venv", str(target.venv)])
    if said:
        print(said, file=sys.stderr)
        raise SetupError(f"Making {name} failed; on Debian or Ubuntu install the package python3-venv, or install uv.")


def installed(target: Target, name: str) -> str:
    """Version of a package in the environment, e.g. `2.13.0+cpu`; empty if there is none."""
    code = f"import importlib.metadata as m; print(m.version('{name}'))"
    return subprocess.run([str(target.python), "-c", code], capture_output=True, text=True, check=False).stdout.strip()


def install_cpu_torch(target: Target) -> None:
    """The CPU build of PyTorch, from the configured sources or else from PyTorch's own index; each is tried once, briefly."""
    wanted = f"torch=={TORCH}+cpu"
    if installed(target, "torch") == f"{TORCH}+cpu":
        return
    command = [*installer(target), "--no-deps", wanted]
    first = attempt(f"PyTorch {TORCH}+cpu from the configured sources", command)
    if not first:
        return
    index = os.environ.get("SPARRING_TORCH_INDEX") or TORCH_CPU_INDEX
    patience = [] if "uv" in Path(command[0]).name else ["--timeout", "20", "--retries", "1"]
    limits = {"UV_HTTP_TIMEOUT": "60", "UV_HTTP_CONNECT_TIMEOUT": "20", "UV_HTTP_RETRIES": "1"}
    second = attempt(f"PyTorch {TORCH}+cpu from {index}", [*command, *patience, "--index-url", index], **limits)
    if second:
        print(first, second, sep="\n", file=sys.stderr)
        raise SetupError(
            f"{wanted} for Python {sys.version_info[0]}.{sys.version_info[1]} is offered neither by the configured package "
            f"sources nor by {index}; make one of them reachable, or use a Python for which the build is offered."
        )


def install(target: Target, kind: str) -> None:
    """Everything, pinned; then this project itself, editable."""
    requirements = ["-r", str(target.locks[kind].relative_to(ROOT))]
    if kind == "cpu":
        install_cpu_torch(target)
        # The lock is complete. Without --no-deps the CPU build of vLLM would bring a torchvision that breaks it.
        requirements.insert(0, "--no-deps")
    elif not target.torch:
        requirements.append(f"torch=={TORCH}")
    must(f"packages of requirements/{target.locks[kind].name}", [*installer(target), *requirements])
    must("Sparring", [*installer(target), "--no-deps", "--editable", "."])


def main(arguments: list[str]) -> int:
    """Exit code 0 when the environment is ready, 2 with one sentence when it cannot be made."""
    try:
        if arguments not in ([], ["--llm-blender"]):
            raise SetupError(f"There is no option {' '.join(arguments)}; give none or --llm-blender.")
        target = LLM_BLENDER if arguments else SPARRING
        if not (3, 11) <= sys.version_info[:2] <= (3, 13):
            raise SetupError(
                f"Python 3.11, 3.12 or 3.13 is needed, but this is {sys.version.split()[0]}; set PYTHON=python3.11."
            )
        kind = accelerator()
        if target.stamp.is_file() and target.stamp.read_text() == fingerprint(target, kind) and target.python.exists():
            return 0
        how, name = "uv" if shutil.which("uv") else "pip", target.venv.name
        print(f"setup: installing into {name} with {how} ({kind} build of PyTorch); this takes a few minutes once", flush=True)
        began = time.monotonic()
        make_venv(target)
        target.stamp.unlink(missing_ok=True)
        install(target, kind)
        target.stamp.write_text(fingerprint(target, kind))
        print(f"setup: ready after {time.monotonic() - began:.0f} s", flush=True)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("setup: interrupted; run the same command again to go on.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
