// Counts the users and leads in every tag and every segment.
//   node legacy/count-groups.mjs
import { bodyOf, client } from './client.mjs';

const { user: byTag } = await bodyOf(client.counts.userTagCounts(), 'count');
const { user: bySegment } = await bodyOf(client.counts.userSegmentCounts(), 'count');

// Counts come by name and not by ID, `[{"VIP": 26}, …]`. Two groups may bear one name, so do not gather them into one object.
for (const [kind, entries] of [['tag', byTag.tag], ['segment', bySegment.segment]]) {
  for (const entry of entries) {
    const [[name, count]] = Object.entries(entry);
    console.log(`${kind} ${JSON.stringify(name)} ${count}`);
  }
}
