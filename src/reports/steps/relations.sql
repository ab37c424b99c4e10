-- The relations of a signature to cohorts, read from the contact that gives the signature its name.
-- in: standing, signatures
-- out: relations
WITH named AS (
    SELECT DISTINCT g.signature FROM signatures AS g
)
SELECT
    n.signature,
    s.cohort_key,
    s.change,
    s.is_newly_unsubscribed,
    s.is_converted,
    s.is_gone,
    s.is_merged,
    s.is_of_unknown_fate,
    s.is_created_since
FROM standing AS s
JOIN named AS n ON n.signature = s.contact_id
