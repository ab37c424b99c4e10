"""What `cohorts schema --format` prints, tried on the output of `cohorts demo` by the tool that it is for: dbt, DuckDB, datacontract.

What it says is compared with `cohorts schema --json`, and rows are counted again in the CSV. Each tool must also find what is wrong
in a copy of the output: a row twice in every report, a null and an unknown word.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import duckdb
import yaml

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("COHORTS_BIN", ROOT / "target/debug/cohorts")).resolve()
TOOLS = Path(sys.executable).parent

PROJECT = {
    "dbt_project.yml": """
name: warehouse
profile: warehouse
models: {+materialized: table}
flags: {send_anonymous_usage_stats: false}
""",
    "profiles.yml": "warehouse: {target: here, outputs: {here: {type: duckdb, path: warehouse.duckdb, threads: 4}}}",
    "models/churn.sql": """
SELECT month, cohort_name, churn_rate FROM {{ source('SOURCE', 'cohort_summary') }} WHERE churn_rate IS NOT NULL
""",
}


def run(tool, *arguments, **options):
    return subprocess.run([TOOLS / tool, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def printed(form, job=None):
    command = [PROGRAM, "schema", "--format", form, *(["--job", job] if job else [])]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def outdated(node, above=None):
    """Whether it has what dbt 1 accepts in silence and dbt 2 does not: `meta` outside of `config`, a test's arguments outside of `arguments`."""
    if isinstance(node, list):
        return any(outdated(item, above) for item in node)
    if not isinstance(node, dict):
        return False
    wrong = (above != "config" and "meta" in node) or (above != "arguments" and not {"column_name", "values"}.isdisjoint(node))
    return wrong or any(outdated(value, key) for key, value in node.items())


def rows_of(report):
    """The rows of all months in the CSV."""
    rows = []
    for path in Path("output/demo/reports").glob(f"*/{report}.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            rows.extend(csv.DictReader(file))
    return rows


def spoil(folder):
    """Every report gets its first row of the last month twice; of cohort_summary, that copy has a null and a word that no cohort has."""
    for path in folder.glob("demo/reports/run_month=2026-10/*.parquet"):
        source = f"read_parquet('{path}', hive_partitioning = false)"
        wrong = "* REPLACE (NULL::BIGINT AS members, 'company' AS cohort_kind)" if path.stem == "cohort_summary" else "*"
        duckdb.sql(f"CREATE OR REPLACE TABLE spoilt AS FROM {source} UNION ALL (SELECT {wrong} FROM {source} LIMIT 1)")
        duckdb.sql(f"COPY spoilt TO '{path}'")


class Warehouse(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        here = Path(cls.folder.name).resolve()
        os.chdir(here)
        os.environ["HOME"] = str(here)
        subprocess.run([PROGRAM, "demo", "--out", "output", "--months", "3", "--contacts", "500"], check=True, capture_output=True)
        shutil.copytree("output", "spoilt")
        spoil(here / "spoilt")
        for name in ("output", "spoilt"):
            Path(f"{name}.toml").write_text(f'name = "demo"\nsegments = ["Active"]\n[output]\ndir = {json.dumps(str(here / name))}\n', encoding="utf-8")

        tables = json.loads(subprocess.run([PROGRAM, "schema", "--json"], check=True, capture_output=True).stdout)
        cls.reports = {table["table"]: table for table in tables if "/" not in table["table"]}
        cls.columns = {(name, column["name"]): column for name, table in cls.reports.items() for column in table["columns"]}
        cls.never_null = {place for place, column in cls.columns.items() if not column["null"]}

    @classmethod
    def tearDownClass(cls):
        os.chdir("/")
        cls.folder.cleanup()

    def dbt(self, job):
        """A project of its own over the sources: dbt's exit code, its sources, and the result of each test by kind, report and column."""
        folder, sources = Path(f"dbt-{job}"), printed("dbt", f"{job}.toml")
        for name, text in PROJECT.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.replace("SOURCE", yaml.safe_load(sources)["sources"][0]["name"]), encoding="utf-8")
        (folder / "models/sources.yml").write_text(sources, encoding="utf-8")
        # A deprecation is a warning.
        done = run("dbt", "--warn-error", "--no-use-colors", "build", cwd=folder)
        try:
            nodes = json.loads((folder / "target/manifest.json").read_text(encoding="utf-8"))
            results = json.loads((folder / "target/run_results.json").read_text(encoding="utf-8"))["results"]
        except FileNotFoundError:
            self.fail(done.stdout)
        tests = {}
        for result in results:
            node = nodes["nodes"][result["unique_id"]]
            if node["resource_type"] == "test":
                [(_, report)] = node["sources"]
                tests[node["test_metadata"]["name"], report, node["column_name"]] = result["status"]
        return done, {source["name"]: source for source in nodes["sources"].values()}, tests

    def test_dbt_builds_on_the_sources_and_tests_them(self):
        done, sources, tests = self.dbt("output")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(set(tests.values()), {"pass"})
        self.assertEqual(set(sources), set(self.reports))
        described = {(name, column["name"]): column["description"] for name, source in sources.items() for column in source["columns"].values()}
        self.assertEqual(set(described), set(self.columns))
        for place, column in self.columns.items():
            self.assertIn(column["description"], described[place])
        self.assertEqual({report for kind, report, _ in tests if kind == "unique"}, set(self.reports))
        self.assertEqual({(report, column) for kind, report, column in tests if kind == "not_null"}, self.never_null)
        with duckdb.connect("dbt-output/warehouse.duckdb", read_only=True) as warehouse:
            [(rows,)] = warehouse.sql("SELECT count(*) FROM churn").fetchall()
        self.assertEqual(rows, sum(row["churn_rate"] != "" for row in rows_of("cohort_summary")))
        self.assertGreater(rows, 0)

    def test_dbt_2_has_nothing_to_reject(self):
        sources = yaml.safe_load(printed("dbt"))
        self.assertFalse(outdated(sources))
        for old in ({"sources": [{"meta": {}}]}, {"data_tests": [{"unique": {"column_name": "month"}}]}):
            self.assertTrue(outdated([sources, old]))

    def test_dbt_finds_what_is_wrong(self):
        done, _, tests = self.dbt("spoilt")
        self.assertEqual(done.returncode, 1, done.stdout)
        found = {(kind, report, column if kind != "unique" else None) for (kind, report, column), status in tests.items() if status == "fail"}
        wrong = {("unique", report, None) for report in self.reports}
        self.assertEqual(found, wrong | {("not_null", "cohort_summary", "members"), ("accepted_values", "cohort_summary", "cohort_kind")})
        self.assertEqual(set(tests.values()), {"pass", "fail"})

    def test_duckdb_sees_all_rows_of_all_months(self):
        for job in (None, "output.toml"):
            with self.subTest(job=job), duckdb.connect() as session:
                session.execute(printed("duckdb", job))
                # A second time over the first.
                session.execute(printed("duckdb", job))
                views = {name for name, in session.sql("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()}
                self.assertEqual(views, set(self.reports))
                for report in views:
                    [(rows,)] = session.sql(f"SELECT count(*) FROM {report}").fetchall()
                    self.assertEqual(rows, len(rows_of(report)), report)
                    self.assertGreater(rows, 0, f"the demo has no row of `{report}`: it proves nothing")

    def contract(self, command, name, text):
        """The overall result, and what did not pass: the kind of check, the report and the column."""
        Path(f"{name}.yaml").write_text(text, encoding="utf-8")
        done = run("datacontract", command, f"{name}.yaml", "--output", "result.json", "--output-format", "json")
        result = json.loads(Path("result.json").read_text(encoding="utf-8"))
        self.assertEqual(done.returncode, 0 if result["result"] in ("passed", "warning") else 1, done.stdout)
        return result["result"], {(check["type"], check["model"], check["field"]) for check in result["checks"] if check["result"] != "passed"}

    def test_the_contract_is_well_formed_and_a_broken_one_is_not(self):
        text = printed("odcs", "output.toml")
        # A field that the standard does not have would be a warning.
        self.assertEqual(self.contract("lint", "contract", text), ("passed", set()))
        self.assertEqual(self.contract("lint", "without-a-job", printed("odcs")), ("passed", set()))
        broken = text.replace('"integer"', '"whole"', 1)
        self.assertNotEqual(broken, text)
        self.assertEqual(self.contract("lint", "broken", broken)[0], "failed")
        [*tables] = yaml.safe_load(text)["schema"]
        properties = {(table["name"], column["name"]): column for table in tables for column in table["properties"]}
        self.assertEqual(set(properties), set(self.columns))
        self.assertEqual({place for place, column in properties.items() if column.get("required")}, self.never_null)
        for table in tables:
            keys = sorted((column["primaryKeyPosition"], column["name"]) for column in table["properties"] if column.get("primaryKey"))
            self.assertEqual([name for _, name in keys], self.reports[table["name"]]["key"])

    def test_the_contract_holds_and_is_broken_by_what_is_wrong(self):
        # It does not compare types in Parquet, and warns of that.
        unknown = {("field_type", *place) for place in self.columns}
        self.assertEqual(self.contract("test", "contract", printed("odcs", "output.toml")), ("warning", unknown))
        result, found = self.contract("test", "spoilt", printed("odcs", "spoilt.toml"))
        self.assertEqual(result, "failed")
        wrong = {("primary_key_unique", report, None) for report in self.reports}
        wrong |= {("field_required", "cohort_summary", "members"), ("field_enum", "cohort_summary", "cohort_kind")}
        self.assertEqual(found - unknown, wrong)


if __name__ == "__main__":
    unittest.main()
