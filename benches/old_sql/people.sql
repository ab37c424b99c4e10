-- The last known record of each contact that is a member of a cohort, was a member in the last month of its history, or just left.
-- in: standing (this month), ledger and states (after this month), contacts (the snapshot), people (last history)
WITH needed AS (
    SELECT s.contact_id FROM standing AS s
    UNION
    SELECT l.contact_id
    FROM ledger AS l
    JOIN states AS t ON t.cohort_key = l.cohort_key AND t.last_month = l.last_month
)
SELECT
    n.contact_id,
    CASE WHEN k.contact_id IS NULL THEN p.external_id ELSE k.external_id END AS external_id,
    CASE WHEN k.contact_id IS NULL THEN p.email ELSE k.email END AS email,
    CASE WHEN k.contact_id IS NULL THEN p.name ELSE k.name END AS name,
    CASE WHEN k.contact_id IS NULL THEN p.role ELSE k.role END AS role,
    CASE WHEN k.contact_id IS NULL THEN p.last_seen_at ELSE k.last_seen_at END AS last_seen_at,
    CASE WHEN k.contact_id IS NULL THEN p.signed_up_at ELSE k.signed_up_at END AS signed_up_at,
    CASE WHEN k.contact_id IS NULL THEN p.created_at ELSE k.created_at END AS created_at,
    CASE WHEN k.contact_id IS NULL THEN p.unsubscribed_from_emails ELSE k.unsubscribed_from_emails END AS unsubscribed_from_emails,
    CASE WHEN k.contact_id IS NULL THEN p.country ELSE k.country END AS country
FROM needed AS n
LEFT JOIN contacts AS k ON k.contact_id = n.contact_id
LEFT JOIN people AS p ON p.contact_id = n.contact_id
WHERE k.contact_id IS NOT NULL OR p.contact_id IS NOT NULL
