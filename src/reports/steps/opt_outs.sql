-- How many members of each cohort chose to be out of each type of subscription, after those of the earlier months of its history. An
-- empty subscription_id stands for all e-mails. Null if there is nothing to compare with, or if the month does not have the number.
-- in: choices, signatures, relations, counts, cohorts, subscription_types, opt_outs_before
-- out: opt_outs
WITH chosen AS (
    SELECT
        g.signature,
        x.compared_day,
        x.subscription_id,
        CAST(COUNT(CASE WHEN x.state = 'opted_out' THEN 1 END) AS BIGINT) AS opted_out,
        CAST(COUNT(CASE WHEN x.state = 'opted_out' AND x.is_new THEN 1 END) AS BIGINT) AS newly_opted_out,
        CAST(COUNT(CASE WHEN x.state = 'opted_in' AND x.is_new THEN 1 END) AS BIGINT) AS newly_opted_in
    FROM choices AS x
    JOIN signatures AS g ON g.contact_id = x.contact_id
    GROUP BY g.signature, x.compared_day, x.subscription_id
),
days AS (
    SELECT
        c.cohort_key,
        c.month,
        c.in_history,
        COALESCE(c.compared_month, c.month) AS compared_day,
        CASE WHEN c.compared_month IS NOT NULL AND c.knows_compared THEN TRUE ELSE FALSE END AS is_compared,
        CASE WHEN c.compared_month IS NOT NULL AND c.knows_compared_subscriptions THEN TRUE ELSE FALSE END AS is_compared_by_type
    FROM cohorts AS c
),
summed AS (
    SELECT
        r.cohort_key,
        x.subscription_id,
        CAST(SUM(x.opted_out) AS BIGINT) AS opted_out,
        CAST(SUM(x.newly_opted_out) AS BIGINT) AS newly_opted_out,
        CAST(SUM(x.newly_opted_in) AS BIGINT) AS newly_opted_in
    FROM relations AS r
    JOIN days AS d ON d.cohort_key = r.cohort_key
    JOIN chosen AS x ON x.signature = r.signature AND x.compared_day = d.compared_day
    WHERE r.change <> 'departed'
    GROUP BY r.cohort_key, x.subscription_id
),
of_types AS (
    SELECT s.cohort_key, s.subscription_id, s.opted_out, s.newly_opted_out, s.newly_opted_in FROM summed AS s WHERE s.subscription_id <> ''
),
of_emails AS (
    SELECT s.cohort_key, s.newly_opted_in FROM summed AS s WHERE s.subscription_id = ''
)
SELECT
    d.cohort_key,
    d.month,
    d.in_history,
    s.subscription_id,
    COALESCE(t.name, s.subscription_id) AS subscription_name,
    n.members,
    s.opted_out,
    CASE WHEN d.is_compared_by_type THEN s.newly_opted_out END AS newly_opted_out,
    CASE WHEN d.is_compared_by_type THEN s.newly_opted_in END AS newly_opted_in
FROM of_types AS s
JOIN days AS d ON d.cohort_key = s.cohort_key
JOIN counts AS n ON n.cohort_key = d.cohort_key AND n.month = d.month
LEFT JOIN subscription_types AS t ON t.subscription_id = s.subscription_id
UNION ALL
SELECT
    d.cohort_key,
    d.month,
    d.in_history,
    '' AS subscription_id,
    '(all e-mails)' AS subscription_name,
    n.members,
    n.unsubscribed AS opted_out,
    n.newly_unsubscribed AS newly_opted_out,
    CASE WHEN d.is_compared THEN COALESCE(e.newly_opted_in, CAST(0 AS BIGINT)) END AS newly_opted_in
FROM days AS d
JOIN counts AS n ON n.cohort_key = d.cohort_key AND n.month = d.month
LEFT JOIN of_emails AS e ON e.cohort_key = d.cohort_key
UNION ALL
SELECT
    b.cohort_key,
    b.month,
    b.in_history,
    b.subscription_id,
    b.subscription_name,
    b.members,
    b.opted_out,
    b.newly_opted_out,
    b.newly_opted_in
FROM opt_outs_before AS b
WHERE b.in_history
