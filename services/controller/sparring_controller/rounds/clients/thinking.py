"""Answers that think before they answer, as Qwen3, DeepSeek-R1 and others write it: `<think>...</think>`, then the answer."""

_START, _END = "<think>", "</think>"


def final_answer(prompt_text: str, text: str) -> str | None:
    """What an answer says after its thinking; None if that never ended. An answer without any thinking is final as it is.

    Some chat templates open the thinking at the end of the prompt, so that the answer holds its end alone.
    Example: `final_answer("user: Is zinc a metal? assistant: ", "<think>Zn.</think>\\n\\nYes.")` is `"Yes."`.
    """
    _, ended, answer = text.partition(_END)
    if ended:
        return answer.lstrip()
    opened = _START in text or prompt_text.rstrip().endswith(_START)
    return None if opened else text
