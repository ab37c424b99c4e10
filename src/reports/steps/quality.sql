-- Counts what is wrong or unusual in the month's tables.
-- in: members, contacts, opened, profiles, this_month
-- out: quality
WITH late_contacts AS (
    SELECT k.contact_id
    FROM contacts AS k
    CROSS JOIN this_month AS p
    WHERE k.created_at >= p.month_end
),
late AS (
    SELECT m.cohort_key AS subject, CAST(COUNT(*) AS BIGINT) AS found
    FROM members AS m
    JOIN late_contacts AS k ON k.contact_id = m.contact_id
    GROUP BY m.cohort_key
),
opened_in_all AS (
    SELECT COALESCE(CAST(SUM(o.conversations) AS BIGINT), CAST(0 AS BIGINT)) AS found FROM opened AS o
),
strangers AS (
    SELECT COALESCE(CAST(SUM(o.conversations) AS BIGINT), CAST(0 AS BIGINT)) AS found
    FROM opened AS o
    LEFT JOIN contacts AS k ON k.contact_id = o.contact_id
    WHERE k.contact_id IS NULL
),
undated AS (
    SELECT CAST(COUNT(*) AS BIGINT) AS found FROM contacts AS k WHERE k.created_at IS NULL
),
kinds AS (
    SELECT
        f.attribute AS subject,
        CAST(SUM(f.contacts - f.numbers) AS BIGINT) AS texts,
        CAST(SUM(f.numbers) AS BIGINT) AS numbers
    FROM profiles AS f
    JOIN this_month AS p ON p.month = f.month
    WHERE f.cohort_key = '' AND f.attribute <> '' AND f.value IS NOT NULL
    GROUP BY f.attribute
)
SELECT 'created_after_month_end' AS check_name, l.subject, l.found FROM late AS l
UNION ALL
SELECT 'opened_by_unknown_contact' AS check_name, 'conversations' AS subject, s.found FROM strangers AS s
UNION ALL
SELECT 'opened' AS check_name, 'conversations' AS subject, a.found FROM opened_in_all AS a
UNION ALL
SELECT 'created_at_missing' AS check_name, 'contacts' AS subject, u.found FROM undated AS u
UNION ALL
SELECT 'mixed_attribute' AS check_name, m.subject, m.texts AS found FROM kinds AS m WHERE m.texts > 0 AND m.numbers > 0
