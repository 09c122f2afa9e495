"""What questions to a chat endpoint cost, for `/metrics`."""

from prometheus_client import Counter

REQUESTS = Counter(
    "sparring_judge_endpoint_requests", "Requests sent to the chat endpoint, those that were tried again as well."
)
RETRIES = Counter("sparring_judge_endpoint_retries", "Requests that were sent again, as the endpoint was busy or failed.")
FAILURES = Counter("sparring_judge_endpoint_failures", "Questions that got no answer in the end.", ["type"])
PROMPT_TOKENS = Counter("sparring_judge_endpoint_prompt_tokens", "Tokens that the endpoint read, by its own account.")
COMPLETION_TOKENS = Counter("sparring_judge_endpoint_completion_tokens", "Tokens that the endpoint wrote, by its own account.")
