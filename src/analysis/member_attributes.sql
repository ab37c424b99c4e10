-- What each member of any cohort has for each attribute of the job's profile.
-- in: standing, contacts, attributes, cohorts, profile (the wanted attributes)
WITH present AS (
    SELECT DISTINCT s.contact_id, c.month
    FROM standing AS s
    JOIN cohorts AS c ON c.cohort_key = s.cohort_key
    WHERE s.change <> 'departed'
),
wanted AS (
    SELECT p.month, p.contact_id, f.attribute, f.custom_name
    FROM present AS p
    JOIN profile AS f ON f.month = p.month
),
described AS (
    SELECT
        w.month,
        w.contact_id,
        w.attribute,
        w.custom_name,
        CASE
            WHEN w.attribute = 'role' THEN k.role
            WHEN w.attribute = 'owner_id' THEN k.owner_id
            WHEN w.attribute = 'unsubscribed_from_emails' THEN CASE WHEN k.unsubscribed_from_emails THEN 'true' WHEN NOT k.unsubscribed_from_emails THEN 'false' END
            WHEN w.attribute = 'has_hard_bounced' THEN CASE WHEN k.has_hard_bounced THEN 'true' WHEN NOT k.has_hard_bounced THEN 'false' END
            WHEN w.attribute = 'marked_email_as_spam' THEN CASE WHEN k.marked_email_as_spam THEN 'true' WHEN NOT k.marked_email_as_spam THEN 'false' END
            WHEN w.attribute = 'country' THEN k.country
            WHEN w.attribute = 'region' THEN k.region
            WHEN w.attribute = 'city' THEN k.city
            WHEN w.attribute = 'country_code' THEN k.country_code
            WHEN w.attribute = 'continent_code' THEN k.continent_code
            WHEN w.attribute = 'browser' THEN k.browser
            WHEN w.attribute = 'browser_version' THEN k.browser_version
            WHEN w.attribute = 'browser_language' THEN k.browser_language
            WHEN w.attribute = 'os' THEN k.os
            WHEN w.attribute = 'language_override' THEN k.language_override
            WHEN w.attribute = 'android_device' THEN k.android_device
            WHEN w.attribute = 'android_os_version' THEN k.android_os_version
            WHEN w.attribute = 'ios_device' THEN k.ios_device
            WHEN w.attribute = 'ios_os_version' THEN k.ios_os_version
            WHEN w.attribute = 'utm_campaign' THEN k.utm_campaign
            WHEN w.attribute = 'utm_content' THEN k.utm_content
            WHEN w.attribute = 'utm_medium' THEN k.utm_medium
            WHEN w.attribute = 'utm_source' THEN k.utm_source
            WHEN w.attribute = 'utm_term' THEN k.utm_term
            WHEN w.attribute = 'referrer' THEN k.referrer
        END AS value
    FROM wanted AS w
    JOIN contacts AS k ON k.contact_id = w.contact_id
)
SELECT
    d.month,
    d.contact_id,
    d.attribute,
    CASE WHEN d.custom_name IS NULL THEN d.value ELSE a.value END AS value,
    a.value_number
FROM described AS d
LEFT JOIN attributes AS a ON a.contact_id = d.contact_id AND a.attribute = d.custom_name
