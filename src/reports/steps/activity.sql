-- The number of members of each cohort that opened each number of conversations in the month.
-- in: relations, cells
-- out: activity
SELECT r.cohort_key, c.conversations, CAST(SUM(c.contacts) AS BIGINT) AS contacts
FROM relations AS r
JOIN cells AS c ON c.signature = r.signature
WHERE r.change <> 'departed'
GROUP BY r.cohort_key, c.conversations
