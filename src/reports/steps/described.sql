-- The number of contacts of the population of each signature and role with each value of each attribute of the job's profile. A row with
-- an empty attribute counts every contact of the role.
-- in: contacts, attribute_values, signatures, this_month
-- out: described
WITH everyone AS (
    SELECT k.contact_id, k.role, g.signature
    FROM contacts AS k
    CROSS JOIN this_month AS m
    LEFT JOIN signatures AS g ON g.contact_id = k.contact_id
    WHERE k.in_population AND (k.created_at IS NULL OR k.created_at < m.month_end)
),
valued AS (
    SELECT e.signature, e.role, '' AS attribute, CAST(NULL AS STRING) AS value, CAST(NULL AS DOUBLE) AS value_number
    FROM everyone AS e
    UNION ALL
    SELECT e.signature, e.role, a.attribute, a.value, a.value_number
    FROM everyone AS e
    JOIN attribute_values AS a ON a.contact_id = e.contact_id
)
SELECT
    v.signature,
    v.role,
    v.attribute,
    v.value,
    MAX(v.value_number) AS value_number,
    CAST(COUNT(*) AS BIGINT) AS contacts,
    CAST(COUNT(v.value_number) AS BIGINT) AS numbers
FROM valued AS v
GROUP BY v.signature, v.role, v.attribute, v.value
