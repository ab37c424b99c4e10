-- The members of each cohort, and the contacts that departed since the compared month, with their last known records.
-- in: standing, people, cohorts, conversations
WITH opened AS (
    SELECT v.opened_by AS contact_id, CAST(COUNT(*) AS BIGINT) AS conversations
    FROM conversations AS v
    WHERE v.opened_by IS NOT NULL
    GROUP BY v.opened_by
)
SELECT
    c.month,
    s.cohort_key,
    c.cohort_name,
    s.contact_id,
    p.external_id,
    p.email,
    p.name,
    p.role,
    s.change,
    s.entered_month,
    s.months_in_cohort,
    CASE WHEN c.has_conversations THEN COALESCE(o.conversations, CAST(0 AS BIGINT)) END AS conversations_opened,
    p.last_seen_at,
    p.signed_up_at,
    p.created_at,
    p.unsubscribed_from_emails,
    p.country
FROM standing AS s
JOIN cohorts AS c ON c.cohort_key = s.cohort_key
LEFT JOIN people AS p ON p.contact_id = s.contact_id
LEFT JOIN opened AS o ON o.contact_id = s.contact_id
