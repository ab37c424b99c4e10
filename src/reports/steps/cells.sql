-- The number of contacts of each signature with the same facts. Contacts that are in no cohort have no signature; contacts that are
-- no longer observed have no facts.
-- in: contacts, opened, signatures, this_month
-- out: cells
WITH described AS (
    SELECT
        g.signature,
        k.role,
        CASE WHEN k.in_population AND (k.created_at IS NULL OR k.created_at < m.month_end) THEN TRUE ELSE FALSE END AS is_in_population,
        CASE WHEN k.created_at >= m.month_start THEN TRUE ELSE FALSE END AS is_new,
        CASE WHEN k.last_seen_at >= m.month_start THEN TRUE ELSE FALSE END AS is_active,
        CASE WHEN k.unsubscribed_from_emails THEN TRUE ELSE FALSE END AS is_unsubscribed,
        CASE WHEN k.has_hard_bounced THEN TRUE ELSE FALSE END AS is_bounced,
        CASE WHEN k.marked_email_as_spam THEN TRUE ELSE FALSE END AS is_spam,
        COALESCE(o.conversations, CAST(0 AS BIGINT)) AS conversations
    FROM contacts AS k
    CROSS JOIN this_month AS m
    LEFT JOIN signatures AS g ON g.contact_id = k.contact_id
    LEFT JOIN opened AS o ON o.contact_id = k.contact_id
    UNION ALL
    SELECT
        g.signature,
        CAST(NULL AS STRING) AS role,
        FALSE AS is_in_population,
        FALSE AS is_new,
        FALSE AS is_active,
        FALSE AS is_unsubscribed,
        FALSE AS is_bounced,
        FALSE AS is_spam,
        CAST(0 AS BIGINT) AS conversations
    FROM signatures AS g
    LEFT JOIN contacts AS k ON k.contact_id = g.contact_id
    WHERE k.contact_id IS NULL
)
SELECT
    d.signature,
    d.role,
    d.is_in_population,
    d.is_new,
    d.is_active,
    d.is_unsubscribed,
    d.is_bounced,
    d.is_spam,
    d.conversations,
    CAST(COUNT(*) AS BIGINT) AS contacts
FROM described AS d
GROUP BY
    d.signature, d.role, d.is_in_population, d.is_new, d.is_active, d.is_unsubscribed, d.is_bounced, d.is_spam, d.conversations
