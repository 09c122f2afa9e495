"""All that is checked, in the order in which it is told."""

from collections.abc import Iterator, Sequence
from functools import cache

from sparring_controller.doctor import cards, clocks, services
from sparring_controller.doctor.database import database
from sparring_controller.doctor.disk import disk
from sparring_controller.doctor.examination import Check, Finding
from sparring_controller.doctor.folders import folder
from sparring_controller.doctor.installation import Installation, Service
from sparring_controller.doctor.machine import memory, packages
from sparring_controller.doctor.models import Weights, folder_of, judge_finding, policy_finding, weights_of
from sparring_controller.doctor.ports import ports
from sparring_controller.doctor.redis_answers import answering
from sparring_shared.errors import InvalidInput


def all_checks(here: Installation) -> list[Check]:
    """The checks of an installation."""
    return [*_of_machine(here), *_of_storage(here), *_of_models(here), *_of_services(here)]


def exit_code(findings: Sequence[Finding]) -> int:
    """1 if anything is wrong, else 0."""
    return int(any(finding.level == "wrong" for finding in findings))


def _of_machine(here: Installation) -> Iterator[Check]:
    yield Check("python", packages)
    yield Check("GPUs", lambda: cards.cards(ours=here.up), seconds=cards.SECONDS + 5)
    yield Check("memory", lambda: memory(_parameters(here.policy)))


def _of_storage(here: Installation) -> Iterator[Check]:
    settings = here.settings
    for name, path in (("runs folder", settings.runs_dir), *here.folders):
        yield Check(name, lambda name=name, path=path: folder(name, path))
    yield Check("disk", lambda: disk(settings.runs_dir, _weights(here.policy), here.config))
    yield Check("database", lambda: database(settings.database))
    redis_url = here.redis_url
    if redis_url is not None:
        yield Check("Redis", lambda: answering(redis_url))


def _of_models(here: Installation) -> Iterator[Check]:
    policy, judge = here.policy, here.judge
    if policy is not None:
        yield Check("policy", lambda: [policy_finding(policy)])
    if judge is not None:
        yield Check("judge's model", lambda: [judge_finding(judge)])


def _of_services(here: Installation) -> Iterator[Check]:
    if here.ports:
        yield Check("ports", lambda: ports(here.ports))
    for service in here.services:
        yield Check(service.name, lambda service=service: _service(here, service))
    read = {service.name: clocks.of_service(service.url) for service in here.services}
    yield Check("clocks", lambda: clocks.clocks({**read, "database": clocks.of_database(here.settings.database)}))


def _service(here: Installation, service: Service) -> list[Finding]:
    match service.kind:
        case "controller":
            return services.controller(service)
        case "generator":
            return services.generator(service)
        case "trainer":
            return services.trainer(service)
        case "judge":
            config = here.config.judge if here.config else None
            named = config if config and config.service == service.judge else None
            return services.judge(service, here.settings.judge_token, named)


def _parameters(policy: str | None) -> int:
    weights = _weights(policy)
    return 0 if weights is None else weights.parameters


@cache
def _weights(policy: str | None) -> Weights | None:
    """The size of the base model, None where it is not known."""
    place = None if policy is None else folder_of(policy)
    try:
        return None if place is None else weights_of(place)
    except InvalidInput:
        return None  # the check of the model says why
