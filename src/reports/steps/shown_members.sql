-- Some members of each cohort for the page: those who joined or departed, then those who opened most conversations.
-- in: report_members
-- out: members
WITH ranked AS (
    SELECT
        r.*,
        ROW_NUMBER() OVER (
            PARTITION BY r.cohort_key
            ORDER BY
                CASE WHEN r.change = 'retained' OR r.change = 'first_seen' THEN 1 ELSE 0 END,
                -1 * COALESCE(r.conversations_opened, CAST(-1 AS BIGINT)),
                r.contact_id
        ) AS place
    FROM report_members AS r
)
SELECT * FROM ranked AS k WHERE k.place <= 25
