-- The number of contacts that each pair of cohorts shares. A pair of a cohort with itself gives the number of its members. One row with
-- empty keys counts the population.
-- in: relations, sizes
-- out: shared
WITH present AS (
    SELECT r.signature, r.cohort_key FROM relations AS r WHERE r.change <> 'departed'
),
pairs AS (
    SELECT a.cohort_key AS cohort_a, b.cohort_key AS cohort_b, a.signature
    FROM present AS a
    JOIN present AS b ON b.signature = a.signature
    WHERE a.cohort_key <= b.cohort_key
)
SELECT
    p.cohort_a,
    p.cohort_b,
    CAST(SUM(z.contacts) AS BIGINT) AS in_both,
    CAST(SUM(z.of_population) AS BIGINT) AS in_both_of_population
FROM pairs AS p
JOIN sizes AS z ON z.signature = p.signature
GROUP BY p.cohort_a, p.cohort_b
UNION ALL
SELECT
    '' AS cohort_a,
    '' AS cohort_b,
    COALESCE(CAST(SUM(z.of_population) AS BIGINT), CAST(0 AS BIGINT)) AS in_both,
    COALESCE(CAST(SUM(z.of_population) AS BIGINT), CAST(0 AS BIGINT)) AS in_both_of_population
FROM sizes AS z
