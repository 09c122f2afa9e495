# All images, a target each: controller, judge, trainer, generator (on the CPU build of vLLM) and generator-cuda (on vLLM's own
# image). ACCELERATOR=cuda makes judge and trainer for GPUs: the wheels of PyTorch bring CUDA with them.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG VLLM_IMAGE=vllm/vllm-openai:v0.32.0
# Wheels of your own: an image that holds them in its root.
ARG WHEELS_IMAGE=scratch
# What the labels say.
ARG VERSION=0.1.0 REVISION=unknown

FROM ${WHEELS_IMAGE} AS wheels

FROM ${PYTHON_IMAGE} AS tools
# Package sources of the machine that builds, passed on where they are set; nothing of them stays in an image. A build secret
# `ca` replaces the certificates while packages are fetched.
ARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST
ENV PIP_FIND_LINKS=/wheels \
    UV_FIND_LINKS=/wheels \
    UV_DEFAULT_INDEX=${PIP_INDEX_URL} \
    UV_INDEX=${PIP_EXTRA_INDEX_URL} \
    UV_INSECURE_HOST=${PIP_TRUSTED_HOST} \
    UV_LINK_MODE=copy \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    VIRTUAL_ENV=/opt/venv \
    PATH=/opt/uv/bin:$PATH
ARG UV_VERSION=0.13.8
RUN --mount=type=bind,from=wheels,target=/given \
    --mount=type=cache,target=/root/.cache --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    cp -r /given /wheels && python3 -m venv /opt/uv && /opt/uv/bin/pip install --quiet uv==${UV_VERSION} && \
    uv venv --quiet --python "$(readlink -f "$(command -v python3)")" /opt/venv && \
    echo /opt/torch > "$(echo /opt/venv/lib/python3*/site-packages)/torch.pth"
COPY scripts/images /build

# The pins of PyTorch, which are the same for all services, apart from the others.
FROM tools AS pins
ARG ACCELERATOR=cpu
COPY requirements/images /locks
WORKDIR /pins
RUN torch='^(torch|triton|cuda-|nvidia-)' && grep -hE "$torch" /locks/*-"${ACCELERATOR}".txt > found && sort -u found > torch.txt && \
    for lock in /locks/*.txt; do grep -vE "$torch" "$lock" > "$(basename "$lock")"; done

# PyTorch changes seldom and is most of an image: a layer of its own, the same in all. Its CPU build comes from the configured
# sources where they offer it, else from PyTorch's own.
FROM tools AS torch
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY --from=pins /pins/torch.txt /pins/
RUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    install="uv pip install --quiet --no-deps --target /opt/torch -r /pins/torch.txt" && \
    ($install || $install --index "${TORCH_INDEX}" --index-strategy unsafe-best-match) && \
    python3 /build/prune.py /opt/torch && python3 /build/bytecode.py /opt/torch

FROM tools AS judge-packages
ARG ACCELERATOR=cpu
COPY --from=pins /pins/judge-${ACCELERATOR}.txt /pins/judge.txt
RUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    sh /build/packages.sh /pins/judge.txt && python3 /build/bytecode.py /opt/venv/lib

FROM tools AS trainer-packages
ARG ACCELERATOR=cpu
COPY --from=pins /pins/trainer-${ACCELERATOR}.txt /pins/trainer.txt
RUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    sh /build/packages.sh /pins/trainer.txt && python3 /build/bytecode.py /opt/venv/lib

FROM tools AS generator-packages
COPY --from=pins /pins/generator-cpu.txt /pins/
RUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    sh /build/packages.sh /pins/generator-cpu.txt && python3 /build/bytecode.py /opt/venv/lib

# The controller has no distribution below it, only Python and what that needs. binutils make the libraries smaller; hf-xet is
# left out: without it the hub client downloads by plain HTTPS.
FROM tools AS controller-packages
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends binutils
COPY --from=pins /pins/controller.txt /pins/all.txt
RUN --mount=type=cache,target=/root/.cache --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    grep -v '^hf-xet' /pins/all.txt > /pins/controller.txt && sh /build/packages.sh /pins/controller.txt && \
    find /opt/venv -name '*.so*' -not -path '*.libs/*' -not -path '*/numpy/*' -exec strip --strip-unneeded {} +
# The bytecode of what is imported, and of nothing else, is written by importing it.
RUN find "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" -name __pycache__ -prune -exec rm -rf {} + && \
    /opt/venv/bin/python -c "import celery.apps.worker, celery.bin.celery, celery.concurrency.prefork, celery.worker.consumer, \
    fastapi, httpx, huggingface_hub, kombu.transport.redis, numpy, prometheus_fastapi_instrumentator, psycopg, pyarrow.parquet, \
    pydantic_settings, sqlalchemy.dialects.postgresql.psycopg, sqlalchemy.dialects.sqlite, tomli_w, urllib.request, \
    uvicorn.main" && \
    python3 /build/bare_root.py /bare /opt/venv && mkdir -m 1777 /bare/tmp && mkdir /writable

# Our own code comes last into every image, as it changes most.
FROM tools AS code
COPY pyproject.toml shared services /code/
RUN mkdir /opt/sparring && mv /code/sparring_* /code/*/sparring_* /opt/sparring/ && python3 /build/bytecode.py /opt/sparring && \
    python3 /build/entry_points.py /code/pyproject.toml /opt/entry-points

FROM scratch AS controller
COPY --from=controller-packages /bare /
COPY --from=controller-packages /opt/venv /opt/venv
COPY --from=controller-packages --chown=10001:10001 /writable /sparring/runs
COPY --from=controller-packages --chown=10001:10001 /writable /cache
COPY --from=code /opt/sparring/sparring_shared /opt/sparring/sparring_shared
COPY --from=code /opt/sparring/sparring_controller /opt/sparring/sparring_controller
COPY --from=code /opt/entry-points /opt/sparring
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/sparring \
    PYTHONUNBUFFERED=1 \
    HOME=/cache \
    HF_HOME=/cache/huggingface \
    SPARRING_RUNS_DIR=/sparring/runs \
    SPARRING_MODEL_ROOTS=/sparring/models:/cache/huggingface/hub \
    SPARRING_CONTROLLER_HOST=0.0.0.0
USER 10001:10001
WORKDIR /sparring
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=10s --start-period=60s --retries=6 CMD ["python", "-c", \
    "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=8)"]
CMD ["python", "-m", "sparring_controller"]
ARG VERSION REVISION
LABEL org.opencontainers.image.title="sparring/controller" \
      org.opencontainers.image.description="Sparring: runs, rounds and workers" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

FROM ${PYTHON_IMAGE} AS base
RUN --mount=type=bind,source=scripts/images,target=/build sh /build/user.sh
COPY --from=torch /opt/torch /opt/torch
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/sparring \
    PYTHONUNBUFFERED=1 \
    HOME=/cache \
    HF_HOME=/cache/huggingface \
    SPARRING_RUNS_DIR=/sparring/runs \
    SPARRING_MODEL_ROOTS=/sparring/models:/cache/huggingface/hub
WORKDIR /sparring
STOPSIGNAL SIGTERM
LABEL org.opencontainers.image.licenses="MIT"

FROM base AS judge
COPY --from=judge-packages /opt/venv /opt/venv
COPY --from=code /opt/sparring/sparring_shared /opt/sparring/sparring_shared
COPY --from=code /opt/sparring/sparring_judge /opt/sparring/sparring_judge
ENV SPARRING_JUDGE_HOST=0.0.0.0
USER 10001:10001
EXPOSE 8002
HEALTHCHECK --interval=5s --timeout=10s --start-period=10m --retries=6 CMD ["python", "-c", \
    "import urllib.request as r; r.urlopen('http://127.0.0.1:8002/readyz', timeout=8)"]
CMD ["python", "-m", "sparring_judge"]
ARG VERSION REVISION
LABEL org.opencontainers.image.title="sparring/judge" \
      org.opencontainers.image.description="Sparring: preference judge over REST" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

FROM base AS trainer
COPY --from=trainer-packages /opt/venv /opt/venv
COPY --from=code /opt/sparring/sparring_shared /opt/sparring/sparring_shared
COPY --from=code /opt/sparring/sparring_trainer /opt/sparring/sparring_trainer
ENV MPLCONFIGDIR=/tmp/matplotlib \
    SPARRING_TRAINER_DIR=/sparring/runs/.trainer \
    SPARRING_TRAINER_HOST=0.0.0.0
USER 10001:10001
EXPOSE 8003
HEALTHCHECK --interval=5s --timeout=10s --start-period=10m --retries=6 CMD ["python", "-c", \
    "import urllib.request as r; r.urlopen('http://127.0.0.1:8003/readyz', timeout=8)"]
CMD ["python", "-m", "sparring_trainer"]
ARG VERSION REVISION
LABEL org.opencontainers.image.title="sparring/trainer" \
      org.opencontainers.image.description="Sparring: training jobs over REST" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

FROM base AS generator
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends libnuma1 && rm -rf /var/lib/apt/lists/*
COPY --from=generator-packages /opt/venv /opt/venv
COPY --from=code /opt/sparring/sparring_shared /opt/sparring/sparring_shared
COPY --from=code /opt/sparring/sparring_generator /opt/sparring/sparring_generator
ENV TORCHINDUCTOR_CACHE_DIR=/cache/torchinductor \
    SPARRING_GENERATOR_HOST=0.0.0.0
USER 10001:10001
EXPOSE 8001
HEALTHCHECK --interval=5s --timeout=10s --start-period=30m --retries=6 CMD ["python", "-c", \
    "import urllib.request as r; r.urlopen('http://127.0.0.1:8001/readyz', timeout=8)"]
CMD ["python", "-m", "sparring_generator"]
ARG VERSION REVISION
LABEL org.opencontainers.image.title="sparring/generator" \
      org.opencontainers.image.description="Sparring: vLLM's OpenAI server and the policy that it serves" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

FROM ${VLLM_IMAGE} AS generator-cuda
USER 0
COPY --from=pins /pins/generator-cuda.txt /pins/
ARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST
# vLLM and nearly all of its requirements, which are ours too, are there; what is missing is added.
RUN --mount=type=bind,from=tools,target=/tools \
    --mount=type=cache,target=/root/.cache --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    export UV_FIND_LINKS=/tools/wheels UV_DEFAULT_INDEX=${PIP_INDEX_URL} UV_INDEX=${PIP_EXTRA_INDEX_URL} \
        UV_INSECURE_HOST=${PIP_TRUSTED_HOST} SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt && \
    python3 /tools/build/missing.py /pins/generator-cuda.txt > /pins/missing.txt && \
    /tools/opt/uv/bin/uv pip install --quiet --python "$(command -v python3)" --break-system-packages --no-deps -r /pins/missing.txt && \
    sh /tools/build/user.sh
COPY shared services/generator /opt/sparring/
RUN --mount=type=bind,source=scripts/images,target=/build python3 /build/bytecode.py /opt/sparring
ENV PYTHONPATH=/opt/sparring \
    PYTHONUNBUFFERED=1 \
    HOME=/cache \
    HF_HOME=/cache/huggingface \
    TORCHINDUCTOR_CACHE_DIR=/cache/torchinductor \
    SPARRING_RUNS_DIR=/sparring/runs \
    SPARRING_MODEL_ROOTS=/sparring/models:/cache/huggingface/hub \
    SPARRING_GENERATOR_HOST=0.0.0.0
USER 10001:10001
WORKDIR /sparring
EXPOSE 8001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=10s --start-period=30m --retries=6 CMD ["python3", "-c", \
    "import urllib.request as r; r.urlopen('http://127.0.0.1:8001/readyz', timeout=8)"]
ENTRYPOINT []
CMD ["python3", "-m", "sparring_generator"]
ARG VERSION REVISION
LABEL org.opencontainers.image.title="sparring/generator" \
      org.opencontainers.image.description="Sparring: vLLM's OpenAI server and the policy that it serves" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
