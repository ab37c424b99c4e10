-- The people that the job follows: everyone counts once, in however many cohorts. Who is new to a cohort that has no compared month may have
-- been in it before.
-- in: relations, sizes
-- out: followed
WITH people AS (
    SELECT
        r.signature,
        MAX(CASE WHEN r.change <> 'departed' THEN 1 ELSE 0 END) AS is_member,
        MAX(CASE WHEN r.change = 'retained' OR r.change = 'departed' THEN 1 ELSE 0 END) AS was_member,
        MAX(CASE WHEN r.change = 'first_seen' THEN 1 ELSE 0 END) AS is_first_seen,
        MAX(CASE WHEN r.change <> 'departed' AND r.is_newly_unsubscribed THEN 1 ELSE 0 END) AS is_newly_unsubscribed
    FROM relations AS r
    GROUP BY r.signature
)
SELECT
    CAST(COALESCE(SUM(CASE WHEN p.is_member = 1 THEN z.contacts ELSE 0 END), 0) AS BIGINT) AS followed,
    CAST(COALESCE(SUM(CASE WHEN p.was_member = 0 AND p.is_first_seen = 0 THEN z.contacts ELSE 0 END), 0) AS BIGINT) AS joined,
    CAST(COALESCE(SUM(CASE WHEN p.is_member = 0 THEN z.contacts ELSE 0 END), 0) AS BIGINT) AS departed,
    CAST(COALESCE(SUM(CASE WHEN p.was_member = 0 AND p.is_first_seen = 1 THEN z.contacts ELSE 0 END), 0) AS BIGINT) AS first_seen,
    CAST(COALESCE(SUM(CASE WHEN p.is_member = 1 THEN z.unsubscribed ELSE 0 END), 0) AS BIGINT) AS unsubscribed,
    CAST(COALESCE(SUM(CASE WHEN p.is_newly_unsubscribed = 1 THEN z.contacts ELSE 0 END), 0) AS BIGINT) AS newly_unsubscribed
FROM people AS p
JOIN sizes AS z ON z.signature = p.signature
