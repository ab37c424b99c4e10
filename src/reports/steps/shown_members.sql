-- Some members of each cohort for the page: those who joined or departed, then those who opened most conversations.
-- in: report_members
-- out: members
WITH rated AS (
    SELECT
        r.*,
        CASE WHEN r.change = 'retained' OR r.change = 'first_seen' THEN 1 ELSE 0 END AS stayed,
        CASE WHEN r.conversations_opened IS NULL THEN CAST(1 AS BIGINT) ELSE 0 - r.conversations_opened END AS fewest
    FROM report_members AS r
),
ranked AS (
    SELECT t.*, ROW_NUMBER() OVER (PARTITION BY t.cohort_key ORDER BY t.stayed, t.fewest, t.contact_id) AS place
    FROM rated AS t
)
SELECT * FROM ranked AS k WHERE k.place <= 25
