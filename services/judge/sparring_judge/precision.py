"""The names of the number formats that a judge computes in."""

from typing import Literal, TypeAlias

Precision: TypeAlias = Literal["fp32", "bf16", "fp16", "int8"]
