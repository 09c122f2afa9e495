"""Writes a CycloneDX bill of materials per image to `dist/sbom/`, from the image's lock and the base that the Dockerfile names.

What the base image holds is not listed; it stands there as one component, by its tag. A licence stands where the package is
installed here in the locked version and names its licence.
"""

import json
import re
import sys
import tomllib
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, metadata, version
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import bom as boms
from cyclonedx.model import component as components
from cyclonedx.model.component import ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from lock import versions
from packageurl import PackageURL
from setup import ROOT

SCHEMA = SchemaVersion.V1_6
LONGEST_NAME = 60
# The library's decorators hide its classes from a type checker.
Bom: Any = boms.Bom
BomMetaData: Any = boms.BomMetaData
Component: Any = components.Component


def licence(name: str, pinned: str) -> str | None:
    """The licence that an installed package names, as SPDX or in its own words; None where that version is not installed."""
    try:
        if version(name) != pinned:
            return None
    except PackageNotFoundError:
        return None
    said: Any = metadata(name)
    short = [text for text in (said.get("License-Expression"), said.get("License")) if text and len(text) < LONGEST_NAME]
    classified = [line.rpartition(" :: ")[2] for line in said.get_all("Classifier", []) if line.startswith("License :: ")]
    return next(iter(short + classified), None)


def library(name: str, pinned: str) -> Any:
    """A Python package of a lock."""
    found = licence(name, pinned)
    licences = [] if found is None else [LicenseFactory().make_from_string(found)]
    purl = PackageURL("pypi", None, name, pinned)
    return Component(name=name, version=pinned, licenses=licences, purl=purl, bom_ref=str(purl))


def base_image(dockerfile: str, image: str) -> Any:
    """The image that one of ours is made from: vLLM's for the generator on GPUs, else Python's.

    Example: `ARG VLLM_IMAGE=vllm/vllm-openai:v0.32.0` names vllm/vllm-openai.
    """
    variable = "VLLM_IMAGE" if image == "generator-cuda" else "PYTHON_IMAGE"
    named: dict[str, str] = dict(re.findall(r"^ARG (\w+_IMAGE)=(\S+)$", dockerfile, re.MULTILINE))
    name, _, tag = named[variable].rpartition(":")
    namespace, _, short = name.rpartition("/")
    purl = PackageURL("docker", namespace or None, short, tag)
    return Component(name=name, version=tag, type=ComponentType.CONTAINER, purl=purl, bom_ref=str(purl))


def bill(image: str, lock: str, dockerfile: str, release: str, made: datetime) -> str:
    """The bill of one image as JSON; the same lock and Dockerfile have the same serial number."""
    service, _, accelerator = image.partition("-")
    tag = f"{release}-{accelerator}" if accelerator else release
    whole = Component(name=f"sparring/{service}", version=tag, type=ComponentType.CONTAINER, bom_ref=f"sparring/{image}")
    parts = [library(name, pinned) for name, pinned in versions(lock).items()]
    bom = Bom(
        components=[base_image(dockerfile, image), *parts],
        serial_number=uuid5(NAMESPACE_URL, f"{whole.name}:{tag}\n{dockerfile}\n{lock}"),
        metadata=BomMetaData(component=whole, timestamp=made),
    )
    bom.register_dependency(whole, bom.components)
    return json.dumps(json.loads(make_outputter(bom, OutputFormat.JSON, SCHEMA).output_as_string()), indent=1) + "\n"


def main() -> int:
    """Write all of them and print a line for each; the folder may be given."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist" / "sbom"
    folder.mkdir(parents=True, exist_ok=True)
    release: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    for path in sorted((ROOT / "requirements" / "images").glob("*.txt")):
        lock = path.read_text(encoding="utf-8")
        text = bill(path.stem, lock, dockerfile, release, datetime.now(UTC))
        (folder / f"{path.stem}.json").write_text(text, encoding="utf-8")
        print(f"{folder / path.stem}.json: {len(versions(lock))} packages")
    return 0


if __name__ == "__main__":
    sys.exit(main())
