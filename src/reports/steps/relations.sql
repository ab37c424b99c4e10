-- The relations of a signature to cohorts, read from the contact that gives the signature its name.
-- in: standing, signatures
-- out: relations
SELECT
    g.signature,
    s.cohort_key,
    s.change,
    s.is_newly_unsubscribed,
    s.is_converted,
    s.is_gone,
    s.is_created_since
FROM standing AS s
JOIN signatures AS g ON g.contact_id = s.contact_id AND g.signature = s.contact_id
