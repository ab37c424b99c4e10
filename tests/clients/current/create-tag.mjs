// Creates a tag. A tag that bears the name already is the answer, unchanged.
//   node current/create-tag.mjs 'spring sale'
import { bodyOf, client } from './client.mjs';

const { id, name } = await bodyOf(client.tags.create({ name: process.argv[2] }), 'tag');
console.log(`tag ${id} ${JSON.stringify(name)}`);
