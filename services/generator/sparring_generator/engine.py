"""vLLM, the one module that imports it: its engine, and its OpenAI server with the policy on it."""

import multiprocessing
import os
import signal
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import torch
import uvloop
from vllm import SamplingParams
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.engine.protocol import EngineClient
from vllm.entrypoints.launchers.api_server.app_state import init_app_state
from vllm.entrypoints.launchers.api_server.entry import build_async_engine_client
from vllm.entrypoints.launchers.app import build_app
from vllm.entrypoints.launchers.cli_args import make_arg_parser, validate_parsed_serve_args
from vllm.entrypoints.launchers.launcher import serve_http, setup_server
from vllm.inputs import TokensPrompt
from vllm.utils.argparse_utils import FlexibleArgumentParser

from sparring_generator.policy import Base, ServedPolicy
from sparring_generator.routes import attach_policy
from sparring_generator.settings import GeneratorSettings, vllm_arguments, without_gpu
from sparring_shared.errors import Broken, InvalidInput
from sparring_shared.settings import FolderSettings

_CPU_BATCHED_TOKENS = 4096


@contextmanager
def _as_broken(task: str) -> Iterator[None]:
    """What goes wrong in the engine's processes arrives as any kind of exception; it leaves here as Broken."""
    try:
        yield
    except Exception as error:
        raise Broken(f"vLLM could not {task}: {error}") from error


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
            await self._client.pause_generation(mode="wait", clear_cache=False)
            await self._client.collective_rpc("reload_weights", kwargs={"weights_path": str(folder)})
            await self._client.collective_rpc("retie_head")
            emptied = await self._client.reset_prefix_cache()
        if not emptied:
            raise Broken("vLLM could not empty its prefix cache, which holds what other weights computed; load again.")
        with _as_broken("go on after a load"):
            await self._client.resume_generation()

    async def sleep(self) -> None:
        """Give weights and KV cache back (level 2: nothing is kept on the host, `reload` follows on waking)."""
        with _as_broken("fall asleep"):
            await self._client.sleep(level=2, mode="wait")

    async def wake(self) -> None:
        """Take the memory of weights and KV cache again."""
        with _as_broken("wake up"):
            await self._client.wake_up()


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
        tasks = await client.get_supported_tasks()
        app = build_app(args, tasks, client.model_config)
        attach_policy(app, policy)
        await init_app_state(client, app.state, args, tasks)
        down = await serve_http(
            app, sock, host=args.host, port=args.port, log_level=args.uvicorn_log_level, access_log=False, timeout_keep_alive=65
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


def serve(settings: GeneratorSettings, base: Base) -> None:
    """Run vLLM's server until SIGTERM or Ctrl-C. Raises InvalidInput for what vLLM does not accept."""
    args = parse_arguments(settings, base.folder)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end_start)  # until vLLM's server is up and takes its own measures
    uvloop.run(_serve(args, settings, base))
