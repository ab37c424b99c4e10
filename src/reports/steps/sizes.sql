-- The numbers of contacts of each signature: in all, of the population, and with each fact.
-- in: cells
-- out: sizes
SELECT
    c.signature,
    CAST(SUM(c.contacts) AS BIGINT) AS contacts,
    CAST(SUM(CASE WHEN c.is_in_population THEN c.contacts ELSE 0 END) AS BIGINT) AS of_population,
    CAST(SUM(CASE WHEN c.role = 'user' THEN c.contacts ELSE 0 END) AS BIGINT) AS users,
    CAST(SUM(CASE WHEN c.role = 'lead' THEN c.contacts ELSE 0 END) AS BIGINT) AS leads,
    CAST(SUM(CASE WHEN c.is_new THEN c.contacts ELSE 0 END) AS BIGINT) AS new_contacts,
    CAST(SUM(CASE WHEN c.is_active THEN c.contacts ELSE 0 END) AS BIGINT) AS active_members,
    CAST(SUM(CASE WHEN c.conversations > 0 THEN c.contacts ELSE 0 END) AS BIGINT) AS openers,
    CAST(SUM(c.conversations * c.contacts) AS BIGINT) AS conversations_opened,
    CAST(SUM(CASE WHEN c.is_unsubscribed THEN c.contacts ELSE 0 END) AS BIGINT) AS unsubscribed,
    CAST(SUM(CASE WHEN c.is_bounced THEN c.contacts ELSE 0 END) AS BIGINT) AS hard_bounced,
    CAST(SUM(CASE WHEN c.is_spam THEN c.contacts ELSE 0 END) AS BIGINT) AS marked_spam
FROM cells AS c
GROUP BY c.signature
