// Fetches customers in one tag or one segment: the first page of them.
//   node current/fetch-group.mjs tag 1373897
//   node current/fetch-group.mjs segment 63bbdd50aa01c0ffee000001
import { search } from './client.mjs';

const [kind, id] = process.argv.slice(2);

const { data: contacts, response } = await search(`${kind}_id`, id, 50);
for (const contact of contacts) console.log(`${contact.role} ${contact.id}`);
console.log(`${contacts.length} of ${response.total_count}`);
