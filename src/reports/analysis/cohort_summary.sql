-- The counts of each cohort this month.
-- in: counts (a row a cohort and month), cohorts
SELECT n.*
FROM counts AS n
JOIN cohorts AS c ON c.cohort_key = n.cohort_key AND c.month = n.month
