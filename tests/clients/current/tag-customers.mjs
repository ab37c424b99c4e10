// Tags users and leads in one go, and looks whether they are tagged.
//   node current/tag-customers.mjs 'spring sale' USER_ID LEAD_ID …
import { bodyOf, client } from './client.mjs';

const [name, ...ids] = process.argv.slice(2);

// Users and leads alike go into `users`, by `id`. The tag is created when there is none of that name. Up to 2.15 one unknown customer
// means that nobody is tagged.
const tag = await bodyOf(client.tags.create({ name, users: ids.map((id) => ({ id })) }), 'tag');
console.log(`tag ${tag.id} ${JSON.stringify(tag.name)}`);

for (const id of ids) {
  const { role } = await bodyOf(client.contacts.find({ contact_id: id }), 'contact');
  const { data: tags } = await bodyOf(client.contacts.listAttachedTags({ contact_id: id }), 'list');
  if (!tags.some((attached) => attached.id === tag.id)) throw new Error(`${id} is not tagged`);
  console.log(`${role} ${id} is tagged`);
}
