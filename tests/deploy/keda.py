"""The part of KEDA's kinds that we use, after its documentation of ScaledObject, TriggerAuthentication and the Redis scaler."""

from typing import Annotated, Any, Literal

from pydantic import Field

from sparring_shared.records import Record

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
WholeNumber = Annotated[str, Field(pattern=r"^[1-9]\d*$")]


class Named(Record):
    name: Name


class Metadata(Record):
    name: Name
    namespace: Name


class RedisList(Record):
    """Metadata of a trigger are strings, numbers too."""

    address: Annotated[str, Field(pattern=r"^[a-z0-9.-]+:\d+$")]
    listName: str
    listLength: WholeNumber


class Trigger(Record):
    type: Literal["redis"]
    metadata: RedisList
    authenticationRef: Named


class Scaling(Record):
    scaleTargetRef: Named
    minReplicaCount: Annotated[int, Field(ge=0)]
    maxReplicaCount: Annotated[int, Field(ge=1)]
    advanced: dict[Literal["horizontalPodAutoscalerConfig"], dict[Literal["behavior"], Any]]
    triggers: Annotated[tuple[Trigger, ...], Field(min_length=1)]


class ScaledObject(Record):
    apiVersion: Literal["keda.sh/v1alpha1"]
    kind: Literal["ScaledObject"]
    metadata: Metadata
    spec: Scaling


class SecretKey(Record):
    parameter: Literal["password"]
    name: str
    key: str


class SecretKeys(Record):
    secretTargetRef: tuple[SecretKey, ...]


class TriggerAuthentication(Record):
    apiVersion: Literal["keda.sh/v1alpha1"]
    kind: Literal["TriggerAuthentication"]
    metadata: Metadata
    spec: SecretKeys


KINDS = {"ScaledObject": ScaledObject, "TriggerAuthentication": TriggerAuthentication}
