-- What each cohort counts this month.
-- in: standing, contacts, cohorts, conversations
WITH opened AS (
    SELECT v.opened_by AS contact_id, CAST(COUNT(*) AS BIGINT) AS conversations
    FROM conversations AS v
    WHERE v.opened_by IS NOT NULL
    GROUP BY v.opened_by
),
described AS (
    SELECT
        s.cohort_key,
        s.change,
        s.is_newly_unsubscribed,
        s.is_converted,
        s.is_gone,
        k.role,
        k.unsubscribed_from_emails,
        k.has_hard_bounced,
        k.marked_email_as_spam,
        CASE WHEN k.created_at >= c.month_start THEN 1 END AS is_new,
        CASE WHEN k.last_seen_at >= c.month_start THEN 1 END AS is_active,
        o.conversations
    FROM standing AS s
    JOIN cohorts AS c ON c.cohort_key = s.cohort_key
    LEFT JOIN contacts AS k ON k.contact_id = s.contact_id
    LEFT JOIN opened AS o ON o.contact_id = s.contact_id
),
present AS (
    SELECT
        d.cohort_key,
        CAST(COUNT(*) AS BIGINT) AS members,
        CAST(COUNT(CASE WHEN d.role = 'user' THEN 1 END) AS BIGINT) AS users,
        CAST(COUNT(CASE WHEN d.role = 'lead' THEN 1 END) AS BIGINT) AS leads,
        CAST(COUNT(d.is_new) AS BIGINT) AS new_contacts,
        CAST(COUNT(d.is_active) AS BIGINT) AS active_members,
        CAST(COUNT(d.conversations) AS BIGINT) AS openers,
        CAST(SUM(d.conversations) AS BIGINT) AS conversations_opened,
        CAST(COUNT(CASE WHEN d.unsubscribed_from_emails THEN 1 END) AS BIGINT) AS unsubscribed,
        CAST(COUNT(CASE WHEN d.has_hard_bounced THEN 1 END) AS BIGINT) AS hard_bounced,
        CAST(COUNT(CASE WHEN d.marked_email_as_spam THEN 1 END) AS BIGINT) AS marked_spam,
        CAST(COUNT(CASE WHEN d.change = 'retained' THEN 1 END) AS BIGINT) AS retained,
        CAST(COUNT(CASE WHEN d.change = 'joined' OR d.change = 'returned' THEN 1 END) AS BIGINT) AS joined,
        CAST(COUNT(CASE WHEN d.change = 'returned' THEN 1 END) AS BIGINT) AS returned,
        CAST(COUNT(CASE WHEN d.is_newly_unsubscribed THEN 1 END) AS BIGINT) AS newly_unsubscribed,
        CAST(COUNT(CASE WHEN d.is_converted THEN 1 END) AS BIGINT) AS converted_leads
    FROM described AS d
    WHERE d.change <> 'departed'
    GROUP BY d.cohort_key
),
departed AS (
    SELECT
        d.cohort_key,
        CAST(COUNT(*) AS BIGINT) AS departed,
        CAST(COUNT(CASE WHEN d.is_gone THEN 1 END) AS BIGINT) AS departed_gone
    FROM described AS d
    WHERE d.change = 'departed'
    GROUP BY d.cohort_key
)
SELECT
    c.cohort_key,
    p.members,
    p.users,
    p.leads,
    p.new_contacts,
    p.active_members,
    p.openers,
    p.conversations_opened,
    p.unsubscribed,
    p.hard_bounced,
    p.marked_spam,
    p.retained,
    p.joined,
    p.returned,
    d.departed,
    d.departed_gone,
    p.newly_unsubscribed,
    p.converted_leads
FROM cohorts AS c
LEFT JOIN present AS p ON p.cohort_key = c.cohort_key
LEFT JOIN departed AS d ON d.cohort_key = c.cohort_key
