// Tags users and leads in one go, and looks whether they are tagged.
//   node legacy/tag-customers.mjs 'spring sale' USER_ID LEAD_ID …
import { bodyOf, client, pageAfter, roleOf } from './client.mjs';

const [name, ...ids] = process.argv.slice(2);

// Leads go into `users`, too, by `id`: they have no `user_id`. The tag is created when there is none of that name. One unknown
// customer and nobody is tagged; the error does not say who it was.
const tag = await bodyOf(client.tags.tag({ name, users: ids.map((id) => ({ id })) }), 'tag');
console.log(`tag ${tag.id} ${JSON.stringify(tag.name)}`);

// The answer names the tag and nobody in it, so ask.
const roles = new Map();
for (let page = await bodyOf(client.users.listBy({ tag_id: tag.id }), 'user.list'); page; page = await pageAfter(page)) {
  for (const customer of page.users) roles.set(customer.id, roleOf(customer));
}
for (const id of ids) {
  if (!roles.has(id)) throw new Error(`${id} is not tagged`);
  console.log(`${roles.get(id)} ${id} is tagged`);
}
