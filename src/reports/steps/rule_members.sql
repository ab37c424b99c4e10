-- The members of rules. The snapshot has only the members of tags and segments.
-- in: memberships
-- out: rule_members
SELECT m.cohort_key, m.contact_id
FROM memberships AS m
WHERE m.cohort_key LIKE 'rule:%'
