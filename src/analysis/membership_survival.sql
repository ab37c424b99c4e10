-- How many first spells of each cohort ended after so many months, and how many were followed no further.
-- in: spells (a row a cohort and length), cohorts
SELECT
    s.cohort_key,
    s.duration_months,
    s.departed,
    s.censored_at_gap + s.still_members AS censored
FROM spells AS s
JOIN cohorts AS c ON c.cohort_key = s.cohort_key
