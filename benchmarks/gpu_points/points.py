"""The eight points in the order in which they run; the order matters where time is short."""

from .records import Point

POINTS = (
    Point("versions", "gpu_points.versions:versions", "versions, driver, and tests/gpu", limit=300),
    Point("trainer", "gpu_points.trainer_checks:trainer", "the trainer against fp32 on the CPU, killed and resumed", limit=240),
    Point("attention", "gpu_points.attention:attention", "30 attention shapes, first and second call", limit=180),
    Point("judge", "gpu_points.judge_speed:judge", "the judge at its real size", limit=240),
    Point("memory", "gpu_points.trainer_memory:memory", "the trainer at 7B and 8B shapes", limit=720, least=60),
    Point("logprobs", "gpu_points.numerics:logprobs", "bf16 against fp32 log-probs", limit=180, least=30),
    Point("rounding", "gpu_points.rounding:rounding", "one step from bf16 weights, rounded back", limit=180, least=30),
    Point("together", "gpu_points.together:together", "judge and trainer over HTTP on one card", limit=300, least=60),
)
