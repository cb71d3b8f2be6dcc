"""`genrec data prompt`: what it prints is what the model reads, its tokens, its cut, the columns left unused."""

import re
import tomllib
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pyarrow as pa
import pytest
from small_logs import prepared, row
from small_prompts import SHIPPED, USERS, layout, tokens

from genrec.command import Command, Parser, fill
from genrec.dataset import Prepared
from genrec.errors import UserError
from genrec.tables import Tables
from prompts.adapter import histories_of, layout_of
from prompts.columns_used import columns_unused, columns_used
from prompts.commands import HISTORY_TOKENS, prompt
from prompts.layout import Known

DAY = 24 * 60


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of two users: u has forty impressions, an hour apart, and clicks every third."""
    rows = [row("v", "a", 0, "impression"), row("v", None, 60 * DAY, "visit")]
    for k in range(40):
        rows.append(row("u", "abc"[k % 3], 60 * k, "impression"))
        if k % 3 == 0:
            rows.append(row("u", "abc"[k % 3], 60 * k + 1, "click"))
    data = prepared(rows, SHIPPED)
    items = data.tables.items.append_column("price", pa.array([1.0, 2.0, 3.0]))
    users = data.tables.users.append_column("age", pa.array([24, 50])).append_column(
        "colour", pa.array(["red", "blue"])
    )
    folder = tmp_path_factory.mktemp("data") / "small"
    replace(data, tables=Tables(data.tables.events, items, users)).save(folder)
    return folder


def printed(place: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    args = fill(Parser(prog="prompt"), prompt).parse_args([str(place), *options])
    assert prompt.run(args) == 0
    return capsys.readouterr().out


def context_of(out: str) -> str:
    return out.partition("---- context\n")[2].partition("\n---- ")[0]


def test_the_text_is_what_the_model_reads_and_every_task_is_asked(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = printed(place, capsys, "--user", "u", "--history-tokens", "4000")
    data = Prepared.load(place)
    written = layout_of(data, tokens_of())
    histories = histories_of(data, written, 4000)
    ids = histories.context("u", data.points_now()["u"])
    assert context_of(out) == written.tokens.text(ids).removesuffix("\n")
    head, lines = len(written.head("u")), len(ids) - len(written.head("u"))
    assert re.search(rf"^head +{head} tokens$", out, re.MULTILINE)
    assert re.search(
        rf"^history +{lines:,} tokens in 40 lines, of 4,000 tokens that it may have$", out, re.MULTILINE
    )
    assert re.findall(r"^---- (\w+) question$", out, re.MULTILINE) == ["click", "convert", "next", "return"]
    assert "about item a (A)" in out  # the user's last
    assert out.count("<answer: ' yes' or ' no'>") == 3
    assert out.count("<answer: an item, token by token>") == 1
    assert "of history in all" in out


def tokens_of() -> object:
    from prompts.language_model import load_tokenizer

    return load_tokenizer("smollm2-135m")


def test_what_the_window_cuts_is_counted(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = context_of(printed(place, capsys, "--user", "u", "--history-tokens", "4000"))
    out = printed(place, capsys, "--user", "u", "--history-tokens", "60")
    match = re.search(
        r"tokens in (\d+) lines, of 60 tokens that it may have; the (\d+) oldest of 40 left out", out
    )
    assert match is not None
    kept, cut = map(int, match.groups())
    assert kept + cut == 40
    head = len(whole.splitlines()) - 40
    assert len(context_of(out).splitlines()) == head + kept
    assert context_of(out).splitlines()[head:] == whole.splitlines()[head + cut :]


def test_one_task_and_item_can_be_chosen_by_id_or_title(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    by_id, by_title = (
        printed(place, capsys, "--user", "u", "--task", "click", "--item", name) for name in ("b", "B")
    )
    assert by_id == by_title
    assert "about item b (B)" in by_id
    assert re.findall(r"^---- (\w+) question$", by_id, re.MULTILINE) == ["click"]


def test_an_example_is_asked_where_training_asks_it(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(
        place, capsys, "--user", "u", "--task", "click", "--example", "5", "--history-tokens", "4000"
    )
    data = Prepared.load(place)
    rows = data.examples.index[(data.examples.user_id == "u") & (data.examples.task == "click")]
    example = data.examples.loc[rows[4]]
    assert example.point == 4
    assert f"about item {example.item_id} ({example.item_id.upper()}); {example.split} split, label 0" in out
    assert len(context_of(out).splitlines()) == 2 + 4
    written = layout_of(data, tokens_of())
    question = written.question("click", example.item_id, Known(data.stats["running"].loc[rows[4]].to_dict()))
    assert out.partition("---- click question\n")[2].startswith(written.tokens.text(question.ids))


def test_columns_that_no_prompt_uses_are_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = printed(place, capsys, "--user", "v")
    assert out.endswith(
        "columns that no prompt uses: items: category (the statistics read it), price; users: colour\n"
    )


def test_only_the_items_column_that_the_statistics_read_says_so(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = Prepared.load(place)
    items = data.tables.items.append_column("category_id", pa.array([1, 2, 3]))
    users = data.tables.users.append_column("category", pa.array(["new", "old"]))
    replace(data, tables=Tables(data.tables.events, items, users)).save(tmp_path / "named")
    assert printed(tmp_path / "named", capsys, "--user", "v").endswith(
        "items: category (the statistics read it), price, category_id; users: colour, category\n"
    )


def test_a_column_counts_as_used_wherever_a_template_names_it() -> None:
    assert columns_used(layout()) == ({"title"}, {"age", "gender", "occupation"})
    task = replace(
        SHIPPED["next"],
        question="{% for film in candidates %}{{ film['year'] }}{% endfor %}{{ horizon_days }}",
    )
    own = layout(tasks={"next": task}, users={"u": {**USERS["u"], "horizon_days": 3}})
    assert columns_used(own)[0] == {"title", "year"}
    assert columns_unused(own) == ([], ["city", "horizon_days"])


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--user", "w"], "small has no user 'w'"),
        (["--user", "u", "--task", "like"], "small has no task 'like'"),
        (["--user", "u", "--item", "d"], "'d' is no item's id or title"),
        (["--user", "u", "--example", "1"], "--example is of a task"),
        (["--user", "u", "--task", "click", "--example", "41"], "has 40 examples of click"),
        (["--user", "u", "--task", "click", "--example", "1", "--item", "a"], "An example has its own item"),
        (["--user", "u", "--task", "next", "--item", "a"], "No item is asked about by next"),
        (["--user", "u", "--task", "return", "--item", "a"], "No item is asked about by return"),
        (["--user", "u", "--history-tokens", "0"], "--history-tokens is 0"),
    ],
)
def test_what_is_not_there_is_said(
    place: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    with pytest.raises(UserError, match=re.escape(says)):
        printed(place, capsys, *options)


def test_a_user_of_the_table_alone_has_a_head_and_no_history(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = printed(place, capsys, "--user", "v", "--task", "click")
    assert "50 years" in context_of(out)
    assert tokens().text(tokens().literal("50 years")) == "50 years"


def test_its_default_window_is_the_demo_recipes() -> None:
    from finetune.recipe import load_recipe

    assert load_recipe("demo-cpu").history_tokens == HISTORY_TOKENS


def test_it_is_an_action_of_genrec_data() -> None:
    root = Path(__file__).parent.parent
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    module, _, name = project["entry-points"]["genrec.data"]["prompt"].partition(":")
    assert isinstance(getattr(import_module(module), name), Command)
