// Counts the users and leads in every tag and every segment.
//   node current/count-groups.mjs
import { bodyOf, client, search } from './client.mjs';

// Tags come without counts, and `/counts` is gone since 2.7. Every search tells how many it found, though: one row is enough.
const { data: tags } = await bodyOf(client.tags.list(), 'list');
for (const { id, name } of tags) {
  const { response } = await search('tag_id', id, 1);
  console.log(`tag ${JSON.stringify(name)} ${response.total_count}`);
}

const { segments } = await bodyOf(client.segments.list({ include_count: true }), 'segment.list');
for (const { name, count } of segments) console.log(`segment ${JSON.stringify(name)} ${count}`);
