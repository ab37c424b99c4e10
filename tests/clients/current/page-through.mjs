// Pages through the customers to the end: those in one tag, in one segment, or all.
//   node current/page-through.mjs tag 1373897
//   node current/page-through.mjs segment 63bbdd50aa01c0ffee000001
//   node current/page-through.mjs everyone
import { checkedPage, client, search } from './client.mjs';

const [what, id] = process.argv.slice(2);

let page = what === 'everyone' ? checkedPage(await client.contacts.list({ per_page: 50 })) : await search(`${what}_id`, id, 50);
const total = page.response.total_count;
let seen = 0;
// `for await (const contact of page)` does all this in one line, without a look at the pages.
for (;;) {
  console.log(`page ${page.response.pages.page}: ${page.data.length}`);
  for (const contact of page.data) console.log(`${contact.role} ${contact.id}`);
  seen += page.data.length;
  if (!page.hasNextPage()) break;
  page = checkedPage(await page.getNextPage());
}
console.log(`${seen} of ${total}`);
