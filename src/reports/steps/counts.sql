-- The counts of each cohort in this month, after those of the earlier months of its history. Null if there is nothing to compare with,
-- or if the month does not have the number.
-- in: relations, sizes, cohorts, counts_before
-- out: counts
WITH present AS (
    SELECT
        r.cohort_key,
        SUM(z.contacts) AS members,
        SUM(z.users) AS users,
        SUM(z.leads) AS leads,
        SUM(z.new_contacts) AS new_contacts,
        SUM(z.active_members) AS active_members,
        SUM(z.openers) AS openers,
        SUM(z.conversations_opened) AS conversations_opened,
        SUM(z.unsubscribed) AS unsubscribed,
        SUM(z.hard_bounced) AS hard_bounced,
        SUM(z.marked_spam) AS marked_spam,
        SUM(CASE WHEN r.is_newly_unsubscribed THEN z.contacts ELSE 0 END) AS newly_unsubscribed,
        SUM(CASE WHEN r.is_converted THEN z.contacts ELSE 0 END) AS converted_leads
    FROM relations AS r
    JOIN sizes AS z ON z.signature = r.signature
    WHERE r.change <> 'departed'
    GROUP BY r.cohort_key
),
changes AS (
    SELECT
        r.cohort_key,
        SUM(CASE WHEN r.change = 'retained' THEN z.contacts ELSE 0 END) AS retained,
        SUM(CASE WHEN r.change = 'joined' THEN z.contacts ELSE 0 END) AS joined_first,
        SUM(CASE WHEN r.change = 'returned' THEN z.contacts ELSE 0 END) AS returned,
        SUM(CASE WHEN r.change = 'departed' THEN z.contacts ELSE 0 END) AS departed,
        SUM(CASE WHEN r.is_gone THEN z.contacts ELSE 0 END) AS departed_gone,
        SUM(CASE WHEN r.is_merged THEN z.contacts ELSE 0 END) AS departed_merged,
        SUM(CASE WHEN r.is_of_unknown_fate THEN z.contacts ELSE 0 END) AS of_unknown_fate
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
        c.knows_compared,
        c.knows_fates,
        c.definition_updated_at,
        CASE WHEN c.compared_month IS NOT NULL THEN TRUE ELSE FALSE END AS is_compared,
        COALESCE(CAST(p.members AS BIGINT), CAST(0 AS BIGINT)) AS members,
        COALESCE(CAST(p.users AS BIGINT), CAST(0 AS BIGINT)) AS users,
        COALESCE(CAST(p.leads AS BIGINT), CAST(0 AS BIGINT)) AS leads,
        COALESCE(CAST(p.new_contacts AS BIGINT), CAST(0 AS BIGINT)) AS new_contacts,
        COALESCE(CAST(p.active_members AS BIGINT), CAST(0 AS BIGINT)) AS active_members,
        COALESCE(CAST(p.openers AS BIGINT), CAST(0 AS BIGINT)) AS openers,
        COALESCE(CAST(p.conversations_opened AS BIGINT), CAST(0 AS BIGINT)) AS conversations_opened,
        COALESCE(CAST(p.unsubscribed AS BIGINT), CAST(0 AS BIGINT)) AS unsubscribed,
        COALESCE(CAST(p.hard_bounced AS BIGINT), CAST(0 AS BIGINT)) AS hard_bounced,
        COALESCE(CAST(p.marked_spam AS BIGINT), CAST(0 AS BIGINT)) AS marked_spam,
        COALESCE(CAST(p.newly_unsubscribed AS BIGINT), CAST(0 AS BIGINT)) AS newly_unsubscribed,
        COALESCE(CAST(p.converted_leads AS BIGINT), CAST(0 AS BIGINT)) AS converted_leads,
        COALESCE(CAST(d.retained AS BIGINT), CAST(0 AS BIGINT)) AS retained,
        COALESCE(CAST(d.joined_first + d.returned AS BIGINT), CAST(0 AS BIGINT)) AS joined,
        COALESCE(CAST(d.returned AS BIGINT), CAST(0 AS BIGINT)) AS returned,
        COALESCE(CAST(d.departed AS BIGINT), CAST(0 AS BIGINT)) AS departed,
        COALESCE(CAST(d.departed_gone AS BIGINT), CAST(0 AS BIGINT)) AS departed_gone,
        COALESCE(CAST(d.departed_merged AS BIGINT), CAST(0 AS BIGINT)) AS departed_merged,
        COALESCE(CAST(d.of_unknown_fate AS BIGINT), CAST(0 AS BIGINT)) AS of_unknown_fate
    FROM cohorts AS c
    LEFT JOIN present AS p ON p.cohort_key = c.cohort_key
    LEFT JOIN changes AS d ON d.cohort_key = c.cohort_key
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
    CASE
        WHEN n.is_compared AND n.knows_gone AND n.knows_fates AND n.of_unknown_fate = 0 THEN n.departed_gone - n.departed_merged
    END AS departed_deleted,
    CASE WHEN n.is_compared AND n.knows_gone AND n.knows_fates AND n.of_unknown_fate = 0 THEN n.departed_merged END AS departed_merged,
    CASE WHEN n.is_compared THEN n.joined - n.departed END AS net_change,
    CASE WHEN n.is_compared AND n.knows_compared THEN n.newly_unsubscribed END AS newly_unsubscribed,
    CASE WHEN n.is_compared AND n.knows_compared THEN n.converted_leads END AS converted_leads,
    n.definition_updated_at
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
    b.departed_deleted,
    b.departed_merged,
    b.net_change,
    b.newly_unsubscribed,
    b.converted_leads,
    b.definition_updated_at
FROM counts_before AS b
WHERE b.in_history
