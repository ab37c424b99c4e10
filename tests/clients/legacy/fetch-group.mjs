// Fetches customers in one tag or one segment: the first page of them.
//   node legacy/fetch-group.mjs tag 1373897
//   node legacy/fetch-group.mjs segment 63bbdd50aa01c0ffee000001
import { bodyOf, client, roleOf } from './client.mjs';

const [kind, id] = process.argv.slice(2);

// It is a list of users by name, but leads are in it, too. One request takes a tag or a segment, not both.
const { users, total_count: total } = await bodyOf(client.users.listBy({ [`${kind}_id`]: id }), 'user.list');
for (const customer of users) console.log(`${roleOf(customer)} ${customer.id}`);
console.log(`${users.length} of ${total}`);
