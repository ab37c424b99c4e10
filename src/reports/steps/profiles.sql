-- How many contacts of the population, and how many members of each cohort within it, have each value of each attribute of the
-- job's profile, by role. The population itself has the empty key. A row with an empty attribute counts everyone of the role. A
-- number and a text with the same characters count as one value, which is no number. The rows of earlier months with which a cohort is
-- still compared are copied.
-- in: described, relations, this_month, profiles_before, kept_months
-- out: profiles
WITH counted AS (
    SELECT
        '' AS cohort_key,
        d.attribute,
        d.role,
        d.value,
        MAX(d.value_number) AS value_number,
        CAST(SUM(d.contacts) AS BIGINT) AS contacts,
        CAST(SUM(d.numbers) AS BIGINT) AS numbers
    FROM described AS d
    GROUP BY d.attribute, d.role, d.value
    UNION ALL
    SELECT
        r.cohort_key,
        d.attribute,
        d.role,
        d.value,
        MAX(d.value_number) AS value_number,
        CAST(SUM(d.contacts) AS BIGINT) AS contacts,
        CAST(SUM(d.numbers) AS BIGINT) AS numbers
    FROM relations AS r
    JOIN described AS d ON d.signature = r.signature
    WHERE r.change <> 'departed'
    GROUP BY r.cohort_key, d.attribute, d.role, d.value
)
SELECT
    m.month,
    n.cohort_key,
    n.attribute,
    n.role,
    n.value,
    CASE WHEN n.numbers = n.contacts THEN n.value_number END AS value_number,
    n.contacts,
    n.numbers
FROM counted AS n
CROSS JOIN this_month AS m
UNION ALL
SELECT b.month, b.cohort_key, b.attribute, b.role, b.value, b.value_number, b.contacts, b.numbers
FROM profiles_before AS b
JOIN kept_months AS h ON h.month = b.month
WHERE b.cohort_key <> ''
