-- What each cohort of this month counted in every month of its history, and this month.
-- in: counts (a row a cohort and month), cohorts
SELECT
    n.cohort_key,
    n.month,
    n.in_history,
    n.members,
    n.users,
    n.leads,
    n.intercom_count,
    n.new_contacts,
    n.active_members,
    n.openers,
    n.conversations_opened,
    n.unsubscribed,
    n.hard_bounced,
    n.marked_spam,
    n.previous_members,
    n.retained,
    n.joined,
    n.returned,
    n.departed,
    n.departed_gone,
    n.net_change,
    n.newly_unsubscribed,
    n.converted_leads
FROM counts AS n
JOIN cohorts AS c ON c.cohort_key = n.cohort_key
