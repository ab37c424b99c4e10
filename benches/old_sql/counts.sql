-- The counts of each cohort this month. A count is null if there is no compared month, or if this month's data cannot answer it.
-- in: standing (this month), contacts, conversations (the snapshot), cohorts
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
),
counted AS (
    SELECT
        c.cohort_key,
        c.month,
        c.in_history,
        c.has_conversations,
        c.knows_gone,
        c.intercom_count,
        CASE WHEN c.compared_month IS NULL THEN FALSE ELSE TRUE END AS is_compared,
        COALESCE(p.members, CAST(0 AS BIGINT)) AS members,
        COALESCE(p.users, CAST(0 AS BIGINT)) AS users,
        COALESCE(p.leads, CAST(0 AS BIGINT)) AS leads,
        COALESCE(p.new_contacts, CAST(0 AS BIGINT)) AS new_contacts,
        COALESCE(p.active_members, CAST(0 AS BIGINT)) AS active_members,
        COALESCE(p.openers, CAST(0 AS BIGINT)) AS openers,
        COALESCE(p.conversations_opened, CAST(0 AS BIGINT)) AS conversations_opened,
        COALESCE(p.unsubscribed, CAST(0 AS BIGINT)) AS unsubscribed,
        COALESCE(p.hard_bounced, CAST(0 AS BIGINT)) AS hard_bounced,
        COALESCE(p.marked_spam, CAST(0 AS BIGINT)) AS marked_spam,
        COALESCE(p.retained, CAST(0 AS BIGINT)) AS retained,
        COALESCE(p.joined, CAST(0 AS BIGINT)) AS joined,
        COALESCE(p.returned, CAST(0 AS BIGINT)) AS returned,
        COALESCE(d.departed, CAST(0 AS BIGINT)) AS departed,
        COALESCE(d.departed_gone, CAST(0 AS BIGINT)) AS departed_gone,
        COALESCE(p.newly_unsubscribed, CAST(0 AS BIGINT)) AS newly_unsubscribed,
        COALESCE(p.converted_leads, CAST(0 AS BIGINT)) AS converted_leads
    FROM cohorts AS c
    LEFT JOIN present AS p ON p.cohort_key = c.cohort_key
    LEFT JOIN departed AS d ON d.cohort_key = c.cohort_key
)
SELECT
    n.cohort_key,
    n.month,
    n.in_history,
    n.members,
    n.users,
    n.leads,
    n.intercom_count,
    n.new_contacts,
    CASE WHEN n.in_history THEN n.active_members END AS active_members,
    CASE WHEN n.has_conversations THEN n.openers END AS openers,
    CASE WHEN n.has_conversations THEN n.conversations_opened END AS conversations_opened,
    n.unsubscribed,
    n.hard_bounced,
    n.marked_spam,
    CASE WHEN n.is_compared THEN n.retained + n.departed END AS previous_members,
    CASE WHEN n.is_compared THEN n.retained END AS retained,
    CASE WHEN n.is_compared THEN n.joined END AS joined,
    CASE WHEN n.is_compared THEN n.returned END AS returned,
    CASE WHEN n.is_compared THEN n.departed END AS departed,
    CASE WHEN n.is_compared AND n.knows_gone THEN n.departed_gone END AS departed_gone,
    CASE WHEN n.is_compared THEN n.joined - n.departed END AS net_change,
    CASE WHEN n.is_compared THEN n.newly_unsubscribed END AS newly_unsubscribed,
    CASE WHEN n.is_compared THEN n.converted_leads END AS converted_leads
FROM counted AS n
