-- The new edge of the triangle. For each month of a cohort's history: how many of its entrants are members this month.
-- in: ledger, counts (after this month), cohorts
WITH present AS (
    SELECT
        l.cohort_key,
        l.entered_month,
        CAST(COUNT(*) AS BIGINT) AS retained,
        CAST(COUNT(CASE WHEN l.spell_start = l.entered_month THEN 1 END) AS BIGINT) AS retained_unbroken
    FROM ledger AS l
    JOIN cohorts AS c ON c.cohort_key = l.cohort_key AND c.month = l.last_month
    WHERE c.in_history
    GROUP BY l.cohort_key, l.entered_month
)
SELECT
    h.cohort_key,
    h.month AS entry_month,
    c.month AS observed_month,
    COALESCE(p.retained, CAST(0 AS BIGINT)) AS retained,
    COALESCE(p.retained_unbroken, CAST(0 AS BIGINT)) AS retained_unbroken
FROM counts AS h
JOIN cohorts AS c ON c.cohort_key = h.cohort_key
LEFT JOIN present AS p ON p.cohort_key = h.cohort_key AND p.entered_month = h.month
WHERE h.in_history AND c.in_history
