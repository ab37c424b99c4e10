"""Runs the SQL of every step on a Spark Connect server, on the months of a story, and compares each table with the program's: columns, types
and rows.

    python3 tests/engine/steps.py FOLDER sc://HOST:PORT

FOLDER is what the test `the_steps_are_written_for_other_engines` writes: a folder for each month, in it the tables as Parquet and the
steps as SQL. A step reads the tables that the server made, not those of the program. Only the table of signatures is the program's: the SQL
gives each contact a signature of its own, the program gives one to all contacts with the same relations to the same cohorts.
"""

import shutil
import sys
import tempfile
from pathlib import Path

import pyarrow.parquet as parquet
from pyspark.sql import SparkSession

# The program's tables have numbers for contacts, of 32 bits without a sign. A server knows them as 64 bits.
TYPES = {"uint32": "int64", "large_string": "string", "string_view": "string"}


def columns(table):
    return {field.name: TYPES.get(str(field.type), str(field.type)) for field in table.schema}


def rows(table, names):
    return sorted(zip(*(table.column(name).to_pylist() for name in names)), key=repr)


def read(folder):
    parts = sorted(folder.glob("*.parquet"))
    return parquet.read_table(parts) if parts else None


def month(spark, folder, made):
    steps = sorted(folder.glob("*.spark.sql"))
    names = {step: step.name.split("-", 1)[1].removesuffix(".spark.sql") for step in steps}
    for path in folder.glob("*.parquet"):
        if path.stem not in names.values() or path.stem == "signatures":
            spark.read.parquet(str(path)).createOrReplaceTempView(path.stem)
    compared = 0
    for step, name in names.items():
        if name == "signatures":
            continue
        target = made / folder.name / name
        result = spark.sql(step.read_text(encoding="utf-8"))
        result.write.mode("overwrite").parquet(str(target))
        theirs = parquet.read_table(folder / f"{name}.parquet")
        ours = read(target)
        if ours is None:
            ours = theirs.slice(0, 0)
            spark.read.parquet(str(folder / f"{name}.parquet")).limit(0).createOrReplaceTempView(name)
        else:
            spark.read.parquet(str(target)).createOrReplaceTempView(name)
        if columns(ours) != columns(theirs):
            odd = {key: (columns(ours).get(key), kind) for key, kind in columns(theirs).items() if columns(ours).get(key) != kind}
            sys.exit(f"{folder.name}: the columns of `{name}` differ, the server's and the program's: {odd or columns(ours)}")
        listed = list(columns(theirs))
        ours, theirs = rows(ours, listed), rows(theirs, listed)
        if ours != theirs:
            only = [row for row in ours if row not in theirs][:3], [row for row in theirs if row not in ours][:3]
            sys.exit(f"{folder.name}: `{name}` differs: the server alone {only[0]}, the program alone {only[1]}")
        compared += len(ours)
    return len(steps) - 1, compared


def main(folder, server):
    spark = SparkSession.builder.remote(server).getOrCreate()
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")
    months = sorted(path for path in folder.iterdir() if path.is_dir())
    if not months:
        sys.exit(f"{folder} has no month")
    made = Path(tempfile.mkdtemp())
    try:
        for path in months:
            steps, compared = month(spark, path, made)
            print(f"{path.name}: {steps} steps, {compared} rows, the same columns, types and rows on {server}")
    finally:
        shutil.rmtree(made)


main(Path(sys.argv[1]), sys.argv[2])
