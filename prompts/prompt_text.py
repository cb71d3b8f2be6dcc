"""A user's prompt as text: its parts with their tokens, what the window cut, and where each answer is read."""

from collections.abc import Sequence
from dataclasses import dataclass

from prompts.columns_used import columns_unused
from prompts.history import Histories
from prompts.layout import Known, Layout, Question


@dataclass(frozen=True)
class ShownQuestion:
    """One question behind a user's context.

    task: its name. point: how many of the user's lines are known when it is asked. item_id: "" where it is about the
    user alone. known: what it may say. about: the item in words, for the heading.
    """

    task: str
    point: int
    known: Known
    item_id: str = ""
    about: str = ""


def prompt_text(
    layout: Layout, histories: Histories, user_id: str, questions: Sequence[ShownQuestion]
) -> str:
    """Several paragraphs: the tokens by part, the context as the model reads it, each question, the columns that no
    prompt uses. Questions of the same point share a context."""
    points = dict.fromkeys(question.point for question in questions)
    blocks = []
    for point in points:
        here = [question for question in questions if question.point == point]
        blocks += _with_context(layout, histories, user_id, point, here)
    return "\n".join([*blocks, *_unused(layout)])


def _with_context(
    layout: Layout, histories: Histories, user_id: str, point: int, questions: Sequence[ShownQuestion]
) -> list[str]:
    """The table of parts, the context and its questions."""
    head = len(layout.head(user_id))
    context = histories.context(user_id, point)
    start = histories.start(user_id, point)
    asked = [layout.question(q.task, q.item_id, q.known) for q in questions]
    cut = f"; the {start:,} oldest of {point:,} left out" if start else ""
    rows = [
        ("head", f"{head:,} tokens"),
        (
            "history",
            f"{len(context) - head:,} tokens in {point - start:,} lines, of {histories.history_tokens:,} tokens "
            f"that it may have{cut}",
        ),
        *(
            (f"{q.task} question", f"{len(a.ids):,} tokens{q.about}")
            for q, a in zip(questions, asked, strict=True)
        ),
    ]
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {what}" for name, what in rows]
    lines += ["", "---- context", layout.tokens.text(context).removesuffix("\n")]
    for question, written in zip(questions, asked, strict=True):
        lines += [
            f"---- {question.task} question",
            layout.tokens.text(written.ids) + _answer(layout, written),
        ]
    return [*lines, "----", ""]


def _answer(layout: Layout, question: Question) -> str:
    """Marks the place where the answer is read."""
    words = " or ".join(repr(layout.tokens.text([token])) for token in question.answers)
    return f"<answer: {words or 'an item, token by token'}>"


def _unused(layout: Layout) -> list[str]:
    """The columns that no template names."""
    items, users = columns_unused(layout)
    items = ["category (the statistics read it)" if column == "category" else column for column in items]
    parts = [
        f"{table}: {', '.join(columns)}" for table, columns in (("items", items), ("users", users)) if columns
    ]
    return [
        f"columns that no prompt uses: {'; '.join(parts)}" if parts else "every column is used by a prompt"
    ]
