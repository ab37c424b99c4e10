-- How many contacts have each value, in the population (the empty key) and in each cohort.
-- in: profiles (a row a cohort, attribute, role and value), population
SELECT f.cohort_key, TRUE AS is_now, f.attribute, f.role, f.value, f.value_number, f.contacts
FROM profiles AS f
JOIN population AS p ON p.month = f.month
