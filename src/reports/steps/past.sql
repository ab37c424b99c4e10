-- The ledger before, with the contacts of now. A contact that was merged into a member of the cohort goes on as that member, with its
-- entry and its spell. If the member was in the ledger, too, it keeps the earlier entry and the latest spell of the two.
-- in: ledger_before, vanished, memberships, contacts, cohorts
-- out: past
WITH moved AS (
    SELECT l.cohort_key, l.contact_id, v.merged_into AS now_id
    FROM ledger_before AS l
    JOIN vanished AS v ON v.contact_id = l.contact_id
    JOIN cohorts AS c ON c.cohort_key = l.cohort_key
    JOIN memberships AS m ON m.cohort_key = l.cohort_key AND m.contact_id = v.merged_into
    JOIN contacts AS k ON k.contact_id = v.merged_into
    WHERE c.in_history AND (k.created_at IS NULL OR k.created_at < c.month_end)
),
targets AS (
    SELECT DISTINCT d.cohort_key, d.now_id FROM moved AS d
),
together AS (
    SELECT d.cohort_key, d.now_id, l.entered_month, l.entry_is_censored, l.spell_start, l.spell_months, l.last_month
    FROM moved AS d
    JOIN ledger_before AS l ON l.cohort_key = d.cohort_key AND l.contact_id = d.contact_id
    UNION ALL
    SELECT t.cohort_key, t.now_id, l.entered_month, l.entry_is_censored, l.spell_start, l.spell_months, l.last_month
    FROM targets AS t
    JOIN ledger_before AS l ON l.cohort_key = t.cohort_key AND l.contact_id = t.now_id
),
flagged AS (
    SELECT g.*, CASE WHEN g.entry_is_censored THEN 0 ELSE 1 END AS is_known FROM together AS g
),
ranked AS (
    SELECT
        f.*,
        ROW_NUMBER() OVER (PARTITION BY f.cohort_key, f.now_id ORDER BY f.entered_month, f.is_known) AS entry_place,
        ROW_NUMBER() OVER (PARTITION BY f.cohort_key, f.now_id ORDER BY f.last_month DESC, f.spell_months DESC) AS spell_place
    FROM flagged AS f
)
SELECT l.cohort_key, l.contact_id, l.entered_month, l.entry_is_censored, l.spell_start, l.spell_months, l.last_month
FROM ledger_before AS l
LEFT JOIN moved AS d ON d.cohort_key = l.cohort_key AND d.contact_id = l.contact_id
LEFT JOIN targets AS t ON t.cohort_key = l.cohort_key AND t.now_id = l.contact_id
WHERE d.contact_id IS NULL AND t.now_id IS NULL
UNION ALL
SELECT e.cohort_key, e.now_id AS contact_id, e.entered_month, e.entry_is_censored, s.spell_start, s.spell_months, s.last_month
FROM ranked AS e
JOIN ranked AS s ON s.cohort_key = e.cohort_key AND s.now_id = e.now_id
WHERE e.entry_place = 1 AND s.spell_place = 1
