"""The workbooks as they are written, and as LibreOffice saves them again: each cell of each report against the Parquet file.

One is of the demo's last month, one of a month with tags that are named like formulas, numbers, dates and markup.
"""

import html
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import warnings
import zipfile
from datetime import date, datetime, timedelta
from pathlib import Path

import openpyxl
from openpyxl.utils import get_column_letter
from pyarrow import parquet

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("COHORTS_BIN", ROOT / "target/debug/cohorts")).resolve()
ROW_LEVEL = {"members", "member_attributes"}
MONTH = "2026-10"
SETTINGS = """
[output]
formats = ["parquet", "html", "xlsx"]
"""
DEMO = """
name = "demo"
tags = ["value_lead", "VIP", "churn risk", "beta tester"]
segments = ["Active", "Slipping Away", "New", "Trial users", "Leads to call", "Big teams"]
profile = ["role", "country", "custom_attributes.plan", "custom_attributes.seats"]
"""
HOSTILE = [
    '=HYPERLINK("http://127.0.0.1/","click")', "=1+1", "@SUM(1)", "+1", "-1", "007", "1e5", "12.50", "50%", "2026-10-01", "TRUE", "#REF!", "'quoted",
    "_x0041_", "two\nlines", "a\ttab", "<b>&amp;</b>", "\u202eevil\u202c", "🦊 空木", "x" * 200, '</t></si>"',
]
AS_OF = "2026-11-01T02:00:00Z"
# What fits in a double that counts days.
INSTANT = timedelta(milliseconds=1)


def cohorts(*arguments, folder, **environment):
    done = subprocess.run([PROGRAM, *arguments], cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"cohorts {' '.join(arguments)}: {done.stderr}")
    return done.stdout


def demo(folder):
    cohorts("demo", "--out", "output", "--months", "4", "--contacts", "1000", folder=folder)
    (folder / "demo.toml").write_text(DEMO + SETTINGS, encoding="utf-8")
    cohorts("report", "--job", "demo.toml", folder=folder)
    return folder / f"output/demo/reports/run_month={MONTH}"


def hostile(folder):
    """A month of a workspace in which each hostile name is a tag of some contacts."""
    arguments = ["simulate", "--port", "0", "--now", AS_OF, "--contacts", "300", "--faults", "markup:1"]
    server = subprocess.Popen([PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        access = {"COHORTS__INTERCOM__BASE_URL": server.stdout.readline().strip(), "INTERCOM_ACCESS_TOKEN": "made-up"}
        job = f'name = "hostile"\ntags = {json.dumps(HOSTILE, ensure_ascii=False)}\nprofile = ["custom_attributes.note", "custom_attributes.seats"]\n'
        (folder / "seen.toml").write_text('name = "seen"\nsegments = ["Active"]\n', encoding="utf-8")
        (folder / "hostile.toml").write_text(job + SETTINGS, encoding="utf-8")
        cohorts("run", "--job", "seen.toml", "--as-of", AS_OF, folder=folder, **access)
        ids = sorted(set(parquet.ParquetFile(folder / f"output/seen/reports/run_month={MONTH}/members.parquet").read()["contact_id"].to_pylist()))
        for place, name in enumerate(HOSTILE):
            chosen = [argument for id in ids[place : place + 30] for argument in ("--id", id)]
            cohorts("tag", *chosen, "--", name, folder=folder, **access)
        cohorts("run", "--job", "hostile.toml", "--as-of", AS_OF, folder=folder, **access)
    finally:
        server.kill()
        server.communicate()
    return folder / f"output/hostile/reports/run_month={MONTH}"


def saved(book, folder):
    """The workbook as LibreOffice saves it; with a home of its own, so that one that somebody has open is left alone."""
    folder.mkdir()
    command = ["soffice", "--headless", "--convert-to", "xlsx", "--outdir", folder, book]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "HOME": str(folder)})
    return folder / book.name


def opened(path):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparkline")  # openpyxl knows none, see `sparklines`
        return openpyxl.load_workbook(path, data_only=True)


def parts(path):
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name).decode() for name in file.namelist() if name.startswith("xl/worksheets/sheet")}


def sparklines(path):
    """Where they are, with the cells that they show."""
    first = parts(path)["xl/worksheets/sheet1.xml"]
    found = re.findall(r"<xm:f>(.*?)</xm:f><xm:sqref>(.*?)</xm:sqref>", first)
    return sorted((place, cells.replace("$", "")) for cells, place in found)


def differs(cell, value, exactness):
    """Why the cell is not the value of the Parquet file, if it is not."""
    if value is None or value == "":
        return None if cell.value is None else "not empty"
    kinds = {str: "s", bool: "b", int: "n", float: "n", date: "d", datetime: "d"}
    # LibreOffice 7 has no flags of its own: TRUE() is a number where a format says how it is shown.
    if isinstance(value, bool) and exactness and cell.data_type == "n" and "TRUE" in cell.number_format:
        kinds[bool] = "n"
    if cell.data_type != kinds[type(value)]:
        return f"the type is {cell.data_type}"
    match value:
        case float():
            same = math.isclose(cell.value, value, rel_tol=exactness, abs_tol=0)
        case datetime():
            same = abs(cell.value - value.replace(tzinfo=None)) <= INSTANT
        case date():
            same = cell.value == datetime(value.year, value.month, value.day)
        case _:
            same = cell.value == value
    return None if same else f"{cell.value!r} and not {value!r}"


def findings(book, folder, exactness):
    """All in which the sheets of reports are not the Parquet files."""
    found = []
    tables = {path.stem: parquet.ParquetFile(path).read() for path in folder.glob("*.parquet") if path.stem not in ROW_LEVEL}
    described = {table["table"]: table["columns"] for table in json.loads(cohorts("schema", "--json", folder=folder))}
    wanted = ["Month", *(name for name in described if name in tables)]
    if book.sheetnames != wanted or len(wanted) != len(tables) + 1:
        found.append(f"the sheets are {book.sheetnames}")
    for name, table in tables.items():
        sheet, last = book[name], get_column_letter(table.num_columns)
        if [cell.value for cell in sheet[1]] != table.column_names:
            found.append(f"{name}: other columns")
        if sheet.max_row != table.num_rows + 1:
            found.append(f"{name}: {sheet.max_row - 1} rows and not {table.num_rows}")
        if sheet.auto_filter.ref != f"A1:{last}{max(table.num_rows, 1) + 1}":
            found.append(f"{name}: the filter is on {sheet.auto_filter.ref}")
        for place, column in enumerate(described[name], 1):
            head = sheet.cell(1, place)
            note = head.comment.text if head.comment else ""
            for part in filter(None, (column["description"], column["unit"], column["null"])):
                if part not in note:
                    found.append(f"{name}.{column['name']}: the note does not say: {part}")
            unit = column["unit"] or ""
            format = "%" if unit.startswith("share") else "yyyy-mm-dd hh" if unit.startswith("instant") else "yyyy-mm" if unit == "calendar day" else ""
            for row, value in enumerate(table[column["name"]].to_pylist(), 2):
                cell = sheet.cell(row, place)
                why = differs(cell, value, exactness)
                if value is not None and format not in cell.number_format.replace("\\", ""):
                    why = f"is shown as {cell.number_format}"
                if why:
                    found.append(f"{name}!{cell.coordinate} ({column['name']}): {why}")
    return found


def items(page, section):
    """The list of a section of the month's page, without markup; of a card, its sentence."""
    [section] = re.findall(f'<section[^>]*aria-labelledby="{section}">(.*?)</section>', page, re.DOTALL) or [""]
    items = re.findall("<li[^>]*>(.*?)</li>", section, re.DOTALL)
    sentences = [item.rsplit("<p>", 1)[-1] for item in items]
    return [html.unescape(re.sub("<[^>]*>", "", sentence)) for sentence in sentences]


class Workbooks(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.months = {"demo": demo(cls.folder), "hostile": hostile(cls.folder)}
        cls.paths = {}
        for name, month in cls.months.items():
            cls.paths[name, "written"] = month / "report.xlsx"
            cls.paths[name, "saved"] = saved(month / "report.xlsx", cls.folder / f"saved-{name}")
        cls.books = {key: opened(path) for key, path in cls.paths.items()}

    def test_every_cell_is_that_of_the_parquet_file(self):
        self.assertEqual([sheet.title for sheet in self.books["demo", "saved"] if sheet.max_row < 2], [], "no rows: they prove nothing")
        for (name, state), book in self.books.items():
            self.assertEqual(findings(book, self.months[name], 0 if state == "written" else 1e-12), [])

    def test_the_heads_stay_in_view(self):
        # LibreOffice keeps no views when it has no window.
        for name in self.months:
            for sheet in self.books[name, "written"].worksheets[1:]:
                self.assertEqual(sheet.freeze_panes, "D2" if sheet["C1"].value == "cohort_name" else "A2", sheet.title)

    def test_a_changed_cell_is_found(self):
        for name, value in (("members", 1.5), ("cohort_id", 1373897), ("cohort_name", None), ("observed_at", datetime(2026, 11, 1)), ("churn_rate", "0.1")):
            book = opened(self.paths["demo", "saved"])
            sheet = book["cohort_summary"]
            [place] = [cell.column for cell in sheet[1] if cell.value == name]
            cell = sheet.cell(8, place)
            cell.value = value
            [finding] = findings(book, self.months["demo"], 1e-12)
            self.assertIn(f"cohort_summary!{cell.coordinate} ({name})", finding)

    def test_no_cell_is_a_formula(self):
        for (name, state), book in self.books.items():
            sheets = parts(self.paths[name, state])
            self.assertEqual(len(sheets), len(book.sheetnames))
            for sheet, text in sheets.items():
                formulas = set(re.findall("<f(?: [^>]*)?>([^<]*)", text))
                # See `differs`.
                self.assertLessEqual(formulas, {"TRUE()", "FALSE()"} if state == "saved" else set(), sheet)
            self.assertFalse([cell for sheet in book for row in sheet for cell in row if cell.data_type in "fe" or cell.hyperlink])

    def test_the_first_sheet_says_what_the_page_says(self):
        for (name, state), book in self.books.items():
            page = (self.months[name] / "report.html").read_text(encoding="utf-8")
            rows = list(book["Month"].iter_rows())
            texts = [row[0].value for row in rows]
            begin, top = texts.index("What stands out"), texts.index("The cohorts") + 1
            self.assertEqual(texts[:2], ["Customers in October 2026", f"Job: {name}"])
            self.assertIn(texts[2], page)
            self.assertEqual(texts[begin + 1 : top - 2], items(page, "notable") or ["Nothing stands out this month."])
            notices = [text.replace("Warning: ", "Warning. ") for text in texts[5 : begin - 1]]
            self.assertEqual(notices, items(page, "notices"))

            summary = parquet.ParquetFile(self.months[name] / "cohort_summary.parquet").read().to_pylist()
            columns = ["cohort_name", "cohort_kind", "members", None, "joined", "departed", "churn_rate", "growth_rate", "openers", "unsubscribed"]
            first, last = self.months_of(rows[top])
            shown = []
            for cells, cohort in zip(rows[top + 1 : top + 1 + len(summary)], summary, strict=True):
                cohort["cohort_name"] = re.sub("[\n\t]", " ", cohort["cohort_name"])
                found = [differs(cell, cohort.get(column), 1e-12) for cell, column in zip(cells, columns)]
                self.assertEqual(found, [None] * len(columns), cohort["cohort_name"])
                self.assertEqual(cells[last].value, cohort["members"])
                if sum(cell.value is not None for cell in cells[first : last + 1]) > 1:
                    shown.append((cells[3].coordinate, f"Month!{cells[first].coordinate}:{cells[last].coordinate}"))
            self.assertIsNone(texts[top + 1 + len(summary)])
            self.assertEqual(sparklines(self.paths[name, state]), sorted(shown))
            self.assertEqual(len(shown), len(summary) if name == "demo" else 0)

    def months_of(self, heads):
        """The first and the last column of a month."""
        months = [place for place, cell in enumerate(heads) if re.fullmatch("[0-9]{4}-[0-9]{2}", cell.value or "")]
        self.assertEqual(heads[months[-1]].value, MONTH)
        return months[0], months[-1]

    def test_the_hostile_names_came_in(self):
        names = {cell.value for cell in self.books["hostile", "saved"]["cohort_summary"]["C"][1:]}
        self.assertEqual(names, set(HOSTILE))


if __name__ == "__main__":
    if shutil.which("soffice") is None:
        sys.exit("LibreOffice (`soffice`) is needed")
    unittest.main()
