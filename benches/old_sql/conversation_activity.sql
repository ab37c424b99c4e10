-- How many members of each cohort opened how many conversations in the month.
-- in: standing, conversations
WITH opened AS (
    SELECT v.opened_by AS contact_id, CAST(COUNT(*) AS BIGINT) AS conversations
    FROM conversations AS v
    WHERE v.opened_by IS NOT NULL
    GROUP BY v.opened_by
),
present AS (
    SELECT s.cohort_key, COALESCE(o.conversations, CAST(0 AS BIGINT)) AS conversations
    FROM standing AS s
    LEFT JOIN opened AS o ON o.contact_id = s.contact_id
    WHERE s.change <> 'departed'
)
SELECT p.cohort_key, p.conversations, CAST(COUNT(*) AS BIGINT) AS contacts
FROM present AS p
GROUP BY p.cohort_key, p.conversations
