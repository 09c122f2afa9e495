"""A small stand-in for the layer below the controller: generator, judge and trainer behind one address.

It keeps their contracts (policy header, one answer per item, jobs by id) and none of their models. Knobs make it misbehave.
"""

import hashlib
import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from sparring_shared.artifacts import publish_checkpoint
from sparring_shared.errors import Conflict, InvalidInput, NotFound, PolicyMismatch, SparringError
from sparring_shared.hashes import file_sha256
from sparring_shared.http import error_answer
from sparring_shared.preference import pairwise_probs, scores, win_rates
from sparring_shared.records import JudgeRef
from sparring_shared.wire.generator import POLICY_HEADER, PolicyLoad, PolicyStatus
from sparring_shared.wire.judge import JudgeInfo, JudgeLimits, RankItem, RankRequest
from sparring_shared.wire.trainer import CheckpointRef, JobRequest, JobStatus, RunningJob

JUDGE = JudgeRef(name="length", revision="1", engine="fake")
READING = {"prompt_truncated": False, "prompt_tokens": 1, "position_bias": 0.0, "passes": 2, "cache_hits": 0, "new_tokens": 8}


def model_folder(folder: Path, weights: str) -> Path:
    """A folder that looks like a checkpoint."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_text(weights)
    return folder


class Below:
    """The knobs, and what was asked: `calls` are `METHOD path`, `loads` are the versions put on the generator.

    `answer_seconds`: how long the policy takes to answer. `slept`: whether the generator slept when each job started.
    `judge_fails` are the judge's answers to the next requests, an error each; `judge_refuses` says what is wrong with a
    request as a whole; `ill` gives a prompt the error types of its next items; `judged` counts the items of each prompt that
    were answered, `games` the pairs that were asked for by name. `refuses_jobs`: why the trainer takes none; `sleepless`: the
    generator cannot sleep; `mismatches`: how often another policy was loaded than was asked. `sampling_fails` are errors that
    a prompt is answered with before it is answered at all. `bodies` are what the policy was asked, `shown` the prompts that
    the judge was shown; `says` and `ends` give the text of choices by index and their finish reason by text. `steady`: the
    chat template prints the same each time, and the weights follow from the pairs. The generator serves the model in `root`
    with a `context` in words. `job_ends` are the step and error type with which the next jobs fail.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.loads: list[int] = []
        self.policy = PolicyStatus(version=0, digest="none", path="", state="ready")
        self.jobs: dict[str, JobStatus] = {}
        self.starts: list[JobRequest] = []
        self.asked: dict[str, JobRequest] = {}
        self.slept: list[bool] = []
        self.looks_until_done = 1
        self.job_fails = 0
        self.job_ends: list[tuple[int, str]] = []
        self.busy = 0
        self.steal_policy = 0
        self.claims_to_be: str | None = None
        self.too_long: set[str] = set()
        self.not_taken: set[str] = set()
        self.unjudgeable: set[str] = set()
        self.judge = JUDGE
        self.judge_fails: list[SparringError] = []
        self.judge_refuses: Callable[[RankRequest], SparringError | None] = lambda _: None
        self.ill: dict[str, list[str]] = {}
        self.judged: Counter[str] = Counter()
        self.games: dict[str, int] = {}
        self.same_text = False
        self.max_candidates = 32
        self.pinned = True
        self.shift = 0.0
        self.fresh: list[int] = []
        self.requests = 0
        self.bodies: list[dict[str, Any]] = []
        self.shown: list[Any] = []
        self.ends: dict[str, str] = {}
        self.says: dict[int, str] = {}
        self.root = ""
        self.context = 64
        self.answers_may_go = threading.Event()
        self.answers_may_go.set()
        self.answering = threading.Event()
        self.steady = False
        self.lock = threading.Lock()
        self.refuses_jobs: SparringError | None = None
        self.sleepless = False
        self.answer_seconds = 0.0
        self.mismatches = 0
        self.alone: set[bool] = set()
        self.inside = 0
        self.sampling_fails: dict[str, list[SparringError]] = {}


def create_below(below: Below) -> FastAPI:
    """The stand-in as an application."""
    app = FastAPI()

    @app.exception_handler(SparringError)
    async def _(_: Request, error: SparringError) -> JSONResponse:
        return error_answer(error)

    @app.middleware("http")
    async def noted(request: Request, call_next: Any) -> Any:
        below.calls.append(f"{request.method} {request.url.path}")
        return await call_next(request)

    @app.get("/v1/policy")
    def policy() -> PolicyStatus:
        return below.policy

    @app.put("/v1/policy")
    def load(body: PolicyLoad) -> PolicyStatus:
        if below.policy.state == "asleep":
            raise Conflict("The generator is asleep; POST /v1/policy/wake before another policy is loaded.")
        below.loads.append(body.version)
        below.policy = PolicyStatus(**body.model_dump(), state="ready")
        return below.policy

    @app.post("/v1/policy/sleep")
    def sleep() -> PolicyStatus:
        if below.sleepless:
            raise Conflict("This generator cannot sleep: that needs a CUDA GPU and vLLM's --enable-sleep-mode.")
        below.policy = below.policy.model_copy(update={"state": "asleep"})
        return below.policy

    @app.post("/v1/policy/wake")
    def wake() -> PolicyStatus:
        below.policy = below.policy.model_copy(update={"state": "ready"})
        return below.policy

    @app.post("/v1/chat/completions")
    def complete(body: dict[str, Any], request: Request, response: Response) -> Any:
        assert below.policy.state == "ready"
        with below.lock:
            below.inside += 1
        below.answering.set()
        below.answers_may_go.wait(60)
        time.sleep(below.answer_seconds)
        with below.lock:
            below.inside -= 1
        with below.lock:
            if below.steal_policy:
                below.steal_policy -= 1
                below.policy = PolicyStatus(version=9, digest="stolen", path="", state="ready")
        if request.headers[POLICY_HEADER] != below.policy.digest:
            below.mismatches += 1
            raise PolicyMismatch("Another policy is loaded.")
        prompt = body["messages"][-1]["content"]
        if below.sampling_fails.get(prompt):
            raise below.sampling_fails[prompt].pop(0)
        if prompt in below.not_taken:
            text = "Conversation roles must alternate user/assistant/user/assistant/..."
            return JSONResponse({"error": {"message": text, "type": "BadRequestError", "param": None}}, 400)
        if prompt in below.too_long:
            text = "This model's maximum context length is 8 tokens. However, your prompt contains 9 input tokens."
            return JSONResponse({"error": {"message": text, "type": "BadRequestError", "param": "input_tokens"}}, 400)
        response.headers[POLICY_HEADER] = below.claims_to_be or below.policy.digest
        with below.lock:
            below.bodies.append(body)
            text = rendered(body, 0 if below.steady else len(below.bodies))
        choices = [_choice(below, prompt, body, i) for i in range(body["n"])]
        return {"choices": choices, "prompt_text": text, "prompt_token_ids": list(text.encode())}

    @app.get("/v1/models")
    def models() -> Any:
        return {"data": [{"id": "policy", "root": below.root, "max_model_len": below.context}]}

    @app.post("/tokenize")
    def tokenize(body: dict[str, Any]) -> Any:
        if any(
            message["role"] not in body["chat_template_kwargs"].get("roles", [message["role"]]) for message in body["messages"]
        ):
            return JSONResponse({"error": {"message": "System role not supported", "type": "BadRequestError"}}, 400)
        return {"count": len(rendered(body, 0).split())}

    @app.get("/v1/judge")
    def judge() -> JudgeInfo:
        lengths = {"source_max_tokens": 9, "candidate_max_tokens": 9}
        limits = JudgeLimits(
            max_items=256, max_candidates=below.max_candidates, max_passes=999, max_body_bytes=1 << 24, **lengths
        )
        more = {"model": f"models/{below.judge.name}", "pinned": below.pinned, "device": "cpu", "note": None, "limits": limits}
        return JudgeInfo.model_validate(below.judge.model_dump() | more)

    @app.post("/v1/rank")
    def rank(body: RankRequest) -> dict[str, Any]:
        error = below.judge_fails.pop(0) if below.judge_fails else below.judge_refuses(body)
        if error is not None:
            raise error
        if all(_text(item) in below.unjudgeable for item in body.items):
            raise InvalidInput("items.0: It cannot be judged.")
        below.alone.add(body.alone)
        below.shown += [item.prompt for item in body.items]
        below.requests += 2 * len(body.items)
        results = [_ranked(below, item) for item in body.items]
        if body.fresh:
            below.fresh.append(len(body.items))
            for result in results:
                if "probs" in result:
                    result["probs"][0][1] += below.shift
        return {"judge": below.judge, "items": results}

    @app.put("/v1/jobs/{job_id}")
    def start(job_id: str, body: JobRequest) -> JobStatus:
        if below.busy:
            below.busy -= 1
            raise Conflict("The job other is running; wait for its end or DELETE it.", {"job_id": "other"})
        if below.refuses_jobs is not None:
            raise below.refuses_jobs
        other = running().job_id
        if other not in (None, job_id):
            raise Conflict(f"The job {other} is running; wait for its end or DELETE it.", {"job_id": other})
        below.starts.append(body)
        below.asked[job_id] = body
        below.slept.append(below.policy.state == "asleep")
        below.jobs[job_id] = _status(job_id, "running", 0)
        return below.jobs[job_id]

    @app.get("/v1/jobs")
    def running() -> RunningJob:
        return RunningJob(job_id=next((job.job_id for job in below.jobs.values() if job.state == "running"), None))

    @app.get("/v1/jobs/{job_id}")
    def look(job_id: str) -> JobStatus:
        if job_id not in below.jobs:
            raise NotFound("There is no such job.")
        job = below.jobs[job_id]
        if job.state == "running":
            job = below.jobs[job_id] = _moved(below, job)
        return job

    @app.delete("/v1/jobs/{job_id}")
    def cancel(job_id: str) -> JobStatus:
        below.jobs[job_id] = _status(job_id, "cancelled", 0)
        return below.jobs[job_id]

    return app


def rendered(body: dict[str, Any], number: int) -> str:
    """A chat template that prints something else each time."""
    said = " ".join(f"{message['role']}: {message['content']}" for message in body["messages"])
    return f"request {number} {json.dumps(body['chat_template_kwargs'])} {said} assistant:"


def _choice(below: Below, prompt: str, body: dict[str, Any], index: int) -> dict[str, Any]:
    """An answer whose length depends on policy, prompt, seed and index, as a sample would."""
    drawn = hashlib.sha256(f"{below.policy.digest}{prompt}{body['seed']}{index}".encode()).digest()
    count = 1 if below.same_text else 1 + drawn[0] % 7
    text = below.says.get(index, " ".join(["word"] * count))
    ends = "length" if count == 7 and index not in below.says else "stop"
    return {
        "index": index,
        "message": {"role": "assistant", "content": text},
        "finish_reason": below.ends.get(text, ends),
        "token_ids": list(range(count)),
        "logprobs": {"content": [{"token": "word", "logprob": -0.5}] * count},
    }


def _text(item: RankItem) -> str:
    return item.prompt if isinstance(item.prompt, str) else item.prompt[-1].content


def _ranked(below: Below, item: RankItem) -> dict[str, Any]:
    if _text(item) in below.unjudgeable:
        return {"error": {"type": "invalid_input", "message": "It cannot be judged.", "detail": None}}
    if below.ill.get(_text(item)):
        return {"error": {"type": below.ill[_text(item)].pop(0), "message": "It is ill.", "detail": None}}
    below.judged[_text(item)] += 1
    lengths = [len(text) for text in item.candidates]
    logits = [[float(a - b) / 5 for b in lengths] for a in lengths]
    probs = pairwise_probs(logits)
    if item.pairs is not None:
        return _partly(below, item, logits, probs.tolist())
    return {
        "logits": logits,
        "probs": probs.tolist(),
        "win_rates": win_rates(probs).tolist(),
        "scores": scores(logits).tolist(),
        "ranks": [1] * len(lengths),
        "truncated": [length > 30 for length in lengths],
        "tokens": lengths,
        **READING,
    }


def _partly(below: Below, item: RankItem, logits: list[list[float]], probs: list[list[float]]) -> dict[str, Any]:
    """Only what was asked for; `games` counts the pairs of each prompt."""
    assert item.pairs is not None
    prompt = _text(item)
    below.games[prompt] = below.games.get(prompt, 0) + len(item.pairs)
    asked = {pair for i, j in item.pairs for pair in ((i, j), (j, i))} | {(i, i) for i in range(len(logits))}

    def part(rows: list[list[float]]) -> list[list[float | None]]:
        return [[value if (i, j) in asked else None for j, value in enumerate(row)] for i, row in enumerate(rows)]

    truncated = [False] * len(logits)
    whole = {"win_rates": None, "scores": None, "ranks": None}
    return {
        "logits": part(logits),
        "probs": part(probs),
        "truncated": truncated,
        "tokens": [1] * len(logits),
        **whole,
        **READING,
    }


def _status(job_id: str, state: Any, step: int, **more: Any) -> JobStatus:
    values = {"metrics": {}, "eta_seconds": 1.0, "checkpoint": None, "error": None} | more
    return JobStatus(job_id=job_id, state=state, step=step, total_steps=10, **values)


def _moved(below: Below, job: JobStatus) -> JobStatus:
    """The job one look later: a step on, failed, or finished with a checkpoint."""
    if job.step + 1 < below.looks_until_done:
        return _status(job.job_id, "running", job.step + 1)
    if below.job_ends:
        step, kind = below.job_ends.pop(0)
        return _status(job.job_id, "failed", step, error=f"It ended at step {step}: {kind}.", error_type=kind)
    if below.job_fails:
        below.job_fails -= 1
        return _status(job.job_id, "failed", job.step, error="The training job was killed (signal 9).")
    request = below.asked[job.job_id]
    output = Path(request.output)
    temporary = output.with_name(f".{output.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    learned = "".join(file_sha256(Path(pairs)) for pairs in request.pairs) if below.steady else ""
    model_folder(temporary, f"weights {request.version}{learned}")
    digest = publish_checkpoint(temporary, output, request.version)
    metrics = {"loss": 0.25, "final_chosen_logratio": 1.5, "final_rejected_logratio": -2.0}
    checkpoint = CheckpointRef(version=request.version, digest=digest, path=str(output))
    return _status(job.job_id, "succeeded", 10, metrics=metrics, checkpoint=checkpoint)


class Server:
    """An application on a free loopback port, in a thread."""

    def __init__(self, app: FastAPI) -> None:
        self._server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started:
            assert time.monotonic() < deadline, "the stand-in did not start"
            time.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)
