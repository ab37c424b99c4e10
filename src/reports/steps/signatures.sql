-- The signature of each contact in `standing`. Contacts with one signature have the same relations to the same cohorts, so what is
-- counted of a signature holds for all of them. Here each contact is a signature of its own; an engine may give fewer.
-- in: standing
-- out: signatures
SELECT DISTINCT s.contact_id, s.contact_id AS signature
FROM standing AS s
