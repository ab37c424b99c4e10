-- The number of conversations of the month that each contact opened.
-- in: conversations
-- out: opened
SELECT v.opened_by AS contact_id, CAST(COUNT(*) AS BIGINT) AS conversations
FROM conversations AS v
WHERE v.opened_by IS NOT NULL
GROUP BY v.opened_by
