"""Ports of the services of this machine: free, or held by a service of ours."""

from collections.abc import Sequence

import httpx
from pydantic import ValidationError

from sparring_controller.doctor.examination import Finding
from sparring_controller.doctor.installation import Port
from sparring_shared.errors import ErrorBody
from sparring_shared.http import port_is_free

_SECONDS = 3.0


def ports(wanted: Sequence[Port]) -> list[Finding]:
    """All ports together: a finding for each that something else holds, or one for all."""
    if len({port.port for port in wanted}) < len(wanted):
        says = "Two services have the same port; set SPARRING_*_PORT to different ones, or use --free-ports."
        return [Finding(name="ports", level="wrong", says=says)]
    held = [port for port in wanted if not port_is_free(port.host, port.port)]
    foreign = [port for port in held if not _is_ours(port)]
    if foreign:
        return [Finding(name="ports", level="wrong", says=_foreign(port)) for port in foreign]
    each = ", ".join(f"{port.port} ({port.service}) {'has a service' if port in held else 'is free'}" for port in wanted)
    return [Finding(name="ports", level="ok", says=f"{each}.")]


def _is_ours(port: Port) -> bool:
    """Whether what listens there answers as our services do."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(port.host, port.host)
    try:
        answer = httpx.get(f"http://{f'[{host}]' if ':' in host else host}:{port.port}/readyz", timeout=_SECONDS)
    except httpx.HTTPError:
        return False
    try:
        return answer.json() == {"status": "ready"} or ErrorBody.model_validate_json(answer.content).error.type == "unavailable"
    except (ValueError, ValidationError):
        return False


def _foreign(port: Port) -> str:
    return (
        f"Port {port.port} on {port.host} is held by something that is no {port.service} of ours; stop what listens there "
        f"(`ss -ltnp` names it), set SPARRING_{port.service.upper()}_PORT to another, or use --free-ports."
    )
