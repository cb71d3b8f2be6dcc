"""Questions as single prompts: one of each context goes first, answers come back where they belong."""

import numpy as np
import pytest

from prompts.layout import Question
from serve.engine import Request
from serve.fan_out import MOST_TOKENS, Answers, prompts, waves

LONG = (1, 2, 3, 4)
OTHER = (9, 9)


def requests() -> list[Request]:
    questions = [Question((7,), (5, 6)), Question((8,), (5, 6)), Question((), (5, 6, 4), "vocabulary")]
    return [Request(LONG[:2], questions), Request(LONG, questions), Request(OTHER, questions)]


def test_one_question_of_each_context_that_no_other_continues_goes_first() -> None:
    asked = prompts(requests(), 100)
    first, rest = waves(requests(), asked)
    assert [prompt.ids for prompt in first] == [(*LONG, 7), (*OTHER, 7)]
    assert len(first) + len(rest) == len(asked) == 9
    assert not {id(prompt) for prompt in first} & {id(prompt) for prompt in rest}


def test_answers_are_shares_of_a_questions_answers_or_of_the_vocabulary() -> None:
    found = Answers(requests())
    for prompt in prompts(requests(), 100):
        found.put(prompt, lambda token, last=prompt.ids[-1]: -float(token * last))  # type: ignore[misc]
    for request, rows in zip(requests(), found.all(), strict=True):
        for question, row in zip(request.questions, rows, strict=True):
            raw = -np.array(question.answers, np.float64) * (*request.context, *question.ids)[-1]
            wanted = raw if question.over == "vocabulary" else raw - np.logaddexp.reduce(raw)
            np.testing.assert_allclose(row, wanted)


def test_more_tokens_than_a_prompt_may_ask_for_are_asked_in_parts() -> None:
    many = Request(LONG, [Question((7,), tuple(range(MOST_TOKENS + 3)), "vocabulary")])
    parts = prompts([many], 100)
    assert [len(part.tokens) for part in parts] == [MOST_TOKENS, 3]
    found = Answers([many])
    found.put(parts[0], float)
    with pytest.raises(RuntimeError, match="no answer"):
        found.all()
    found.put(parts[1], float)
    assert found.all()[0][0].tolist() == list(range(MOST_TOKENS + 3))
