"""Generator: vLLM's own OpenAI server, with the policy endpoints that change its weights without a restart.

K candidates of one prompt come from one request, vLLM's own::

    POST /v1/chat/completions                                   x-sparring-policy: sha256:5e0c...
    {"model": "policy", "messages": [...], "n": K, "temperature": 1.0, "top_p": 1.0, "max_tokens": 256, "seed": 7,
     "logprobs": true, "return_token_ids": true, "return_prompt_text": true}
      ->  {"prompt_token_ids": [...], "prompt_text": "<s>user: ...",
           "choices": [{"index", "message": {"content"}, "finish_reason", "token_ids": [...],
                        "logprobs": {"content": [{"logprob", ...}, ...]}}, ...]}

`prompt_token_ids` are what the policy read: the chat template may write another prompt when it is rendered again.
`choices[i].token_ids` are the sampled tokens, with what ended the answer when `finish_reason` is "stop": the end-of-turn
token, or the tokens of a `stop` string, which `content` leaves out.
`choices[i].logprobs.content[j].logprob` is log pi(token_ids[j]) in nats, one for each of them, untempered (vLLM's
`raw_logprobs`): their sum is `Candidate.logprob` whatever the temperature. Choice i of seed s is the only choice of seed s + i.

The header `x-sparring-policy` on a sampling request is the digest that must be loaded, else 409 `policy_mismatch`; on the
answer it is the digest that made it. The weights never change while a sampling request is being answered.
"""
