-- The counts of each cohort in this month, after those of the earlier months of its history. Null if there is nothing to compare with,
-- or if the month does not have the number.
-- in: relations, sizes, cohorts, counts_before
-- out: counts
WITH related AS (
    SELECT
        r.cohort_key,
        CAST(SUM(CASE WHEN r.change <> 'departed' THEN z.contacts ELSE 0 END) AS BIGINT) AS members,
        CAST(SUM(CASE WHEN r.change <> 'departed' THEN z.users ELSE 0 END) AS BIGINT) AS users,
        CAST(SUM(CASE WHEN r.change <> 'departed' THEN z.leads ELSE 0 END) AS BIGINT) AS leads,
        CAST(SUM(CASE WHEN r.change <> 'departed' THEN z.new_contacts ELSE 0 END) AS BIGINT) AS new_contacts,
        CAST(SUM(CASE WHEN r.change <> 'departed' THEN z.active_members ELSE 0 END) AS BIGINT) AS active_members,
        CAST(SUM(CASE WHEN r.change <> 'departed' THEN z.openers ELSE 0 END) AS BIGINT) AS openers,
        CAST(SUM(CASE WHEN r.change <> 'departed' THEN z.conversations_opened ELSE 0 END) AS BIGINT) AS conversations_opened,
        CAST(SUM(CASE WHEN r.change <> 'departed' THEN z.unsubscribed ELSE 0 END) AS BIGINT) AS unsubscribed,
        CAST(SUM(CASE WHEN r.change <> 'departed' THEN z.hard_bounced ELSE 0 END) AS BIGINT) AS hard_bounced,
        CAST(SUM(CASE WHEN r.change <> 'departed' THEN z.marked_spam ELSE 0 END) AS BIGINT) AS marked_spam,
        CAST(SUM(CASE WHEN r.change = 'retained' THEN z.contacts ELSE 0 END) AS BIGINT) AS retained,
        CAST(SUM(CASE WHEN r.change = 'joined' OR r.change = 'returned' THEN z.contacts ELSE 0 END) AS BIGINT) AS joined,
        CAST(SUM(CASE WHEN r.change = 'returned' THEN z.contacts ELSE 0 END) AS BIGINT) AS returned,
        CAST(SUM(CASE WHEN r.change = 'departed' THEN z.contacts ELSE 0 END) AS BIGINT) AS departed,
        CAST(SUM(CASE WHEN r.change = 'departed' AND r.is_gone THEN z.contacts ELSE 0 END) AS BIGINT) AS departed_gone,
        CAST(SUM(CASE WHEN r.change <> 'departed' AND r.is_newly_unsubscribed THEN z.contacts ELSE 0 END) AS BIGINT) AS newly_unsubscribed,
        CAST(SUM(CASE WHEN r.change <> 'departed' AND r.is_converted THEN z.contacts ELSE 0 END) AS BIGINT) AS converted_leads
    FROM relations AS r
    JOIN sizes AS z ON z.signature = r.signature
    GROUP BY r.cohort_key
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
        c.knows_compared,
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
        COALESCE(p.departed, CAST(0 AS BIGINT)) AS departed,
        COALESCE(p.departed_gone, CAST(0 AS BIGINT)) AS departed_gone,
        COALESCE(p.newly_unsubscribed, CAST(0 AS BIGINT)) AS newly_unsubscribed,
        COALESCE(p.converted_leads, CAST(0 AS BIGINT)) AS converted_leads
    FROM cohorts AS c
    LEFT JOIN related AS p ON p.cohort_key = c.cohort_key
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
    CASE WHEN n.is_compared AND n.knows_compared THEN n.newly_unsubscribed END AS newly_unsubscribed,
    CASE WHEN n.is_compared AND n.knows_compared THEN n.converted_leads END AS converted_leads
FROM counted AS n
UNION ALL
SELECT
    b.cohort_key,
    b.month,
    b.in_history,
    b.members,
    b.users,
    b.leads,
    b.intercom_count,
    b.new_contacts,
    b.active_members,
    b.openers,
    b.conversations_opened,
    b.unsubscribed,
    b.hard_bounced,
    b.marked_spam,
    b.previous_members,
    b.retained,
    b.joined,
    b.returned,
    b.departed,
    b.departed_gone,
    b.net_change,
    b.newly_unsubscribed,
    b.converted_leads
FROM counts_before AS b
WHERE b.in_history
