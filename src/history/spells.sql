-- How long first spells lasted that began after the cohort's first month: those that ended since the compared month,
-- those that a gap hides from then on, those closed before, and those that go on.
-- in: standing (this month), ledger_before and spells_before (last history), ledger and states (after this month), cohorts
WITH followed AS (
    SELECT l.cohort_key, l.contact_id, l.spell_months, c.months_since_compared
    FROM ledger_before AS l
    JOIN cohorts AS c ON c.cohort_key = l.cohort_key AND c.compared_month = l.last_month
    WHERE NOT l.entry_is_censored
        AND l.spell_start = l.entered_month
        AND (c.gap_month IS NULL OR l.entered_month > c.gap_month)
),
leavers AS (
    SELECT s.cohort_key, s.contact_id FROM standing AS s WHERE s.change = 'departed'
),
departed AS (
    SELECT f.cohort_key, f.spell_months, CAST(COUNT(*) AS BIGINT) AS spells
    FROM followed AS f
    JOIN leavers AS v ON v.cohort_key = f.cohort_key AND v.contact_id = f.contact_id
    WHERE f.months_since_compared = 1
    GROUP BY f.cohort_key, f.spell_months
),
hidden AS (
    SELECT f.cohort_key, f.spell_months, CAST(COUNT(*) AS BIGINT) AS spells
    FROM followed AS f
    WHERE f.months_since_compared > 1
    GROUP BY f.cohort_key, f.spell_months
),
present AS (
    SELECT l.cohort_key, l.spell_months, CAST(COUNT(*) AS BIGINT) AS spells
    FROM ledger AS l
    JOIN states AS t ON t.cohort_key = l.cohort_key AND t.last_month = l.last_month
    WHERE NOT l.entry_is_censored
        AND l.spell_start = l.entered_month
        AND (t.gap_month IS NULL OR l.entered_month > t.gap_month)
    GROUP BY l.cohort_key, l.spell_months
),
gathered AS (
    SELECT b.cohort_key, b.duration_months, b.departed, b.censored_at_gap, CAST(0 AS BIGINT) AS still_members
    FROM spells_before AS b
    UNION ALL
    SELECT d.cohort_key, d.spell_months AS duration_months, d.spells AS departed, CAST(0 AS BIGINT) AS censored_at_gap,
        CAST(0 AS BIGINT) AS still_members
    FROM departed AS d
    UNION ALL
    SELECT h.cohort_key, h.spell_months AS duration_months, CAST(0 AS BIGINT) AS departed, h.spells AS censored_at_gap,
        CAST(0 AS BIGINT) AS still_members
    FROM hidden AS h
    UNION ALL
    SELECT p.cohort_key, p.spell_months AS duration_months, CAST(0 AS BIGINT) AS departed, CAST(0 AS BIGINT) AS censored_at_gap,
        p.spells AS still_members
    FROM present AS p
)
SELECT
    g.cohort_key,
    g.duration_months,
    CAST(SUM(g.departed) AS BIGINT) AS departed,
    CAST(SUM(g.censored_at_gap) AS BIGINT) AS censored_at_gap,
    CAST(SUM(g.still_members) AS BIGINT) AS still_members
FROM gathered AS g
GROUP BY g.cohort_key, g.duration_months
