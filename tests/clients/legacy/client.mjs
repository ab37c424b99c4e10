// intercom-client 2.11 speaks the 1.x API: the token is the user name of HTTP Basic, and no Intercom-Version header is sent. So the
// app's own default version decides what the answers look like; here that is `cohorts simulate --default-version 1.4`.
import intercom from 'intercom-client-legacy';

const { BASE_URL, INTERCOM_ACCESS_TOKEN } = process.env;
// Without a base URL the client would talk to the real Intercom, and two of these scripts write.
if (!BASE_URL || !INTERCOM_ACCESS_TOKEN) throw new Error('set BASE_URL and INTERCOM_ACCESS_TOKEN');

export const client = new intercom.Client({ token: INTERCOM_ACCESS_TOKEN }).usePromises().useRequestOpts({ baseUrl: BASE_URL });

/** The body of an answer, once it is known to be one: a 200 of the type asked for. */
export async function bodyOf(request, type) {
  // Promises and two-argument callbacks get bodies of the type `error.list` as errors. A page of HTML, or nothing at all, still
  // arrives as if it were data, whatever its status. (A one-argument callback gets everything as data: see errors.mjs.)
  const { statusCode, body } = await request;
  if (statusCode !== 200 || body?.type !== type) {
    throw new Error(`wanted a ${type}, got status ${statusCode} and ${JSON.stringify(body)?.slice(0, 120)}`);
  }
  return body;
}

/** The page after this one, or nothing after the last. */
export function pageAfter(body) {
  const { next } = body.pages;
  if (!next) return undefined;
  // `nextPage` follows the URL wherever it leads, with the token: better look first.
  if (new URL(next).origin !== new URL(BASE_URL).origin) throw new Error(`the next page is on another host: ${next}`);
  return bodyOf(client.nextPage(body.pages), body.type);
}

/** In 1.x a `contact` is a lead; everybody else is a `user`. */
export const roleOf = ({ type }) => (type === 'contact' ? 'lead' : type);
