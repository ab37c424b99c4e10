-- The values of each member of any cohort, for each attribute of the job's profile.
-- in: standing, attribute_values, cohorts, profile
-- out: member_attributes
WITH present AS (
    SELECT DISTINCT s.contact_id, c.month
    FROM standing AS s
    JOIN cohorts AS c ON c.cohort_key = s.cohort_key
    WHERE s.change <> 'departed'
),
wanted AS (
    SELECT p.month, p.contact_id, f.attribute
    FROM present AS p
    JOIN profile AS f ON f.month = p.month
)
SELECT w.month, w.contact_id, w.attribute, a.value, a.value_number
FROM wanted AS w
LEFT JOIN attribute_values AS a ON a.contact_id = w.contact_id AND a.attribute = w.attribute
