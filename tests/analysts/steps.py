"""Runs the SQL of every step in DuckDB, on the months of a story, and compares each table with the program's.

    python3 tests/analysts/steps.py FOLDER

FOLDER is what the test `the_steps_are_written_for_other_engines` writes: a folder for each month, in it the tables as Parquet and the
steps as SQL. A step reads the tables that DuckDB made, not those of the program. Only the table of signatures is the program's: the SQL
gives each contact a signature of its own, the program gives one to all contacts with the same relations to the same cohorts.
"""

import sys
from pathlib import Path

import duckdb


def rows(connection, query):
    """The rows in an order of their own. Columns are compared in the order of the program's table."""
    return sorted(connection.sql(query).fetchall(), key=repr)


def month(folder):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'America/St_Johns'")
    steps = sorted(folder.glob("*.duckdb.sql"))
    made = {step.name.split("-", 1)[1].removesuffix(".duckdb.sql") for step in steps} - {"signatures"}
    for path in folder.glob("*.parquet"):
        if path.stem not in made:
            connection.execute(f"CREATE VIEW {path.stem} AS SELECT * FROM read_parquet('{path}')")
    compared = 0
    for step in steps:
        name = step.name.split("-", 1)[1].removesuffix(".duckdb.sql")
        if name not in made:
            continue
        sql = step.read_text(encoding="utf-8")
        connection.execute(f"CREATE TABLE {name} AS {sql}")
        columns = [row[0] for row in connection.sql(f"DESCRIBE SELECT * FROM read_parquet('{folder / name}.parquet')").fetchall()]
        listed = ", ".join(columns)
        ours = rows(connection, f"SELECT {listed} FROM {name}")
        theirs = rows(connection, f"SELECT {listed} FROM read_parquet('{folder / name}.parquet')")
        if ours != theirs:
            only = [row for row in ours if row not in theirs][:3], [row for row in theirs if row not in ours][:3]
            sys.exit(f"{folder.name}: `{name}` differs: DuckDB alone {only[0]}, the program alone {only[1]}")
        compared += len(ours)
    return len(made), compared


def main(folder):
    months = sorted(path for path in folder.iterdir() if path.is_dir())
    if not months:
        sys.exit(f"{folder} has no month")
    for path in months:
        steps, compared = month(path)
        print(f"{path.name}: {steps} steps, {compared} rows, the same in DuckDB {duckdb.__version__}")


main(Path(sys.argv[1]))
