-- All members of each cohort, and all contacts that have just left it, with their last known record.
-- in: standing, contacts, contacts_before, cohorts, opened
-- out: members
WITH newest AS (
    SELECT b.contact_id, MAX(b.month) AS month FROM contacts_before AS b GROUP BY b.contact_id
)
SELECT
    c.month,
    s.cohort_key,
    c.cohort_name,
    s.contact_id,
    CASE WHEN k.contact_id IS NULL THEN b.external_id ELSE k.external_id END AS external_id,
    CASE WHEN k.contact_id IS NULL THEN b.email ELSE k.email END AS email,
    CASE WHEN k.contact_id IS NULL THEN b.name ELSE k.name END AS name,
    CASE WHEN k.contact_id IS NULL THEN b.role ELSE k.role END AS role,
    s.change,
    s.entered_month,
    s.months_in_cohort,
    CASE WHEN c.has_conversations THEN COALESCE(o.conversations, CAST(0 AS BIGINT)) END AS conversations_opened,
    CASE WHEN k.contact_id IS NULL THEN b.last_seen_at ELSE k.last_seen_at END AS last_seen_at,
    CASE WHEN k.contact_id IS NULL THEN b.signed_up_at ELSE k.signed_up_at END AS signed_up_at,
    CASE WHEN k.contact_id IS NULL THEN b.created_at ELSE k.created_at END AS created_at,
    CASE WHEN k.contact_id IS NULL THEN b.unsubscribed_from_emails ELSE k.unsubscribed_from_emails END AS unsubscribed_from_emails,
    CASE WHEN k.contact_id IS NULL THEN b.country ELSE k.country END AS country
FROM standing AS s
JOIN cohorts AS c ON c.cohort_key = s.cohort_key
LEFT JOIN contacts AS k ON k.contact_id = s.contact_id
LEFT JOIN newest AS n ON n.contact_id = s.contact_id
LEFT JOIN contacts_before AS b ON b.contact_id = n.contact_id AND b.month = n.month
LEFT JOIN opened AS o ON o.contact_id = s.contact_id
