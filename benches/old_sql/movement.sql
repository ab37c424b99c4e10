-- How many contacts moved from where to where since the compared month. A contact that left two cohorts for one counts in two rows,
-- so rows overlap if cohorts overlap. Each contact that left a cohort is in a row from this cohort, and each contact that joined a
-- cohort is in a row to this cohort.
-- in: standing, contacts, cohorts, counts
WITH who_is_present AS (
    SELECT DISTINCT s.contact_id FROM standing AS s WHERE s.change <> 'departed'
),
who_stayed AS (
    SELECT DISTINCT s.contact_id FROM standing AS s WHERE s.change = 'retained'
),
who_left AS (
    SELECT DISTINCT s.contact_id FROM standing AS s WHERE s.change = 'departed'
),
who_joined AS (
    SELECT DISTINCT s.contact_id FROM standing AS s WHERE s.change = 'joined' OR s.change = 'returned'
),
leavers AS (
    SELECT
        s.cohort_key,
        s.contact_id,
        c.month,
        CASE
            WHEN s.is_gone AND c.knows_gone THEN '(gone)'
            WHEN n.contact_id IS NOT NULL THEN '(stayed)'
            ELSE '(none)'
        END AS otherwise_to
    FROM standing AS s
    JOIN cohorts AS c ON c.cohort_key = s.cohort_key
    LEFT JOIN who_is_present AS n ON n.contact_id = s.contact_id
    WHERE s.change = 'departed'
),
joiners AS (
    SELECT
        s.cohort_key,
        s.contact_id,
        c.month,
        CASE
            WHEN k.created_at >= c.compared_end THEN '(new)'
            WHEN w.contact_id IS NOT NULL THEN '(stayed)'
            ELSE '(none)'
        END AS otherwise_from
    FROM standing AS s
    JOIN cohorts AS c ON c.cohort_key = s.cohort_key
    LEFT JOIN contacts AS k ON k.contact_id = s.contact_id
    LEFT JOIN who_stayed AS w ON w.contact_id = s.contact_id
    WHERE s.change = 'joined' OR s.change = 'returned'
),
moves AS (
    SELECT l.month, l.cohort_key AS from_cohort, j.cohort_key AS to_cohort
    FROM leavers AS l
    JOIN joiners AS j ON j.contact_id = l.contact_id
    UNION ALL
    SELECT l.month, l.cohort_key AS from_cohort, l.otherwise_to AS to_cohort
    FROM leavers AS l
    LEFT JOIN who_joined AS w ON w.contact_id = l.contact_id
    WHERE w.contact_id IS NULL
    UNION ALL
    SELECT j.month, j.otherwise_from AS from_cohort, j.cohort_key AS to_cohort
    FROM joiners AS j
    LEFT JOIN who_left AS w ON w.contact_id = j.contact_id
    WHERE w.contact_id IS NULL
),
counted AS (
    SELECT m.month, m.from_cohort, m.to_cohort, CAST(COUNT(*) AS BIGINT) AS contacts
    FROM moves AS m
    GROUP BY m.month, m.from_cohort, m.to_cohort
)
SELECT
    n.month,
    n.from_cohort,
    COALESCE(a.cohort_name, n.from_cohort) AS from_name,
    n.to_cohort,
    COALESCE(b.cohort_name, n.to_cohort) AS to_name,
    n.contacts,
    p.previous_members
FROM counted AS n
LEFT JOIN cohorts AS a ON a.cohort_key = n.from_cohort
LEFT JOIN cohorts AS b ON b.cohort_key = n.to_cohort
LEFT JOIN counts AS p ON p.cohort_key = n.from_cohort AND p.month = n.month
