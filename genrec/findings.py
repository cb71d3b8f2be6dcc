"""What is found in a user's data: repaired, warned of, or refused; each counted, placed, and with its cure."""

from dataclasses import dataclass, field

from genrec.errors import UserError


@dataclass(frozen=True)
class Finding:
    """what: one sentence. where: file, line and column of the first. count: rows. examples: ids or values."""

    what: str
    where: str = ""
    cure: str = ""
    count: int = 1
    examples: tuple[str, ...] = ()


@dataclass
class Findings:
    """Collects while reading goes on, so that one look at the files tells everything that is wrong with them."""

    repaired: list[str] = field(default_factory=list)
    warned: list[Finding] = field(default_factory=list)
    refused: list[Finding] = field(default_factory=list)

    def warn(
        self, what: str, where: str = "", cure: str = "", count: int = 1, examples: tuple[str, ...] = ()
    ) -> None:
        self.warned.append(Finding(what, where, cure, count, examples))

    def refuse(
        self, what: str, where: str = "", cure: str = "", count: int = 1, examples: tuple[str, ...] = ()
    ) -> None:
        self.refused.append(Finding(what, where, cure, count, examples))

    def refuse_error(self, error: UserError) -> None:
        self.refused.append(Finding(error.what, error.where, error.cure))

    def lines(self) -> list[str]:
        """All that was found, as a terminal shows it."""
        repaired = [f"repaired  {line}" for line in self.repaired]
        warned = [_shown("warned  ", finding) for finding in self.warned]
        return [*repaired, *warned, *(_shown("refused ", finding) for finding in self.refused)]

    def stop_if_refused(self) -> None:
        """Raise the first refusal as a UserError; it says how many more there are."""
        if not self.refused:
            return
        first, more = self.refused[0], len(self.refused) - 1
        others = f"; `genrec data check` shows {more} more" if more else ""
        raise UserError(told(first), where=first.where, cure=first.cure + others)


def told(finding: Finding) -> str:
    """The sentence with its count and examples."""
    rows = f" ({finding.count:,} rows)" if finding.count > 1 else ""
    examples = f": {', '.join(finding.examples)}" if finding.examples else ""
    return finding.what + examples + rows


def _shown(label: str, finding: Finding) -> str:
    lines = [f"{label}  {told(finding)}"]
    lines += [f"          where: {finding.where}"] * bool(finding.where)
    lines += [f"          cure:  {finding.cure}"] * bool(finding.cure)
    return "\n".join(lines)
