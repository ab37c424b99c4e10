-- How many contacts have each value, in the population (the empty key) and in each cohort, now and in the compared month.
-- in: profiles (a row a cohort, attribute, role and value), population, cohorts
SELECT
    f.cohort_key,
    CASE WHEN f.month = p.month THEN TRUE ELSE FALSE END AS is_now,
    f.attribute,
    f.role,
    f.value,
    f.value_number,
    f.contacts
FROM profiles AS f
LEFT JOIN population AS p ON p.month = f.month
LEFT JOIN cohorts AS c ON c.cohort_key = f.cohort_key
WHERE f.month = p.month OR f.month = c.compared_month
