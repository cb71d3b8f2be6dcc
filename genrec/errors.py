"""The one error that a user is meant to read: what is wrong, where, and what to do about it."""


class UserError(Exception):
    """A problem that the person at the keyboard can fix.

    what: one sentence. where: file, row, field or option. cure: what to do next.
    The command line prints the three and exits with code 2, without a traceback.
    """

    def __init__(self, what: str, where: str = "", cure: str = "") -> None:
        self.what, self.where, self.cure = what, where, cure
        super().__init__(str(self))

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.cure:
            lines.append(f"  cure:  {self.cure}")
        return "\n".join(lines)
