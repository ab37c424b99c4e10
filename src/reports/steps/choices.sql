-- The explicit choices of contacts about subscriptions, for each month with which a cohort is compared (this month, if a cohort is
-- compared with none), and whether the choice is new since then: the record in that month says something else, or the contact was created
-- since. An empty subscription_id stands for all e-mails. It has only those who were unsubscribed in the compared month and are not now;
-- those who are unsubscribed now are in `cells`.
-- in: subscriptions, subscriptions_before, contacts, contacts_before, cohorts
-- out: choices
WITH compared AS (
    SELECT DISTINCT COALESCE(c.compared_month, c.month) AS compared_day, c.compared_end FROM cohorts AS c
),
chosen AS (
    SELECT s.contact_id, s.subscription_id, s.state, k.created_at, d.compared_day, d.compared_end
    FROM subscriptions AS s
    JOIN contacts AS k ON k.contact_id = s.contact_id
    CROSS JOIN compared AS d
)
SELECT
    n.compared_day,
    n.contact_id,
    n.subscription_id,
    n.state,
    CASE WHEN b.contact_id IS NULL AND (r.contact_id IS NOT NULL OR n.created_at >= n.compared_end) THEN TRUE ELSE FALSE END AS is_new
FROM chosen AS n
LEFT JOIN subscriptions_before AS b
    ON b.month = n.compared_day AND b.contact_id = n.contact_id AND b.subscription_id = n.subscription_id AND b.state = n.state
LEFT JOIN contacts_before AS r ON r.month = n.compared_day AND r.contact_id = n.contact_id
UNION ALL
SELECT d.compared_day, k.contact_id, '' AS subscription_id, 'opted_in' AS state, TRUE AS is_new
FROM contacts AS k
JOIN contacts_before AS r ON r.contact_id = k.contact_id
JOIN compared AS d ON d.compared_day = r.month
WHERE r.unsubscribed_from_emails AND NOT k.unsubscribed_from_emails
