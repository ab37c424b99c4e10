// Lists tags and segments with their IDs.
//   node current/list-groups.mjs
import { bodyOf, client } from './client.mjs';

const { data: tags } = await bodyOf(client.tags.list(), 'list');
for (const { id, name } of tags) console.log(`tag ${id} ${JSON.stringify(name)}`);

const { segments } = await bodyOf(client.segments.list(), 'segment.list');
for (const { id, name } of segments) console.log(`segment ${id} ${JSON.stringify(name)}`);
