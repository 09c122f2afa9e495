# Stands in for vLLM's image, which is too large to pull for a test: vLLM is installed, our user, our code and pyarrow are not.
ARG BASE
FROM ${BASE}
# hadolint ignore=DL3002
USER 0
RUN userdel sparring && rm -rf /cache /sparring /opt/sparring /opt/venv/lib/python3*/site-packages/pyarrow*
ENTRYPOINT ["vllm", "serve"]
