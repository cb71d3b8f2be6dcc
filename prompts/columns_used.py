"""Which columns of items and users the templates of a data set's prompts name."""

from collections.abc import Iterable, Iterator

from jinja2 import Environment, nodes

from prompts.layout import Layout


def columns_used(layout: Layout) -> tuple[set[str], set[str]]:
    """Columns of the items and of the users that at least one template of the pack or of a task names.

    An item's title is always among them: a history line is made of it.
    """
    items, users = {"title"}, set[str]()
    for template in _templates(layout):
        for variable, column in _parts(template):
            if variable == "item":
                items.add(column)
            elif variable == "user":
                users.add(column)
    return items, users


def columns_unused(layout: Layout) -> tuple[list[str], list[str]]:
    """Columns of the items and of the users, ids left out, that no template names; in the tables' order."""
    unused = []
    for key, rows, used in zip(
        ("item_id", "user_id"), (layout.items, layout.users), columns_used(layout), strict=True
    ):
        columns = next(iter(rows.values()), {})
        unused.append([name for name in columns if name != key and name not in used])
    return unused[0], unused[1]


def _templates(layout: Layout) -> Iterator[str]:
    """Every template by which this data set's prompts are written."""
    pack = layout.pack
    yield from (pack.head, pack.ask, *pack.lines.values())
    for task in layout.tasks.values():
        yield from (task.question, *task.paraphrases, *task.held_out)


def _parts(template: str) -> Iterable[tuple[str, str]]:
    """(variable, part) of each `variable.part`; a loop over the candidates binds items."""
    tree = Environment(autoescape=True).parse(template)
    items = {
        loop.target.name
        for loop in tree.find_all(nodes.For)
        if isinstance(loop.iter, nodes.Name) and loop.iter.name == "candidates"
        if isinstance(loop.target, nodes.Name)
    }
    named: list[tuple[nodes.Expr, str]] = [(n.node, n.attr) for n in tree.find_all(nodes.Getattr)]
    named += [
        (n.node, str(n.arg.value)) for n in tree.find_all(nodes.Getitem) if isinstance(n.arg, nodes.Const)
    ]
    for variable, part in named:
        if isinstance(variable, nodes.Name):
            yield "item" if variable.name in items else variable.name, part
