-- Everyone who was ever seen in a cohort, up to this month. The rows of a cohort do not change in a month outside its history.
-- in: standing, cohorts, past
-- out: ledger
WITH present AS (
    SELECT s.cohort_key, s.contact_id, s.change, s.months_in_cohort, c.month, c.months_since_compared
    FROM standing AS s
    JOIN cohorts AS c ON c.cohort_key = s.cohort_key
    WHERE c.in_history AND s.change <> 'departed'
),
paired AS (
    SELECT
        COALESCE(n.cohort_key, l.cohort_key) AS cohort_key,
        COALESCE(n.contact_id, l.contact_id) AS contact_id,
        n.change,
        n.month,
        n.months_in_cohort,
        n.months_since_compared,
        l.contact_id AS past_id,
        l.entered_month AS past_entered_month,
        l.entry_is_censored AS past_is_censored,
        l.spell_start AS past_spell_start,
        l.spell_months AS past_spell_months,
        l.last_month AS past_last_month
    FROM present AS n
    FULL JOIN past AS l ON l.cohort_key = n.cohort_key AND l.contact_id = n.contact_id
)
SELECT
    q.cohort_key,
    q.contact_id,
    COALESCE(q.past_entered_month, q.month) AS entered_month,
    CASE
        WHEN q.past_id IS NOT NULL THEN q.past_is_censored
        WHEN q.months_since_compared = 1 THEN FALSE
        ELSE TRUE
    END AS entry_is_censored,
    CASE WHEN q.change IS NULL OR q.change = 'retained' THEN q.past_spell_start ELSE q.month END AS spell_start,
    CASE WHEN q.change IS NULL THEN q.past_spell_months ELSE q.months_in_cohort END AS spell_months,
    COALESCE(q.month, q.past_last_month) AS last_month
FROM paired AS q
