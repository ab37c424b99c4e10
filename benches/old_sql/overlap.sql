-- How many contacts each pair of cohorts shares. A pair of a cohort with itself gives the number of its members. One row with empty
-- keys counts the population.
-- in: standing, contacts, population (one row: the month's end)
WITH present AS (
    SELECT s.cohort_key, s.contact_id, CASE WHEN k.in_population THEN 1 END AS of_population
    FROM standing AS s
    JOIN contacts AS k ON k.contact_id = s.contact_id
    WHERE s.change <> 'departed'
),
pairs AS (
    SELECT a.cohort_key AS cohort_a, b.cohort_key AS cohort_b, a.of_population
    FROM present AS a
    JOIN present AS b ON b.contact_id = a.contact_id
    WHERE a.cohort_key <= b.cohort_key
),
everyone AS (
    SELECT k.contact_id
    FROM contacts AS k
    JOIN population AS p ON p.in_population = k.in_population
    WHERE k.created_at IS NULL OR k.created_at < p.month_end
)
SELECT
    q.cohort_a,
    q.cohort_b,
    CAST(COUNT(*) AS BIGINT) AS in_both,
    CAST(COUNT(q.of_population) AS BIGINT) AS in_both_of_population
FROM pairs AS q
GROUP BY q.cohort_a, q.cohort_b
UNION ALL
SELECT
    '' AS cohort_a,
    '' AS cohort_b,
    CAST(COUNT(*) AS BIGINT) AS in_both,
    CAST(COUNT(*) AS BIGINT) AS in_both_of_population
FROM everyone AS e
