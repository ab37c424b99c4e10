"""Runs every block of docs/analysts.md on the output of `cohorts demo`, in the tool that it is for.

What each question should give is worked out again from the CSV, by Python's own csv module; types, nulls and instants of every
report are compared with it too. The machine's time zone is an odd one on purpose.
"""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from collections import Counter
from datetime import date, datetime, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

# Half an hour off, with summer time: what is taken for local time somewhere shows.
os.environ["TZ"] = "America/St_Johns"

import duckdb  # noqa: E402
import openpyxl  # noqa: E402
import pandas  # noqa: E402
import polars  # noqa: E402
from pyspark.sql import SparkSession  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("COHORTS_BIN", ROOT / "target/debug/cohorts")).resolve()
MONTH = "output/demo/reports/run_month=2026-10"
BLOCK = re.compile(r"^```(\w+) (\w+) ([\w-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOOLS = ("duckdb", "pandas", "polars", "spark")


def blocks():
    text = (ROOT / "docs/analysts.md").read_text(encoding="utf-8")
    return {(tool, question): code for _, tool, question, code in BLOCK.findall(text)}


def rows_of(name, folder=MONTH):
    """The CSV, with null as None, which an empty text is not."""
    text = Path(folder, f"{name}.csv").read_text(encoding="utf-8")
    # csv does not tell an empty text from nothing.
    marked = re.sub(r'(?<=[,\n])""(?=[,\n])', '"\0"', text)
    head, *rows = csv.reader(marked.splitlines(keepends=True))
    cell = lambda value: None if value == "" else value.replace("\0", "")
    return [dict(zip(head, map(cell, row))) for row in rows]


def instant(text):
    return None if text is None else datetime.fromisoformat(text.replace("Z", "+00:00"))


def whole(text):
    return None if text is None else int(text)


def number(text):
    return None if text is None else float(text)


def day(text):
    return None if text is None else date.fromisoformat(text)


def expected():
    """What each question should give."""
    members = rows_of("members")
    present = [row for row in members if row["change"] != "departed"]
    of = lambda rows, cohort: [row for row in rows if row["cohort_name"] == cohort]
    answers = {}

    left_and_opened = lambda rows: [row for row in rows if row["change"] == "departed" and int(row["conversations_opened"]) >= 2]
    left, months = [], []
    for folder in sorted(Path("output/demo/reports").iterdir()):
        for row in left_and_opened(of(rows_of("members", folder), "Active")):
            left.append((day(row["month"]), row["contact_id"], row["email"], int(row["conversations_opened"])))
        for row in rows_of("cohort_summary", folder):
            if row["churn_rate"] is not None:
                counts = (int(row["departed"]), int(row["previous_members"]), float(row["churn_rate"]))
                months.append((row["cohort_name"], day(row["month"]), *counts))
    answers["left-and-opened"], answers["churn"] = left, sorted(months)
    answers["left-value-lead"] = left_and_opened(of(members, "value_lead"))

    opted = []
    for folder in sorted(Path("output/demo/reports").iterdir()):
        for row in of(rows_of("unsubscribes", folder), "Active"):
            if int(row["newly_opted_out"] or 0) > 0:
                opted.append((day(row["month"]), row["subscription_name"], *(int(row[name]) for name in ("newly_opted_out", "opted_out", "members"))))
    answers["opted-out"] = sorted(opted)
    columns = ("contact_id", "external_id", "country")
    answers["from-csv"] = [(*(row[name] for name in columns), whole(row["months_in_cohort"])) for row in of(members, "value_lead")]

    entered = [row for row in of(rows_of("retention"), "value_lead") if row["entry_is_censored"] == "false"]
    answers["retention"] = sorted(
        (day(row["entry_month"]), int(row["age_months"]), int(row["entrants"]), int(row["retained"]), number(row["retention_rate"]))
        for row in entered
    )

    slipping = {row["contact_id"] for row in of(present, "Slipping Away")}
    plans = {row["contact_id"]: row["value"] for row in rows_of("member_attributes") if row["attribute"] == "custom_attributes.plan"}
    both = [row for row in of(present, "value_lead") if row["contact_id"] in slipping]
    answers["in-both"] = sorted(((row["contact_id"], row["email"], plans.get(row["contact_id"])) for row in both), key=lambda row: row[0])

    common = [row for row in of(rows_of("attribute_profile"), "Slipping Away") if row["lift_low"] and float(row["lift_low"]) > 1.5]
    common = [row for row in common if row["q_value"] and float(row["q_value"]) < 0.05]
    counts = ["members", "members_known", "others", "others_known"]
    common = [(row["attribute"], row["value"], *(int(row[name]) for name in counts), float(row["lift"]), float(row["lift_low"])) for row in common]
    answers["in-common"] = sorted(common, key=lambda row: (-row[7], row[1]))

    seen = [instant(row["last_seen_at"]) for row in of(present, "Active") if row["last_seen_at"]]
    answers["local-days"] = sorted(Counter(at.astimezone(ZoneInfo("Europe/Dublin")).date() for at in seen).items())

    schema = subprocess.run([PROGRAM, "schema", "members", "--json"], check=True, capture_output=True, text=True).stdout
    [table] = json.loads(schema)
    described = [("description", f"members: a row is {table['row']}")]
    for column in table["columns"]:
        null = f" Null: {column['null']}." if column["null"] else ""
        described.append((f"description.{column['name']}", f"{column['description']}.{null}"))
        if column["unit"]:
            described.append((f"unit.{column['name']}", column["unit"]))
    answers["descriptions"] = sorted(described)
    return answers


def plain(value):
    """A cell as Python has it, whatever the tool made of it."""
    if value is None or value is pandas.NA or value is pandas.NaT or (isinstance(value, float) and value != value):
        return None
    if hasattr(value, "to_pydatetime"):
        value = value.to_pydatetime()
    if isinstance(value, datetime):
        # Spark gives the session's own time without saying so.
        return value.astimezone(timezone.utc)
    return value.item() if hasattr(value, "item") else value


class Tools:
    """The four tools, each asked in its own way; rows as tuples."""

    def __init__(self):
        self.duck = duckdb.connect()
        builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "1")
        self.session = builder.config("spark.log.level", "ERROR").getOrCreate()

    def ask(self, tool, code):
        if tool == "duckdb":
            rows = self.duck.execute(code).fetchall()
        elif tool == "spark":
            rows = [tuple(row) for row in self.session.sql(code).collect()]
        else:
            names = {}
            exec(compile(code, f"docs/analysts.md ({tool})", "exec"), names)  # the documentation's own code
            answer = names["answer"]
            rows = answer.rows() if tool == "polars" else list(answer.itertuples(index=False, name=None))
        return [tuple(plain(value) for value in row) for row in rows]


class Documented(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        os.chdir(cls.folder.name)
        subprocess.run([PROGRAM, "demo"], check=True, capture_output=True)
        cls.blocks, cls.expected, cls.tools = blocks(), expected(), Tools()

    @classmethod
    def tearDownClass(cls):
        cls.tools.session.stop()
        os.chdir("/")
        cls.folder.cleanup()

    def test_every_question_is_answered_in_every_tool(self):
        asked = {question for _, question in self.blocks}
        self.assertEqual(asked, set(self.expected) | {"convert", "seen-on-a-day"})
        for question, answer in self.expected.items():
            if question in ("descriptions", "from-csv", "left-value-lead"):
                continue
            self.assertGreater(len(answer), 0, f"the demo has no answer to `{question}`: it proves nothing")
            for tool in TOOLS:
                with self.subTest(question=question, tool=tool):
                    self.assertEqual(self.tools.ask(tool, self.blocks[tool, question]), answer)

    def test_the_csv_is_read_as_it_is(self):
        path = Path(MONTH, "members.csv")
        kept = path.read_text(encoding="utf-8")
        self.addCleanup(path.write_text, kept, encoding="utf-8")
        # Somebody in Namibia, with an id that begins with zeros.
        line = next(line for line in kept.splitlines() if ",value_lead," in line)
        cells = line.split(",")
        path.write_text(kept.replace(line, ",".join([*cells[:4], "0012", *cells[5:-1], "NA"])), encoding="utf-8")
        answer = expected()["from-csv"]
        self.assertIn(("0012", "NA"), {row[1:3] for row in answer})
        for tool in ("duckdb", "pandas"):
            with self.subTest(tool=tool):
                self.assertEqual(self.tools.ask(tool, self.blocks[tool, "from-csv"]), answer)

    def test_the_descriptions_are_the_dictionary(self):
        self.assertEqual(len(self.expected["descriptions"]), 1 + 17 + 7)
        for tool in ("duckdb", "pandas", "polars"):
            with self.subTest(tool=tool):
                self.assertEqual(self.tools.ask(tool, self.blocks[tool, "descriptions"]), self.expected["descriptions"])

    def test_types_nulls_and_instants_come_out_right_everywhere(self):
        kinds = {
            "DATE": (day, "date32[day][pyarrow]", "Date", "date"),
            "BIGINT": (whole, "int64[pyarrow]", "Int64", "bigint"),
            "DOUBLE": (number, "double[pyarrow]", "Float64", "double"),
            "BOOLEAN": (lambda text: None if text is None else text == "true", "bool[pyarrow]", "Boolean", "boolean"),
            "TIMESTAMP WITH TIME ZONE": (
                instant, "timestamp[us, tz=UTC][pyarrow]", "Datetime(time_unit='us', time_zone='UTC')", "timestamp",
            ),
            "VARCHAR": (lambda text: text, "large_string[pyarrow]", "String", "string"),
        }
        seen = set()
        for path in sorted(Path(MONTH).glob("*.parquet")):
            texts = rows_of(path.stem)
            described = self.tools.duck.execute(f"DESCRIBE SELECT * EXCLUDE (run_month) FROM '{path}'").fetchall()
            frames = {
                "pandas": pandas.read_parquet(path, dtype_backend="pyarrow"),
                "polars": polars.read_parquet(path),
                "spark": self.tools.session.read.parquet(str(path)),
            }
            spark_types = dict(frames["spark"].dtypes)
            columns = [column for column, *_ in described]
            rows = {
                "duckdb": self.tools.ask("duckdb", f"SELECT * EXCLUDE (run_month) FROM '{path}'"),
                "pandas": [tuple(map(plain, row)) for row in frames["pandas"].itertuples(index=False, name=None)],
                "polars": [tuple(map(plain, row)) for row in frames["polars"].rows()],
                "spark": [tuple(map(plain, row)) for row in frames["spark"].select(*columns).collect()],
            }
            for place, (column, kind, *_) in enumerate(described):
                read, in_pandas, in_polars, in_spark = kinds[kind]
                seen.add(kind)
                with self.subTest(report=path.stem, column=column):
                    types = str(frames["pandas"].dtypes[column]), repr(frames["polars"].schema[column]), spark_types[column]
                    self.assertEqual(types, (in_pandas, in_polars, in_spark))
                    # A text that would run as a formula is neutralised in the CSV.
                    values = [read(row[column]) for row in texts]
                    if kind == "VARCHAR":
                        values = [value and re.sub("(^|[;\t\r\n])'(?=\"*[-=+@\t\r\n＝＋－＠])", r"\1", value) for value in values]
                    for tool in TOOLS:
                        self.assertEqual([row[place] for row in rows[tool]], values, tool)
        self.assertEqual(seen, set(kinds))

    def test_a_spreadsheet_opens_the_csv_with_its_types_and_counts_the_same(self):
        command = self.blocks["spreadsheet", "convert"]
        # A home of its own, so that a LibreOffice that somebody has open is left alone.
        subprocess.run(["bash", "-ec", command], check=True, capture_output=True, env={**os.environ, "HOME": self.folder.name})
        book = openpyxl.load_workbook("sheets/members.xlsx")
        self.assertEqual(book.sheetnames, ["members"])
        texts = rows_of("members")
        head = [cell.value for cell in book["members"][1]]
        self.assertEqual(head, list(texts[0]))
        for row, expected in zip(book["members"].iter_rows(min_row=2), texts, strict=True):
            cells = dict(zip(head, (cell.value for cell in row)))
            for column in ("contact_id", "external_id", "email", "name", "change", "last_seen_at"):
                self.assertEqual(cells[column], expected[column] or None, column)
            for column in ("months_in_cohort", "conversations_opened"):
                self.assertEqual(cells[column], whole(expected[column]), column)
            for column in ("month", "entered_month"):
                self.assertEqual(cells[column] and cells[column].date(), day(expected[column]), column)
            flag = expected["unsubscribed_from_emails"]
            self.assertEqual(cells["unsubscribed_from_emails"], None if flag is None else flag == "true")

        # The formulas, worked out by LibreOffice itself.
        sheet = book.create_sheet("answers", 0)
        for question in ("left-value-lead", "seen-on-a-day"):
            sheet.append([self.blocks["spreadsheet", question].strip()])
        book.save("answers.xlsx")
        convert = ["soffice", "--headless", "--convert-to", "csv", "answers.xlsx"]
        subprocess.run(convert, check=True, capture_output=True, env={**os.environ, "HOME": self.folder.name})
        found = [int(line) for line in Path("answers.csv").read_text(encoding="utf-8").split()]
        present = [row for row in texts if row["cohort_name"] == "Active" and row["change"] != "departed"]
        seen = sum((row["last_seen_at"] or "").startswith("2026-10-30T") for row in present)
        left = len(self.expected["left-value-lead"])
        self.assertGreater(min(left, seen), 0)
        self.assertEqual(found, [left, seen])


if __name__ == "__main__":
    if shutil.which("soffice") is None or shutil.which("java") is None:
        sys.exit("LibreOffice (`soffice`) and Java are needed")
    unittest.main()
