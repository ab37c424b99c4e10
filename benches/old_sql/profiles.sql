-- How many contacts of the population, and how many members of each cohort within it, have each value of each attribute of the
-- job's profile, by role. The population itself has the empty key. A row with an empty attribute counts everyone of the role. A
-- number and a text with the same characters count as one value, which is no number.
-- in: standing (this month), contacts, attributes (the snapshot), population, profile (the wanted attributes)
WITH everyone AS (
    SELECT k.contact_id, k.role, p.month
    FROM contacts AS k
    JOIN population AS p ON p.in_population = k.in_population
    WHERE k.created_at IS NULL OR k.created_at < p.month_end
),
columns AS (
    SELECT
        k.contact_id,
        k.role,
        f.attribute,
        CASE
            WHEN f.attribute = 'role' THEN k.role
            WHEN f.attribute = 'owner_id' THEN k.owner_id
            WHEN f.attribute = 'unsubscribed_from_emails' THEN CASE WHEN k.unsubscribed_from_emails THEN 'true' WHEN NOT k.unsubscribed_from_emails THEN 'false' END
            WHEN f.attribute = 'has_hard_bounced' THEN CASE WHEN k.has_hard_bounced THEN 'true' WHEN NOT k.has_hard_bounced THEN 'false' END
            WHEN f.attribute = 'marked_email_as_spam' THEN CASE WHEN k.marked_email_as_spam THEN 'true' WHEN NOT k.marked_email_as_spam THEN 'false' END
            WHEN f.attribute = 'country' THEN k.country
            WHEN f.attribute = 'region' THEN k.region
            WHEN f.attribute = 'city' THEN k.city
            WHEN f.attribute = 'country_code' THEN k.country_code
            WHEN f.attribute = 'continent_code' THEN k.continent_code
            WHEN f.attribute = 'browser' THEN k.browser
            WHEN f.attribute = 'browser_version' THEN k.browser_version
            WHEN f.attribute = 'browser_language' THEN k.browser_language
            WHEN f.attribute = 'os' THEN k.os
            WHEN f.attribute = 'language_override' THEN k.language_override
            WHEN f.attribute = 'android_device' THEN k.android_device
            WHEN f.attribute = 'android_os_version' THEN k.android_os_version
            WHEN f.attribute = 'ios_device' THEN k.ios_device
            WHEN f.attribute = 'ios_os_version' THEN k.ios_os_version
            WHEN f.attribute = 'utm_campaign' THEN k.utm_campaign
            WHEN f.attribute = 'utm_content' THEN k.utm_content
            WHEN f.attribute = 'utm_medium' THEN k.utm_medium
            WHEN f.attribute = 'utm_source' THEN k.utm_source
            WHEN f.attribute = 'utm_term' THEN k.utm_term
            WHEN f.attribute = 'referrer' THEN k.referrer
        END AS value
    FROM contacts AS k
    JOIN population AS p ON p.in_population = k.in_population
    JOIN profile AS f ON f.month = p.month
    WHERE f.custom_name IS NULL AND (k.created_at IS NULL OR k.created_at < p.month_end)
),
described AS (
    SELECT e.contact_id, e.role, '' AS attribute, CAST(NULL AS VARCHAR) AS value, CAST(NULL AS DOUBLE) AS value_number
    FROM everyone AS e
    UNION ALL
    SELECT c.contact_id, c.role, c.attribute, c.value, CAST(NULL AS DOUBLE) AS value_number
    FROM columns AS c
    WHERE c.value IS NOT NULL
    UNION ALL
    SELECT e.contact_id, e.role, f.attribute, a.value, a.value_number
    FROM attributes AS a
    JOIN profile AS f ON f.custom_name = a.attribute
    JOIN everyone AS e ON e.contact_id = a.contact_id
),
present AS (
    SELECT s.cohort_key, s.contact_id FROM standing AS s WHERE s.change <> 'departed'
)
SELECT
    '' AS cohort_key,
    d.attribute,
    d.role,
    d.value,
    CASE WHEN COUNT(d.value_number) = COUNT(*) THEN MAX(d.value_number) END AS value_number,
    CAST(COUNT(*) AS BIGINT) AS contacts,
    CAST(COUNT(d.value_number) AS BIGINT) AS numbers
FROM described AS d
GROUP BY d.attribute, d.role, d.value
UNION ALL
SELECT
    p.cohort_key,
    d.attribute,
    d.role,
    d.value,
    CASE WHEN COUNT(d.value_number) = COUNT(*) THEN MAX(d.value_number) END AS value_number,
    CAST(COUNT(*) AS BIGINT) AS contacts,
    CAST(COUNT(d.value_number) AS BIGINT) AS numbers
FROM present AS p
JOIN described AS d ON d.contact_id = p.contact_id
GROUP BY p.cohort_key, d.attribute, d.role, d.value
