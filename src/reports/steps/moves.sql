-- The number of contacts that went from one cohort to another since the compared month. A contact that left two cohorts for one counts
-- in two rows, so rows overlap when cohorts do. Every contact that left a cohort is in a row from it, and every contact that joined a
-- cohort is in a row to it.
-- in: relations, sizes, cohorts
-- out: moves
WITH who_is_present AS (
    SELECT DISTINCT r.signature FROM relations AS r WHERE r.change <> 'departed'
),
who_stayed AS (
    SELECT DISTINCT r.signature FROM relations AS r WHERE r.change = 'retained'
),
who_left AS (
    SELECT DISTINCT r.signature FROM relations AS r WHERE r.change = 'departed'
),
who_joined AS (
    SELECT DISTINCT r.signature FROM relations AS r WHERE r.change = 'joined' OR r.change = 'returned'
),
leavers AS (
    SELECT
        r.cohort_key,
        r.signature,
        CASE
            WHEN r.is_gone AND c.knows_gone THEN '(gone)'
            WHEN n.signature IS NOT NULL THEN '(stayed)'
            ELSE '(none)'
        END AS otherwise_to
    FROM relations AS r
    JOIN cohorts AS c ON c.cohort_key = r.cohort_key
    LEFT JOIN who_is_present AS n ON n.signature = r.signature
    WHERE r.change = 'departed'
),
joiners AS (
    SELECT
        r.cohort_key,
        r.signature,
        CASE
            WHEN r.is_created_since THEN '(new)'
            WHEN w.signature IS NOT NULL THEN '(stayed)'
            ELSE '(none)'
        END AS otherwise_from
    FROM relations AS r
    LEFT JOIN who_stayed AS w ON w.signature = r.signature
    WHERE r.change = 'joined' OR r.change = 'returned'
),
moves AS (
    SELECT l.signature, l.cohort_key AS from_cohort, j.cohort_key AS to_cohort
    FROM leavers AS l
    JOIN joiners AS j ON j.signature = l.signature
    UNION ALL
    SELECT l.signature, l.cohort_key AS from_cohort, l.otherwise_to AS to_cohort
    FROM leavers AS l
    LEFT JOIN who_joined AS w ON w.signature = l.signature
    WHERE w.signature IS NULL
    UNION ALL
    SELECT j.signature, j.otherwise_from AS from_cohort, j.cohort_key AS to_cohort
    FROM joiners AS j
    LEFT JOIN who_left AS w ON w.signature = j.signature
    WHERE w.signature IS NULL
)
SELECT v.from_cohort, v.to_cohort, CAST(SUM(z.contacts) AS BIGINT) AS contacts
FROM moves AS v
JOIN sizes AS z ON z.signature = v.signature
GROUP BY v.from_cohort, v.to_cohort
