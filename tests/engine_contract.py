"""What every engine promises. A subclass gives `engine` and `reference` fixtures; its tests are these."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from genrec.errors import UserError
from prompts.layout import Question
from serve.engine import Engine, Request

Reference = Callable[
    [Sequence[int]], np.ndarray
]  # token ids -> (vocabulary,) logits after the last one, one by one

RNG = np.random.default_rng(0)
CONTEXT = tuple(RNG.integers(1, 120, 40).tolist())
OTHER = (*CONTEXT[:25], *RNG.integers(1, 120, 15).tolist())
IDS = [tuple(RNG.integers(1, 120, n).tolist()) for n in (5, 1, 9, 7, 5)]
ANSWERS = (7, 3, 90)
# The first is a prefix of the sixth, as a click question is of its convert question; the last is read at the
# context's end.
QUESTIONS = [Question(ids, ANSWERS) for ids in (*IDS, IDS[0] + IDS[1], ())]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()))


class EngineContract:
    tolerance = 1e-3  # of log-odds
    longest = 256  # tokens of a prompt that it can score

    def expected(self, reference: Reference, context: Sequence[int], question: Question) -> np.ndarray:
        logits = reference((*context, *question.ids))
        if question.over == "vocabulary":
            return log_softmax(logits)[list(question.answers)]
        return log_softmax(logits[list(question.answers)])

    def agree(self, engine: Engine, reference: Reference, requests: Sequence[Request]) -> None:
        for request, found in zip(requests, engine.score(requests), strict=True):
            assert len(found) == len(request.questions)
            for question, logprobs in zip(request.questions, found, strict=True):
                assert logprobs.dtype == np.float64
                wanted = self.expected(reference, request.context, question)
                np.testing.assert_allclose(logprobs, wanted, atol=self.tolerance, rtol=0)

    def test_packed_scoring_is_one_by_one_scoring(self, engine: Engine, reference: Reference) -> None:
        self.agree(engine, reference, [Request(CONTEXT, QUESTIONS)])

    def test_the_whole_vocabulary(self, engine: Engine, reference: Reference) -> None:
        questions = [Question(ids, (3, 3 + n, 100), "vocabulary") for n, ids in enumerate((*IDS, ()))]
        self.agree(engine, reference, [Request(CONTEXT, questions), Request(CONTEXT, QUESTIONS)])

    def test_a_history_at_several_points_and_two_users(self, engine: Engine, reference: Reference) -> None:
        contexts = [CONTEXT[:20], OTHER, CONTEXT, CONTEXT[:33], CONTEXT[:33], OTHER[:30], (), CONTEXT[:1]]
        self.agree(engine, reference, [Request(c, QUESTIONS[:5]) for c in contexts])

    def test_a_question_that_the_history_goes_on_to_hold(self, engine: Engine, reference: Reference) -> None:
        inside = [Question(CONTEXT[20:n], ANSWERS) for n in (21, 25, 40)]
        beyond = [Question((*CONTEXT[20:], 5), ANSWERS), Question((*CONTEXT[20:30], 6, 7), ANSWERS)]
        self.agree(engine, reference, [Request(CONTEXT, QUESTIONS), Request(CONTEXT[:20], inside + beyond)])

    def test_what_was_asked_before_changes_nothing(self, engine: Engine, reference: Reference) -> None:
        for context in (CONTEXT[:10], CONTEXT, CONTEXT[:30], OTHER, CONTEXT, CONTEXT[:10], OTHER[:35]):
            self.agree(engine, reference, [Request(context, QUESTIONS)])

    def test_no_question_sees_another(self, engine: Engine) -> None:
        together = engine.score([Request(CONTEXT, QUESTIONS)])[0]
        alone = [engine.score([Request(CONTEXT, [question])])[0][0] for question in QUESTIONS]
        backwards = engine.score([Request(CONTEXT, QUESTIONS[::-1])])[0][::-1]
        for a, b, c in zip(together, alone, backwards, strict=True):
            np.testing.assert_allclose(a, b, atol=self.tolerance, rtol=0)
            np.testing.assert_allclose(a, c, atol=self.tolerance, rtol=0)

    def test_a_request_without_questions_has_no_answers(self, engine: Engine) -> None:
        assert engine.score([]) == []
        assert engine.score([Request(CONTEXT, [])]) == [[]]

    def test_an_empty_prompt_is_a_mistake(self, engine: Engine) -> None:
        with pytest.raises(ValueError, match="empty"):
            engine.score([Request((), [Question((), ANSWERS)])])

    def test_a_prompt_that_the_model_cannot_read_is_refused_to_the_token(self, engine: Engine) -> None:
        question = Question((6, 7), ANSWERS)
        (found,) = engine.score([Request((5,) * (self.longest - 2), [question])])[0]
        assert np.exp(found).sum() == pytest.approx(1)
        with pytest.raises(UserError, match=f"{self.longest + 1} tokens"):
            engine.score([Request((5,) * (self.longest - 1), [question])])

    def test_generate_takes_the_most_likely_token_each_time(
        self, engine: Engine, reference: Reference
    ) -> None:
        written = engine.generate(CONTEXT, max_tokens=6, stop=())
        assert len(written) == 6
        for n, token in enumerate(written):
            logits = reference((*CONTEXT, *written[:n]))
            assert logits[token] >= logits.max() - self.tolerance
        assert engine.generate(CONTEXT, max_tokens=0, stop=()) == []

    def test_generate_ends_before_a_stop_token(self, engine: Engine) -> None:
        written = engine.generate(CONTEXT, max_tokens=6, stop=())
        stop = written[3]
        assert engine.generate(CONTEXT, max_tokens=6, stop=(stop,)) == written[: written.index(stop)]

    def test_embeddings_have_length_one_and_depend_on_their_own_prompt_alone(self, engine: Engine) -> None:
        together = engine.embed([CONTEXT, *IDS])
        assert together.dtype == np.float32
        assert together.shape[0] == 6
        np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-4)
        for prompt, embedding in zip([CONTEXT, *IDS], together, strict=True):
            np.testing.assert_allclose(engine.embed([prompt])[0], embedding, atol=self.tolerance)
        assert abs(together[1] @ together[2]) < 0.999
