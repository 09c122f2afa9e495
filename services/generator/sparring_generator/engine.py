"""vLLM, the one module that imports it: its engine, and its OpenAI server with the policy on it."""

import asyncio
import multiprocessing
import os
import signal
from argparse import Namespace
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import torch
import uvloop
from fastapi import Request, Response
from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.engine.protocol import EngineClient
from vllm.entrypoints.launchers.api_server.app_state import init_app_state
from vllm.entrypoints.launchers.api_server.entry import build_async_engine_client
from vllm.entrypoints.launchers.app import build_app
from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.entrypoints.launchers.launcher import serve_http, setup_server, terminate_if_errored
from vllm.inputs import TokensPrompt
from vllm.utils.argparse_utils import FlexibleArgumentParser
from vllm.v1.engine.exceptions import EngineDeadError

from sparring_generator.policy import Base, ServedPolicy
from sparring_generator.routes import attach_policy
from sparring_generator.settings import GeneratorSettings, vllm_arguments, without_gpu
from sparring_shared.errors import Broken, InvalidInput, Unavailable, fail
from sparring_shared.http import error_answer
from sparring_shared.settings import FolderSettings

ENGINE_DIED = 70
"""The generator's exit code when its engine died, `EX_SOFTWARE` of sysexits.h; whoever keeps it starts it again."""

_CPU_BATCHED_TOKENS = 4096
_DRAIN_SECONDS = 5
T = TypeVar("T")


def _died() -> Unavailable:
    return Unavailable("vLLM's engine died, so the generator ends; ask again once it was started anew.")


@contextmanager
def _as_broken(task: str) -> Iterator[None]:
    """What goes wrong in the engine's processes arrives as any kind of exception; it leaves here as Broken.

    An engine that died leaves as Unavailable, for another is on its way.
    """
    try:
        yield
    except EngineDeadError as error:
        raise _died() from error
    except Exception as error:
        raise Broken(f"vLLM could not {task}: {error}") from error


async def _while_alive(client: EngineClient, call: Coroutine[Any, Any, T]) -> T:
    """The engine's answer to a call. Raises EngineDeadError if it dies meanwhile, where vLLM would wait for ever."""
    asked = asyncio.create_task(call)
    try:
        while not (await asyncio.wait([asked], timeout=1))[0]:
            if client.errored:
                raise EngineDeadError
        return asked.result()
    finally:
        asked.cancel()


class VllmEngine:
    """vLLM's engine as the policy sees it; the engine runs in processes of its own."""

    def __init__(self, client: EngineClient) -> None:
        self._client = client
        self.vocab_size = client.model_config.get_vocab_size()
        self.max_model_len = client.model_config.max_model_len
        self.can_sleep = client.model_config.enable_sleep_mode
        self.float32 = client.model_config.dtype == torch.float32

    async def prompt_logprobs(self, token_ids: Sequence[int]) -> tuple[float, ...]:
        """log pi of each token but the first, given those before; vLLM never answers this from its prefix cache."""
        wanted = SamplingParams(prompt_logprobs=0, max_tokens=1, temperature=0.0, detokenize=False)
        prompt = TokensPrompt(prompt_token_ids=list(token_ids))
        rows = None
        with _as_broken("probe the policy"):
            async for output in self._client.generate(prompt, wanted, f"probe-{uuid4().hex}"):
                rows = output.prompt_logprobs
        if rows is None:
            raise Broken("vLLM ended a probe without log-probs; restart the generator.")
        return tuple(row[token].logprob for row, token in zip(rows, token_ids, strict=True) if row is not None)

    async def reload(self, folder: Path) -> None:
        """Exchange the weights and empty the prefix cache; after a failure they are undefined and the engine stays paused."""
        with _as_broken(f"load {folder}"):
            emptied = await _while_alive(self._client, self._exchange(folder))
        if not emptied:
            raise Broken("vLLM could not empty its prefix cache, which holds what other weights computed; load again.")
        with _as_broken("go on after a load"):
            await _while_alive(self._client, self._client.resume_generation())

    async def _exchange(self, folder: Path) -> bool:
        await self._client.pause_generation(mode="wait", clear_cache=False)
        await self._client.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
        await self._client.collective_rpc("retie_head")
        return await self._client.reset_prefix_cache()

    async def sleep(self) -> None:
        """Give weights and KV cache back (level 2: nothing is kept on the host, `reload` follows on waking)."""
        with _as_broken("fall asleep"):
            await _while_alive(self._client, self._client.sleep(level=2, mode="wait"))

    async def wake(self) -> None:
        """Take the memory of weights and KV cache again."""
        with _as_broken("wake up"):
            await _while_alive(self._client, self._client.wake_up())


def parse_arguments(settings: GeneratorSettings, folder: Path) -> Namespace:
    """vLLM's arguments, checked against the model. Raises InvalidInput where vLLM does not accept them."""
    cpu = without_gpu()
    parser = make_arg_parser(FlexibleArgumentParser(prog="vllm"))
    args = parser.parse_args(vllm_arguments(settings, folder, cpu=cpu))
    assert args is not None  # its type allows None only for what it was given to fill
    try:
        validate_parsed_serve_args(args)
        model = AsyncEngineArgs.from_cli_args(args).create_model_config()
    except (ValueError, TypeError, OSError) as error:
        raise InvalidInput(f"vLLM cannot serve {folder}: {error}") from None
    if cpu and args.max_num_batched_tokens is None:
        # Without chunks, the longest prompt must fit into one step.
        args.max_num_batched_tokens = max(_CPU_BATCHED_TOKENS, model.max_model_len)
    return args


async def _on_dead_engine(request: Request, _: Exception) -> Response:
    terminate_if_errored(request.app.state.server, request.app.state.engine_client)
    return error_answer(_died())


class _ServerLoop(uvloop.Loop):
    """Knows whether a signal asked the server to end: vLLM's ends in the same way when its engine died."""

    asked_to_end = False

    def add_signal_handler(self, sig: int, callback: Callable[..., Any], *args: Any) -> None:
        def asked() -> None:
            self.asked_to_end = True
            callback(*args)

        super().add_signal_handler(sig, asked)


async def _serve(args: Namespace, settings: GeneratorSettings, base: Base) -> None:
    _, sock = setup_server(args, reuse_port=False)
    async with build_async_engine_client(args) as client:
        engine = VllmEngine(client)
        policy = ServedPolicy(
            engine,
            base,
            FolderSettings().checkpoint_roots,
            tolerance=settings.probe_tolerance or (1e-3 if engine.float32 else 0.1),
            trust_remote_code=settings.trust_remote_code,
        )
        await policy.start()
        tasks = await _while_alive(client, client.get_supported_tasks())
        app = build_app(args, tasks, client.model_config)
        app.add_exception_handler(EngineDeadError, _on_dead_engine)
        attach_policy(app, policy)
        await init_app_state(client, app.state, args, tasks)
        down = await serve_http(
            app,
            sock,
            host=args.host,
            port=args.port,
            log_level=args.uvicorn_log_level,
            access_log=False,
            timeout_keep_alive=65,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
        )
    try:
        await down
    finally:
        sock.close()


def _end_start(number: int, _: object) -> None:
    # An exception raised here is lost inside vLLM's start, and its engine outlives a parent that just dies.
    for process in multiprocessing.active_children():
        process.kill()
    os._exit(128 + number)


def serve(settings: GeneratorSettings, base: Base) -> int:
    """Run vLLM's server until SIGTERM or Ctrl-C; 0 then, `ENGINE_DIED` when it ended because its engine had died.

    Raises InvalidInput for what vLLM does not accept.
    """
    args = parse_arguments(settings, base.folder)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end_start)  # until vLLM's server is up and takes its own measures
    loop = _ServerLoop()
    uvloop.run(_serve(args, settings, base), loop_factory=lambda: loop)
    if loop.asked_to_end:
        return 0
    return fail("vLLM's engine died, and the generator with it; its log above says why. It can be started again.", ENGINE_DIED)
