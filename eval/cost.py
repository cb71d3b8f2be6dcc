"""What answering cost: questions asked of the model, the time they took, and which answers had been given before."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from eval.recommender import Counting, Recommender, Work
from genrec.chain import CHAIN, CTCVR

# seconds; questions; remembered: examples answered from memory, by the pass that asked them; searches: the numbers of
# eval.recommender.Searches.
Spent = Mapping[str, Any]


def work_of(recommender: Recommender) -> Work | None:
    """What it has counted so far; None of one that does not count."""
    return recommender.work if isinstance(recommender, Counting) else None


def spent(seconds: float, task: str, rows: int, before: Work | None, after: Work | None) -> Spent:
    """Of one call. A recommender that does not count is asked each example once, both steps of ctcvr."""
    if before is None or after is None:
        questions = rows * (2 if task == CTCVR else 1)
        return {"seconds": seconds, "questions": questions, "remembered": {}, "searches": [0, 0, 0.0]}
    remembered = Counter(after.remembered)
    remembered.subtract(before.remembered)
    return {
        "seconds": seconds,
        "questions": after.questions - before.questions,
        "remembered": {name: n for name, n in remembered.items() if n},
        "searches": [now - earlier for now, earlier in zip(after.searches, before.searches, strict=True)],
    }


def together(parts: Iterable[Spent]) -> Spent:
    """Of several calls; without `questions` where one of them was kept before they were counted."""
    parts = list(parts)
    whole: dict[str, Any] = {"seconds": sum(part["seconds"] for part in parts)}
    if all("questions" in part for part in parts):
        whole["questions"] = sum(part["questions"] for part in parts)
        whole["remembered"] = dict(sum((Counter(part["remembered"]) for part in parts), Counter()))
        searches = [
            part.get("searches", [0, 0, 0.0]) for part in parts
        ]  # kept parts of earlier versions say none
        whole["searches"] = [sum(numbers) for numbers in zip(*searches, strict=True)] or [0, 0, 0.0]
    return whole


def cost(spent: Spent, task: str, rows: int, lists: bool = False) -> dict[str, Any]:
    """A result's `cost`: seconds, questions, and of the examples asked anew how many a second (lists: of items), with a
    note where some were not. Of lists that were searched for: how many are exact, and by how many nats on the mean a
    missing item may be better in the others. Nothing where it is not known what was asked: the time alone would say too
    little."""
    if "questions" not in spent:
        return {}
    anew = rows - sum(spent["remembered"].values())
    speed = anew / spent["seconds"] if anew and spent["seconds"] else None
    found = {"seconds": spent["seconds"], "questions": spent["questions"]}
    found["lists_per_second" if lists else "candidates_per_second"] = speed
    notes = [_note(name, n, rows) for name, n in spent["remembered"].items()]
    exact, bounded, gaps = spent.get("searches", (0, 0, 0.0))
    if exact + bounded:
        found |= {"exact_lists": exact, "mean_gap": gaps / bounded if bounded else 0.0}
    if bounded:
        notes.append(
            f"{exact:,} of {exact + bounded:,} lists exact, a gap of {gaps / bounded:.2f} in the others"
        )
    if task in CHAIN and spent["questions"] > anew:
        notes.append("click and convert asked in one pass")
    return found | ({"note": "; ".join(notes)} if notes else {})


def _note(name: str, n: int, rows: int) -> str:
    return f"answered in {name}'s pass" if n == rows else f"{n:,} of {rows:,} answered in {name}'s pass"
