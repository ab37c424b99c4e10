-- The counts of each cohort of this month: in every month of its history, and in this month.
-- in: counts (a row a cohort and month), cohorts
SELECT n.*
FROM counts AS n
JOIN cohorts AS c ON c.cohort_key = n.cohort_key
