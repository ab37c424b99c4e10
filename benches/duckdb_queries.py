"""The counting queries of a job's last month in DuckDB, on the job's own Parquet, as the benches have it.

    python3 benches/duckdb_queries.py JOB_FOLDER FOLDER_OF_SMALL_TABLES

`cargo bench --bench history -- --keep DIR` leaves them in DIR/output/years and DIR/inputs.
Prints a line a query: its name and the quickest of three runs in seconds, Parquet read and result fetched each time. Needs the
packages `duckdb` (tried with 2.0) and `pyarrow`.
"""

import sys
import time
from pathlib import Path

import duckdb

TRIES = 3
SNAPSHOT = ["contacts", "attributes", "members", "conversations"]
SMALL = ["cohorts", "population", "profile"]
HISTORY = ["standing", "ledger", "records", "people", "states", "counts", "triangle", "profiles"]
# What a history's query reads of the month itself; everything else of the history is the month before's.
OF_THIS_MONTH = {
    "standing": [],
    "ledger": ["standing"],
    "people": ["standing", "ledger", "states"],
    "counts": ["standing"],
    "triangle": ["ledger", "counts"],
    "profiles": ["standing"],
}


def main(root: Path, inputs: Path) -> None:
    sources = Path(__file__).parent.parent / "src"
    months = sorted(path.name for path in (root / "snapshots").iterdir())
    last, before = months[-1], months[-2]
    snapshot = {name: f"{root}/snapshots/{last}/{name}/*.parquet" for name in SNAPSHOT}
    small = {name: f"{inputs}/{name}.parquet" for name in SMALL}
    current = {name: f"{root}/history/{last}/{name}.parquet" for name in HISTORY}
    previous = {name: f"{root}/history/{before}/{name}.parquet" for name in HISTORY}
    for name, of_this_month in OF_THIS_MONTH.items():
        tables = snapshot | small | previous | {table: current[table] for table in of_this_month}
        timed(f"history/{name}.sql", sources, tables)
    for path in sorted((sources / "analysis").glob("*.sql")):
        timed(f"analysis/{path.name}", sources, snapshot | small | current)


def timed(name: str, sources: Path, tables: dict[str, str]) -> None:
    query = (sources / name).read_text()
    best = float("inf")
    for _ in range(TRIES):
        connection = duckdb.connect()
        for table, path in tables.items():
            connection.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{path}')")
        begun = time.perf_counter()
        # As columns: rows of Python objects would take longer than the query.
        connection.sql(query).to_arrow_table()
        best = min(best, time.perf_counter() - begun)
    print(f"{name} {best:.4f}", flush=True)


main(Path(sys.argv[1]), Path(sys.argv[2]))
