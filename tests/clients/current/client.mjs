// The newest intercom-client: a Bearer token, and an Intercom-Version header of its own choice (7.0.3: 2.14; `version` overrides it).
import { IntercomClient } from 'intercom-client';

const { BASE_URL, INTERCOM_ACCESS_TOKEN } = process.env;
// Without a base URL the client would talk to the real Intercom, and two of these scripts write.
if (!BASE_URL || !INTERCOM_ACCESS_TOKEN) throw new Error('set BASE_URL and INTERCOM_ACCESS_TOKEN');

export const client = new IntercomClient({ token: INTERCOM_ACCESS_TOKEN, baseUrl: BASE_URL });

/** The body of an answer, once it is known to be of the type asked for. */
export async function bodyOf(request, type) {
  return checked(await request, type);
}

/** The customers that a query finds, a page of them: `page.data`, `page.hasNextPage()`, `page.getNextPage()`. */
export async function search(field, id, perPage) {
  const request = { query: { field, operator: '=', value: id }, pagination: { per_page: perPage } };
  return checkedPage(await client.contacts.search(request));
}

/** A page, once its body is known to be a list. A body that is none would look like the end of the list. */
export function checkedPage(page) {
  checked(page.response, 'list');
  return page;
}

// Statuses of 400 and more are thrown. A 200 without JSON is not: it comes as `{ ok: false, … }` in place of the body, and an empty
// one as `undefined`.
function checked(body, type) {
  if (body?.type !== type) throw new Error(`wanted a ${type}, got ${JSON.stringify(body)?.slice(0, 120)}`);
  return body;
}
