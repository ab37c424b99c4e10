-- The value of each attribute of the job's profile that a contact has: columns of contacts and custom attributes alike.
-- in: contacts, attributes, profile, this_month
-- out: attribute_values
WITH columns AS (
    SELECT
        k.contact_id,
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
    CROSS JOIN this_month AS m
    JOIN profile AS f ON f.month = m.month
    WHERE f.custom_name IS NULL
)
SELECT c.contact_id, c.attribute, c.value, CAST(NULL AS DOUBLE) AS value_number
FROM columns AS c
WHERE c.value IS NOT NULL
UNION ALL
SELECT a.contact_id, f.attribute, a.value, a.value_number
FROM attributes AS a
JOIN profile AS f ON f.custom_name = a.attribute
WHERE a.value IS NOT NULL
