-- The number of contacts of the population of each signature and role with each value of each attribute of the job's profile. A row with
-- an empty attribute counts every contact of the role.
-- in: contacts, attributes, signatures, profile, this_month
-- out: described
WITH everyone AS (
    SELECT k.contact_id, k.role, g.signature, m.month
    FROM contacts AS k
    CROSS JOIN this_month AS m
    LEFT JOIN signatures AS g ON g.contact_id = k.contact_id
    WHERE k.in_population AND (k.created_at IS NULL OR k.created_at < m.month_end)
),
columns AS (
    SELECT
        e.signature,
        e.role,
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
    FROM everyone AS e
    JOIN contacts AS k ON k.contact_id = e.contact_id
    JOIN profile AS f ON f.month = e.month
    WHERE f.custom_name IS NULL
),
valued AS (
    SELECT e.signature, e.role, '' AS attribute, CAST(NULL AS STRING) AS value, CAST(NULL AS DOUBLE) AS value_number
    FROM everyone AS e
    UNION ALL
    SELECT c.signature, c.role, c.attribute, c.value, CAST(NULL AS DOUBLE) AS value_number
    FROM columns AS c
    WHERE c.value IS NOT NULL
    UNION ALL
    SELECT e.signature, e.role, f.attribute, a.value, a.value_number
    FROM attributes AS a
    JOIN profile AS f ON f.custom_name = a.attribute
    JOIN everyone AS e ON e.contact_id = a.contact_id
    WHERE a.value IS NOT NULL
)
SELECT
    v.signature,
    v.role,
    v.attribute,
    v.value,
    MAX(v.value_number) AS value_number,
    CAST(COUNT(*) AS BIGINT) AS contacts,
    CAST(COUNT(v.value_number) AS BIGINT) AS numbers
FROM valued AS v
GROUP BY v.signature, v.role, v.attribute, v.value
