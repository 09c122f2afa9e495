"""Pip's own folder of wheels as an image, since an image is what every builder reaches, whatever its network is."""

from pathlib import Path

from containers.commands import ROOT, CannotTest, must, say, told

_TAG = "sparring-stand-in/wheels"
_RECIPE = ROOT / "scripts" / "containers" / "wheels.Dockerfile"
# What pip was told by a variable goes before what its files say; what is empty says nothing.
_NAMES = (":env:.find-links", "install.find-links", "global.find-links")


def wheels_image(pip: Path) -> dict[str, str]:
    """Variables for compose.build.yml: the image of pip's folder of wheels, if it has one. Raises CannotTest."""
    settings = told([str(pip), "config", "list"])
    if settings is None:
        raise CannotTest(f"{pip} does not run, so it cannot say where it looks for wheels; install a Python with pip.")
    folder = wheels_folder(settings)
    if folder is None:
        return {}
    must(["docker", "build", "--quiet", "--tag", _TAG, "--file", str(_RECIPE), str(folder)], 600)
    say(f"builders are given the wheels in {folder}")
    return {"SPARRING_WHEELS_IMAGE": _TAG}


def wheels_folder(settings: str) -> Path | None:
    """The folder in which pip looks for wheels, from what `pip config list` prints; None if there is none.

    Raises CannotTest if builders cannot be given what pip looks into: a page, several folders, or one that is not there.
    """
    found = {name: value.strip("'") for name, _, value in (line.partition("=") for line in settings.splitlines())}
    place = next((found[name] for name in _NAMES if found.get(name)), None)
    if place is None:
        return None
    folder = Path(place.removeprefix("file://"))
    if not folder.is_dir():
        raise CannotTest(
            f"pip looks for wheels in {place}, which builders cannot be given; have PIP_FIND_LINKS name one folder."
        )
    return folder
