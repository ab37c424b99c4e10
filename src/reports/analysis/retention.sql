-- Of the contacts that entered a cohort in a month: how many were members in that month, and in each later month.
-- in: triangle (a row a cohort, month of entry and month observed), cohorts
SELECT
    c.month,
    t.cohort_key,
    c.cohort_name,
    t.entry_month,
    t.observed_month,
    e.retained AS entrants,
    t.retained,
    t.retained_unbroken
FROM triangle AS t
JOIN triangle AS e ON e.cohort_key = t.cohort_key AND e.entry_month = t.entry_month AND e.observed_month = t.entry_month
JOIN cohorts AS c ON c.cohort_key = t.cohort_key
