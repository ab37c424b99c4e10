-- The relation of each contact to each cohort this month: a row for every member, and a row for every contact that
-- was a member in the compared month and is no member now.
-- in: memberships, contacts, cohorts, past, contacts_before, vanished
-- out: standing
WITH present AS (
    SELECT m.cohort_key, m.contact_id, k.role, k.created_at, k.unsubscribed_from_emails
    FROM memberships AS m
    JOIN cohorts AS c ON c.cohort_key = m.cohort_key
    JOIN contacts AS k ON k.contact_id = m.contact_id
    WHERE k.created_at IS NULL OR k.created_at < c.month_end
),
ledger_rows AS (
    SELECT l.cohort_key, l.contact_id, l.entered_month, l.entry_is_censored, l.spell_months, l.last_month
    FROM past AS l
    JOIN cohorts AS c ON c.cohort_key = l.cohort_key
    WHERE c.compared_month IS NOT NULL
),
paired AS (
    SELECT
        COALESCE(n.cohort_key, p.cohort_key) AS cohort_key,
        COALESCE(n.contact_id, p.contact_id) AS contact_id,
        n.contact_id AS present_id,
        n.role,
        n.created_at,
        n.unsubscribed_from_emails,
        p.contact_id AS past_id,
        p.entered_month AS past_entered_month,
        p.entry_is_censored AS past_is_censored,
        p.spell_months AS past_spell_months,
        p.last_month AS past_last_month
    FROM present AS n
    FULL JOIN ledger_rows AS p ON p.cohort_key = n.cohort_key AND p.contact_id = n.contact_id
),
named AS (
    SELECT
        q.cohort_key,
        q.contact_id,
        CASE WHEN q.present_id IS NULL THEN q.contact_id END AS leaver_id,
        q.role,
        q.created_at,
        q.unsubscribed_from_emails,
        q.past_entered_month,
        q.past_is_censored,
        q.past_spell_months,
        c.month,
        c.in_history,
        c.compared_month,
        c.compared_end,
        c.months_since_compared,
        CASE
            WHEN q.present_id IS NULL THEN 'departed'
            WHEN c.compared_month IS NULL THEN 'first_seen'
            WHEN q.past_last_month = c.compared_month THEN 'retained'
            WHEN q.past_id IS NOT NULL THEN 'returned'
            ELSE 'joined'
        END AS change
    FROM paired AS q
    JOIN cohorts AS c ON c.cohort_key = q.cohort_key
    WHERE q.present_id IS NOT NULL OR q.past_last_month = c.compared_month
)
SELECT
    s.cohort_key,
    s.contact_id,
    s.change,
    CASE
        WHEN s.change = 'joined' AND s.months_since_compared = 1 THEN s.month
        WHEN s.change <> 'first_seen' AND s.change <> 'joined' AND NOT s.past_is_censored THEN s.past_entered_month
    END AS entered_month,
    CASE
        WHEN s.change = 'retained' THEN s.past_spell_months + s.months_since_compared
        WHEN s.change <> 'departed' AND s.in_history THEN CAST(1 AS BIGINT)
    END AS months_in_cohort,
    CASE
        WHEN s.unsubscribed_from_emails AND (NOT r.unsubscribed_from_emails OR s.created_at >= s.compared_end) THEN TRUE
        ELSE FALSE
    END AS is_newly_unsubscribed,
    CASE WHEN s.role = 'user' AND r.role = 'lead' THEN TRUE ELSE FALSE END AS is_converted,
    CASE WHEN s.leaver_id IS NOT NULL AND k.contact_id IS NULL THEN TRUE ELSE FALSE END AS is_gone,
    CASE WHEN s.leaver_id IS NOT NULL AND k.contact_id IS NULL AND v.fate = 'merged' THEN TRUE ELSE FALSE END AS is_merged,
    CASE WHEN s.leaver_id IS NOT NULL AND k.contact_id IS NULL AND v.fate IS NULL THEN TRUE ELSE FALSE END AS is_of_unknown_fate,
    CASE WHEN s.created_at >= s.compared_end THEN TRUE ELSE FALSE END AS is_created_since
FROM named AS s
LEFT JOIN contacts AS k ON k.contact_id = s.leaver_id
LEFT JOIN vanished AS v ON v.contact_id = s.leaver_id
LEFT JOIN contacts_before AS r ON r.month = s.compared_month AND r.contact_id = s.contact_id
