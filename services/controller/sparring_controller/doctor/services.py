"""Services: whether they answer, are ready, and what they say of themselves."""

from collections.abc import Callable

from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel, SecretStr

from sparring_controller.api.judges import mismatch
from sparring_controller.doctor.examination import Finding, Level
from sparring_controller.doctor.installation import Service
from sparring_shared.client import ServiceClient
from sparring_shared.errors import SparringError, Unauthorized, Unavailable
from sparring_shared.run_config import JudgeConfig
from sparring_shared.wire.generator import PolicyStatus
from sparring_shared.wire.judge import JudgeInfo
from sparring_shared.wire.trainer import RunningJob

_SECONDS = 4.0
Said = tuple[Level, str]


class _Version(BaseModel):
    version: str


def controller(service: Service) -> list[Finding]:
    """The controller, which is ready when database and Redis answer it."""
    return _examined(service, lambda client: ("ok", f"answers at {service.url}."))


def judge(service: Service, token: SecretStr | None, wanted: JudgeConfig | None) -> list[Finding]:
    """A judge: which one, how fast it was, and whether it is the one that a run config names."""

    def said(client: ServiceClient) -> Said:
        info = client.call("GET", "/v1/judge", JudgeInfo)
        other = None if wanted is None else mismatch(wanted, info)
        if other is not None:
            return "wrong", f"is {info.ref}, but {other}; start the one that is named, or name the one that answers."
        note = "" if info.note is None else f" {info.note}"
        return "ok", f"is {info.ref} on {info.device}, {speed(client.raw('GET', '/metrics').text)}.{note}"

    return _examined(service, said, token)


def generator(service: Service) -> list[Finding]:
    """The generator: its engine and the policy that is loaded."""

    def said(client: ServiceClient) -> Said:
        loaded = client.call("GET", "/v1/policy", PolicyStatus)
        engine = client.call("GET", "/version", _Version).version
        if loaded.state == "failed":
            return "warning", f"could not load {loaded.path}; see its log, the next stage loads its policy anew."
        return "ok", f"is vLLM {engine} with policy version {loaded.version} ({loaded.state}) of {loaded.path}."

    return _examined(service, said)


def trainer(service: Service) -> list[Finding]:
    """The trainer and the job that runs."""

    def said(client: ServiceClient) -> Said:
        job = client.call("GET", "/v1/jobs", RunningJob).job_id
        return "ok", f"answers at {service.url}, {'no job runs' if job is None else f'job {job} runs'}."

    return _examined(service, said)


def speed(metrics: str) -> str:
    """How fast a judge has computed so far, from its `/metrics`."""
    names = ("sparring_judge_pairs_total", "sparring_judge_compute_seconds_sum")
    values = {
        sample.name: sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.name in names
    }
    pairs, seconds = (values.get(name, 0.0) for name in names)
    return f"{pairs / seconds:.1f} ordered pairs a second ({pairs:.0f} so far)" if seconds else "nothing computed yet"


def _examined(service: Service, said: Callable[[ServiceClient], Said], token: SecretStr | None = None) -> list[Finding]:
    client = ServiceClient(service.name, service.url, timeout=_SECONDS, token=token)
    try:
        client.raw("GET", "/readyz")
        level, says = said(client)
        return [Finding(name=service.name, level=level, says=f"The {service.name} {says}")]
    except Unavailable as error:
        if not service.wanted:
            says = "It is not running; `sparring up` and `sparring run` start it."
            return [Finding(name=service.name, level="ok", says=says)]
        says = f"{error.message} See its log, start it, or correct its address."
    except Unauthorized:
        says = f"The {service.name} at {service.url} refuses us; set SPARRING_JUDGE_TOKEN to its token."
    except SparringError as error:
        says = f"What answers at {service.url} is no {service.name} of this Sparring ({error.message}); correct its address."
    finally:
        client.close()
    return [Finding(name=service.name, level="wrong", says=says)]
