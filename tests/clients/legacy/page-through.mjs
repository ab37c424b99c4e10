// Pages through the customers to the end: those in one tag, in one segment, or all users and then all leads.
//   node legacy/page-through.mjs tag 1373897
//   node legacy/page-through.mjs segment 63bbdd50aa01c0ffee000001
//   node legacy/page-through.mjs everyone
import { bodyOf, client, pageAfter, roleOf } from './client.mjs';

const [what, id] = process.argv.slice(2);

if (what === 'everyone') {
  await pageThrough(client.users.list(), 'user.list');
  await pageThrough(client.leads.list(), 'contact.list');
} else {
  await pageThrough(client.users.listBy({ [`${what}_id`]: id }), 'user.list');
}

async function pageThrough(request, type) {
  const rows = type === 'user.list' ? 'users' : 'contacts';
  let seen = 0;
  let page = await bodyOf(request, type);
  const total = page.total_count;
  // Page numbers end at 10,000 customers; lists longer than that need `client.users.scroll`.
  for (; page; page = await pageAfter(page)) {
    console.log(`page ${page.pages.page}: ${page[rows].length}`);
    for (const customer of page[rows]) console.log(`${roleOf(customer)} ${customer.id}`);
    seen += page[rows].length;
  }
  console.log(`${seen} of ${total}`);
}
