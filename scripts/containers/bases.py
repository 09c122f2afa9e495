"""Base images: the real ones where a registry gives them, else stand-ins made of Debian packages under names of their own."""

from pathlib import Path

from containers.commands import ROOT, must, say, told, without_containers

# Variable that docker-compose.yml reads -> the image that it names by default.
REAL = {
    "SPARRING_PYTHON_IMAGE": "python:3.11-slim-bookworm",
    "SPARRING_REDIS_IMAGE": "redis:7.2-bookworm",
    "SPARRING_POSTGRES_IMAGE": "postgres:16-bookworm",
}
_PULL_SECONDS = 300
_RELEASE = "bookworm"
_SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
_PYTHON = ("python3", "python3-venv", "ca-certificates")
_LEFT_OUT = ("doc", "info", "locale", "man")


def base_images(folder: Path) -> dict[str, str]:
    """Variables for docker-compose.yml that name images which are there. Raises NoContainers if none can be had."""
    if all(told(["docker", "pull", "--quiet", image], _PULL_SECONDS) is not None for image in REAL.values()):
        say("using the real base images")
        return dict(REAL)
    say("no image registry gives the base images; making stand-ins of Debian packages")
    python = _python(folder)
    stand_ins = ROOT / "scripts" / "containers" / "stand_ins"
    names = {"SPARRING_PYTHON_IMAGE": python}
    for variable, name in (("SPARRING_REDIS_IMAGE", "redis"), ("SPARRING_POSTGRES_IMAGE", "postgres")):
        names[variable] = f"sparring-stand-in/{name}"
        must([*_build(names[variable], str(stand_ins / f"{name}.Dockerfile"), python), str(stand_ins)], 600)
    return names


def _python(folder: Path) -> str:
    """A Debian with its Python; the C library and what else wheels need are those of the real image."""
    tag = "sparring-stand-in/python"
    if told(["docker", "image", "inspect", tag]) is not None:
        return tag
    archive = folder / "python.tar"
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(_PYTHON)}"]
    command += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT]
    # A package mirror may be older than its lists say that they are good for.
    command += [f'--aptopt=Acquire::Check-{what} "false"' for what in ("Valid-Until", "Date")]
    sources = [str(_SOURCES)] if _SOURCES.is_file() and _RELEASE in _SOURCES.read_text(encoding="utf-8") else []
    without_containers([*command, _RELEASE, str(archive), *sources], 600, "making a Debian base with mmdebstrap")
    must(["docker", "import", str(archive), tag], 300)
    archive.unlink()
    return tag


def vllm_stand_in(generator: str) -> str:
    """An image with vLLM that runs as root and knows nothing of us, as vLLM's own: made of our generator for CPUs."""
    tag = "sparring-stand-in/vllm"
    recipe = str(ROOT / "scripts" / "containers" / "stand_ins" / "vllm.Dockerfile")
    must([*_build(tag, recipe, generator), str(Path(recipe).parent)], 300)
    return tag


def _build(tag: str, recipe: str, base: str) -> list[str]:
    return ["docker", "build", "--quiet", "--tag", tag, "--build-arg", f"BASE={base}", "--file", recipe]
