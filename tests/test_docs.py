"""The docs hold: commands parse, links lead somewhere, examples load and run, and no field is left undescribed."""

import csv
import re
import shlex
from collections import Counter
from dataclasses import fields
from importlib.metadata import entry_points
from pathlib import Path

import pandas as pd
import pytest
import yaml

from finetune.recipe import FOLDER
from genrec.cli import find, load, main
from genrec.command import GROUP, Parser, fill
from genrec.tasks import Task, load_task

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
EXAMPLES = sorted((DOCS / "examples").glob("*.yaml"))


def text(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def blocks(page: str, language: str) -> list[str]:
    """Fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def command_lines(page: str) -> list[str]:
    """What follows `genrec` in each line of a code block, without the remark after two spaces or a #."""
    fenced = "".join(re.findall(r"^```\w*\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    indented = "".join(re.findall(r"^ {4}.*\n", page, re.MULTILINE))
    found = re.findall(r"^ *(?:\$ )?(?:\S*/)?genrec (.*)$", fenced + indented, re.MULTILINE)
    return [re.split(r" {2,}| #", line)[0] for line in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_parses(page: Path) -> None:
    for line in command_lines(page.read_text("utf-8")):
        name, *arguments = shlex.split(line)
        if not name.startswith("-"):
            fill(Parser(prog=f"genrec {name}"), load(find(name))).parse_args(arguments)


def test_command_lines_are_found_where_docs_write_them() -> None:
    assert command_lines(
        "Run\n\n    genrec eval        compare\n    make\n\n```sh\n$ .venv/bin/genrec train  # long\n```\n"
    ) == ["train", "eval"]
    assert len(command_lines(text("eval.md"))) >= 4


def test_help_teaches_by_examples_that_parse_and_names_every_recipe(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in entry_points(group=GROUP).names:
        command = load(find(name))
        assert command.examples, name
        for example in command.examples:
            fill(Parser(prog=f"genrec {name}"), command).parse_args(shlex.split(example)[2:])
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    told = capsys.readouterr().out
    assert all(f"\n  {path.stem} " in told for path in FOLDER.glob("*.yaml"))
    assert main(["--help"]) == 0
    for line in re.findall(r"^  genrec (.*)$", capsys.readouterr().out, re.MULTILINE):
        name, *arguments = shlex.split(re.split(r" {2,}", line)[0])
        fill(Parser(prog=f"genrec {name}"), load(find(name))).parse_args(arguments)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"`genrec ([a-z]+)", page.read_text("utf-8"))
    assert set(named) <= entry_points(group=GROUP).names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    content = page.read_text("utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)", content) + re.findall(r'(?:src|href)="([^"]+)"', content)
    local = [link.partition("#")[0] for link in links if not re.match(r"[a-z]+:|#", link)]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_task_loads(path: Path) -> None:
    assert load_task(path).name == path.stem


def test_the_pages_show_the_example_files_as_they_are() -> None:
    assert blocks(text("tasks.md"), "yaml") == [(DOCS / "examples/rating.yaml").read_text("utf-8")]
    assert blocks(text("your-log.md"), "yaml") == [
        (DOCS / "examples" / folder / "mapping.yaml").read_text("utf-8") for folder in ("shop", "three-logs")
    ]


def test_pages_describe_every_field_and_name() -> None:
    from eval.measures import BINARY
    from eval.protocols import PROTOCOLS
    from finetune.recipe import Recipe
    from genrec.sources import names
    from genrec.tasks import RULES
    from prompts import pack
    from prompts.adapter import AdapterCard

    expected = {
        "tasks.md": [f.name for f in (*fields(Task), *fields(pack.Pack))] + list(RULES),
        "sources.md": names(),
        "training.md": [f.name for f in (*fields(Recipe), *fields(AdapterCard))],
        "eval.md": [*BINARY, *PROTOCOLS],
    }
    missing = {page: [n for n in words if f"`{n}`" not in text(page)] for page, words in expected.items()}
    assert missing == {page: [] for page in expected}
    assert all(f"[{path.stem}]" in text("training.md") for path in FOLDER.glob("*.yaml"))
    assert all(path.stem in text("tasks.md") for path in pack.FOLDER.glob("*.yaml"))


# ---- examples that run --------------------------------------------------------------------------------------


def write_rows(path: Path, *rows: str) -> None:
    path.write_text("\n".join(rows) + "\n", "utf-8")


def test_the_mapping_of_the_page_reads_the_shop_beside_it() -> None:
    from genrec.check import check
    from prompts.pack import TASKS

    report = check(DOCS / "examples/shop", [TASKS])
    assert report.exit_code == 0, str(report)
    # A log of 105 events has few examples in its last splits.
    assert all("examples of" in warning.what for warning in report.findings.warned), str(report)
    assert not report.findings.repaired
    assert report.loaded is not None
    tables, reading, _ = report.loaded
    assert set(tables.events["event"].to_pylist()) == {"impression", "click", "convert", "visit"}
    assert ["Food", "Drinks"] in tables.items["category"].to_pylist()
    assert reading.labels == yaml.safe_load(blocks(text("your-log.md"), "yaml")[0])["labels"]


def test_the_three_logs_of_the_page_are_read_as_one() -> None:
    from genrec.check import check
    from prompts.pack import TASKS

    report = check(DOCS / "examples/three-logs", [TASKS])
    assert report.exit_code == 0, str(report)
    assert all("examples of" in warning.what for warning in report.findings.warned), str(report)
    assert report.loaded is not None
    shop = check(DOCS / "examples/shop", [TASKS]).loaded
    assert shop is not None
    kinds = [
        Counter(loaded.tables.events["event"].to_pylist()) - Counter({"visit": 10**6})
        for loaded in (report.loaded, shop)
    ]
    assert kinds[0] == kinds[1]
    orders, expected = (
        sorted(
            (row["user_id"], row["item_id"], row["ts"], row["value"])
            for row in loaded.tables.events.to_pylist()
            if row["event"] == "convert"
        )
        for loaded in (report.loaded, shop)
    )
    assert orders == expected  # local times of Berlin on the one side, seconds since 1970 on the other


def test_every_unit_of_times_is_described() -> None:
    from genrec.sources.files.units import UNITS

    assert [unit for unit in UNITS if f"`{unit}`" not in text("your-log.md")] == []


def test_the_source_of_the_page_reads_its_export(tmp_path: Path) -> None:
    from genrec.dataset import prepare
    from genrec.tasks import load_tasks
    from prompts.pack import TASKS

    module: dict[str, object] = {}
    exec(blocks(text("sources.md"), "python")[0], module)
    days = [f"2024-03-{day:02d}T08:00:00Z" for day in range(1, 31)]
    write_rows(
        tmp_path / "sent.csv",
        "reader,article,sent,opened",
        *[
            f"r{n % 3},a{n % 5},{day},{day.replace('T08', 'T09') if n % 2 else ''}"
            for n, day in enumerate(days)
        ],
        "r1,b,2024-03-01T08:00:00Z,",
    )
    write_rows(
        tmp_path / "articles.csv",
        "article,headline,language",
        *[f"a{n},Headline {n},en" for n in range(5)],
        "b,Titel,de",
    )
    loaded = module["load"](tmp_path, language="en")  # type: ignore[operator]
    assert loaded.repairs == [
        "1 rows are of articles in other languages: left out",
        "1 events stand after a later one in the file: sorted by time",
    ]
    tasks = load_tasks([TASKS], loaded.reading.tasks, loaded.reading.labels)
    click = prepare(loaded, tasks).examples.query("task == 'click'")
    assert (len(click), int(click.label.sum())) == (30, 15)


def test_the_python_of_the_evaluation_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from small_shop import shop

    from genrec.dataset import Prepared

    data = shop()
    data.save(tmp_path / "data/small-shop")
    asked = data.examples[(data.examples.task == "click") & data.examples.split.isin(["valid", "test"])]
    with (tmp_path / "today.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["task", "user_id", "item_id", "ts", "p"])
        writer.writerows(["click", e.user_id, e.item_id, e.ts, 0.1] for e in asked.itertuples())
    monkeypatch.chdir(tmp_path)
    for block in blocks(text("eval.md"), "python"):
        exec(block, {"__name__": "docs"})
    again = Prepared.load(Path("data/small-shop-last"))
    assert again.reading.split == {"by": "last"}
    assert not pd.isna(again.train_end)
    assert "'metric': 'auc'" in capsys.readouterr().out
    assert sorted(p.name for p in Path("results").iterdir()) == ["click-item-share.json", "click-today.json"]
