"""Runs the SQL of every step on Sail, a server that speaks Spark Connect, and compares each table with the program's.

    python3 tests/analysts/sail.py FOLDER

FOLDER is that of steps.py, with the steps as Spark spells them (`*.spark.sql`). A step reads the tables that Sail made, written and read
as Parquet, not those of the program. Only the table of signatures is the program's, as in steps.py.
"""

import math
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet
from pysail.spark import SparkConnectServer
from pyspark.sql import SparkSession


def value(cell):
    """Instants as numbers, so that no time zone matters; numbers that are no number are equal."""
    if hasattr(cell, "timestamp"):
        return round(cell.timestamp() * 1_000_000)
    return "NaN" if isinstance(cell, float) and math.isnan(cell) else cell


def rows(table, columns):
    return sorted((tuple(value(cell) for cell in row.values()) for row in table.select(columns).to_pylist()), key=repr)


def month(spark, folder, made_in):
    steps = sorted(folder.glob("*.spark.sql"))
    names = {step: step.name.removesuffix(".spark.sql").split("-", 1)[1] for step in steps}
    made = set(names.values()) - {"signatures"}
    for path in folder.glob("*.parquet"):
        if path.stem not in made:
            spark.read.parquet(str(path)).createOrReplaceTempView(path.stem)
    compared = 0
    for step, name in names.items():
        if name not in made:
            continue
        place = str(made_in / folder.name / name)
        result = spark.sql(step.read_text(encoding="utf-8"))
        result.write.mode("overwrite").parquet(place)
        # Sail writes no file for an empty result.
        if any(Path(place).glob("*.parquet")):
            spark.read.parquet(place).createOrReplaceTempView(name)
        else:
            result.createOrReplaceTempView(name)
        theirs = pyarrow.parquet.read_table(folder / f"{name}.parquet")
        ours = rows(spark.table(name).toArrow(), theirs.column_names)
        theirs = rows(theirs, theirs.column_names)
        if ours != theirs:
            only = [row for row in ours if row not in theirs][:3], [row for row in theirs if row not in ours][:3]
            sys.exit(f"{folder.name}: `{name}` differs: Sail alone {only[0]}, the program alone {only[1]}")
        compared += len(ours)
    return len(made), compared


def main(folder):
    months = sorted(path for path in folder.iterdir() if path.is_dir())
    if not months:
        sys.exit(f"{folder} has no month")
    server = SparkConnectServer("127.0.0.1", 0)
    server.start()
    host, port = server.listening_address
    spark = SparkSession.builder.remote(f"sc://{host}:{port}").getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    with tempfile.TemporaryDirectory() as made_in:
        for path in months:
            steps, compared = month(spark, path, Path(made_in))
            print(f"{path.name}: {steps} steps, {compared} rows, the same on Sail")
    spark.stop()
    server.stop()


main(Path(sys.argv[1]))
