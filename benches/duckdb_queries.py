"""The steps of a job's last month in DuckDB, and the queries that the program ran before it had steps, on the same tables.

    python3 benches/duckdb_queries.py FOLDER

FOLDER is what the benches write: a Parquet file a table, and steps/*.sql. `cargo bench --bench history -- --keep DIR` leaves it in DIR/inputs.
Prints a line a query: its name (old/… for the old ones) and the quickest of three runs in seconds, Parquet read and result fetched each
time. Needs the packages `duckdb` (tried with 2.0) and `pyarrow`.
"""

import sys
import time
from pathlib import Path

import duckdb

TRIES = 3
# What the old queries call the tables, where it is another name now.
OLD = {
    "ledger": {"ledger": "ledger_before"},
    "standing": {"members": "memberships", "ledger": "ledger_before", "records": "contacts_before"},
    "people": {"people": "contacts_before"},
}


def main(folder: Path) -> None:
    tables = {path.stem: f"SELECT * FROM read_parquet('{path}')" for path in sorted(folder.glob("*.parquet"))}
    for path in sorted((folder / "steps").glob("*.sql")):
        timed(path.stem.split("-", 1)[1], path.read_text(), tables)
    population = "SELECT TRUE AS in_population, month, month_end FROM this_month"
    for path in sorted((Path(__file__).parent / "old_sql").glob("*.sql")):
        of_old = tables | {"population": population, "people": "SELECT * FROM contacts", "states": "SELECT cohort_key, month AS last_month FROM cohorts"}
        of_old |= {name: tables[other] for name, other in OLD.get(path.stem, {}).items()}
        timed(f"old/{path.stem}", path.read_text(), of_old)


def timed(name: str, query: str, tables: dict[str, str]) -> None:
    best = float("inf")
    for _ in range(TRIES):
        connection = duckdb.connect()
        for table, select in tables.items():
            if "read_parquet" in select:
                connection.execute(f"CREATE VIEW {table} AS {select}")
        for table, select in tables.items():
            if "read_parquet" not in select:
                connection.execute(f"CREATE VIEW {table} AS {select}")
        begun = time.perf_counter()
        # As columns: rows of Python objects would take longer than the query.
        connection.sql(query).to_arrow_table()
        best = min(best, time.perf_counter() - begun)
    print(f"{name} {best:.4f}", flush=True)


main(Path(sys.argv[1]))
