"""Bills of materials: their parts by literal locks, and that CycloneDX's own schema takes them."""

import json
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parents[2]
MADE = datetime(2026, 1, 2, tzinfo=UTC)
DOCKERFILE = """ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG VLLM_IMAGE=vllm/vllm-openai:v0.32.0
ARG WHEELS_IMAGE=scratch
FROM ${PYTHON_IMAGE} AS build
"""


@pytest.fixture
def sbom(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    return import_module("sbom")


def checked(text: str) -> Any:
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert error is None, str(error)[:500]
    return json.loads(text)


def test_a_bill_names_the_image_its_base_and_every_pin(sbom: Any) -> None:
    text = sbom.bill("generator-cuda", "nosuchpackage==1.0\ntorch==2.13.0+cpu\n", DOCKERFILE, "0.1.0", MADE)
    bill = checked(text)
    whole = {"bom-ref": "sparring/generator-cuda", "name": "sparring/generator", "type": "container", "version": "0.1.0-cuda"}
    assert bill["metadata"]["component"] == whole
    assert [(part["type"], part["purl"]) for part in bill["components"]] == [
        ("container", "pkg:docker/vllm/vllm-openai@v0.32.0"),
        ("library", "pkg:pypi/nosuchpackage@1.0"),
        ("library", "pkg:pypi/torch@2.13.0%2Bcpu"),
    ]
    assert "licenses" not in bill["components"][1]


def test_every_other_image_stands_on_python(sbom: Any) -> None:
    for image in ("controller", "generator-cpu", "judge-cuda"):
        bill = checked(sbom.bill(image, "", DOCKERFILE, "0.1.0", MADE))
        assert [part["purl"] for part in bill["components"]] == ["pkg:docker/python@3.11-slim-bookworm"]
    assert bill["metadata"]["component"]["version"] == "0.1.0-cuda"


def test_a_licence_stands_where_the_very_version_is_installed(sbom: Any) -> None:
    here = version("fastapi")
    lock = f"fastapi=={here}\n"
    parts = checked(sbom.bill("judge-cpu", lock, DOCKERFILE, "0.1.0", MADE))["components"]
    assert {part["name"]: part.get("licenses") for part in parts} == {"fastapi": [{"license": {"id": "MIT"}}], "python": None}
    assert sbom.licence("fastapi", here) == "MIT"
    assert sbom.licence("fastapi", "0.0.1") is None


def test_the_same_lock_has_the_same_serial_number(sbom: Any) -> None:
    first, again, other = (
        checked(sbom.bill("judge-cpu", lock, DOCKERFILE, "0.1.0", MADE))["serialNumber"]
        for lock in ("six==1.17.0\n", "six==1.17.0\n", "six==1.16.0\n")
    )
    assert first == again != other


def test_every_image_has_its_bill(sbom: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["sbom.py", str(tmp_path)])
    assert sbom.main() == 0
    made = {path.stem: checked(path.read_text()) for path in tmp_path.glob("*.json")}
    assert sorted(made) == sorted(path.stem for path in (ROOT / "requirements" / "images").glob("*.txt"))
    assert {part["name"] for part in made["controller"]["components"]} >= {"celery", "redis", "sqlalchemy", "psycopg"}
