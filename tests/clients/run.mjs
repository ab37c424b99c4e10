// Intercom's own npm clients against the embedded Intercom: what the scripts print is compared with the simulator's truth.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startSimulator } from './simulator.mjs';

/** Rows in a page that the scripts ask for: what 1.x gives when nothing is said. */
const PAGE = 50;

let simulator;
before(async () => (simulator = await startSimulator()));
after(() => simulator?.stop());

/** The lines that a script prints that must succeed. */
async function printed(script, ...args) {
  const { code, lines, stderr } = await simulator.run(script, args);
  assert.equal(code, 0, `${script} ${args.join(' ')}: ${stderr}`);
  return lines;
}

const sorted = (items) => [...items].sort();
const rows = (lines) => lines.filter((line) => /^(user|lead) /.test(line));
const idOf = (row) => row.split(' ')[1];

/** Groups of the workspace as `{ kind, id, name, count }`: those that are there or, as `archived`, those that were put away. */
async function groups(which = 'groups') {
  const state = await simulator.truth('state');
  return state[which].map(({ group, name, count }) => {
    const [kind, id] = group.split(':');
    return { kind, id, name, count };
  });
}

/** All users or all leads, as the scripts print them. */
async function people(role) {
  const ids = await simulator.truth(`members?group=role:${role}`);
  return ids.map((id) => `${role} ${id}`);
}

const everyone = async () => [...(await people('user')), ...(await people('lead'))];

/** Who is in a group, as the scripts print them. */
async function members({ kind, id }) {
  const ids = await simulator.truth(`members?group=${kind}:${id}`);
  return (await everyone()).filter((row) => ids.includes(idOf(row)));
}

/** The tag or segment with the most members: more than two pages of them, or the tests below would prove little. */
async function largest(kind) {
  const [group] = (await groups()).filter((group) => group.kind === kind).sort((a, b) => b.count - a.count);
  assert.ok(group.count > 2 * PAGE, `${kind} ${group.name} has only ${group.count} members`);
  return group;
}

/** How many requests the simulator answers while something is done. */
async function requestsOf(action) {
  const { requests: before } = await simulator.truth('stats');
  const result = await action();
  const { requests: now } = await simulator.truth('stats');
  return [result, now - before];
}

/** How many pages a list of so many rows has. */
const pagesOf = (total) => Math.ceil(total / PAGE);

/** That the lines are one list, page by page, in whatever order: numbered from 1, all full but the last, everybody in it once and nobody else. */
function assertPages(lines, expected) {
  const total = expected.length;
  const sizes = Array.from({ length: pagesOf(total) }, (_, page) => Math.min(PAGE, total - page * PAGE));
  // The rows stand below the head of their page.
  const shape = sizes.flatMap((size, page) => [`page ${page + 1}: ${size}`, ...Array(size).fill('row')]);
  assert.deepEqual(lines.map((line) => (rows([line]).length ? 'row' : line)), [...shape, `${total} of ${total}`]);
  assert.deepEqual(sorted(rows(lines)), sorted(expected));
}

for (const client of ['legacy', 'current']) {
  describe(client, () => {
    test('lists tags and segments with their IDs', async () => {
      const expected = (await groups()).map(({ kind, id, name }) => `${kind} ${id} ${JSON.stringify(name)}`);
      assert.deepEqual(sorted(await printed(`${client}/list-groups.mjs`)), sorted(expected));
    });

    test('counts them', async () => {
      // 1.x counts archived groups as well, even where a living one bears their name; 2.x does not.
      const counted = [...(await groups()), ...(client === 'legacy' ? await groups('archived') : [])];
      const expected = counted.map(({ kind, name, count }) => `${kind} ${JSON.stringify(name)} ${count}`);
      assert.deepEqual(sorted(await printed(`${client}/count-groups.mjs`)), sorted(expected));
    });

    for (const kind of ['tag', 'segment']) {
      test(`fetches the customers in a ${kind}`, async () => {
        const group = await largest(kind);
        const lines = await printed(`${client}/fetch-group.mjs`, kind, group.id);
        const all = await members(group);
        assert.equal(new Set(rows(lines)).size, PAGE);
        assert.deepEqual(rows(lines).filter((row) => !all.includes(row)), []);
        assert.equal(lines.length, PAGE + 1);
        assert.equal(lines.at(-1), `${PAGE} of ${all.length}`);
      });

      test(`pages through all customers in a ${kind}`, async () => {
        const group = await largest(kind);
        const [lines, requests] = await requestsOf(() => printed(`${client}/page-through.mjs`, kind, group.id));
        const all = await members(group);
        assertPages(lines, all);
        assert.equal(requests, pagesOf(all.length));
        // Leads are among users here: this is the list that tells whether they are taken for leads.
        if (kind === 'tag') assert.ok(all.some((row) => row.startsWith('user ')) && all.some((row) => row.startsWith('lead ')));
      });
    }

    test('pages through all users and leads', async () => {
      const [lines, requests] = await requestsOf(() => printed(`${client}/page-through.mjs`, 'everyone'));
      const [users, leads] = [await people('user'), await people('lead')];
      // Two lists in 1.x, one in 2.x.
      const lists = client === 'legacy' ? [users, leads] : [[...users, ...leads]];
      let at = 0;
      for (const list of lists) {
        const end = at + pagesOf(list.length) + list.length + 1;
        assertPages(lines.slice(at, end), list);
        at = end;
      }
      assert.equal(lines.length, at);
      assert.equal(requests, lists.reduce((sum, list) => sum + pagesOf(list.length), 0));
    });

    test('creates a tag', async () => {
      const name = `spring "sale" of ${client}`;
      const before = await groups();
      const [line, ...more] = await printed(`${client}/create-tag.mjs`, name);
      const created = (await groups()).filter(({ id }) => !before.some((group) => group.id === id));
      assert.equal(created.length, 1);
      assert.deepEqual({ ...created[0], id: '' }, { kind: 'tag', id: '', name, count: 0 });
      assert.equal(line, `tag ${created[0].id} ${JSON.stringify(name)}`);
      assert.deepEqual(more, []);

      // The name is taken now, so the same tag answers.
      assert.deepEqual(await printed(`${client}/create-tag.mjs`, name), [line]);
      assert.equal((await groups()).length, before.length + 1);
    });

    test('tags a user and a lead in one go', async () => {
      const name = `talked to by ${client}`;
      const [[user], [lead]] = [await people('user'), await people('lead')];
      const lines = await printed(`${client}/tag-customers.mjs`, name, idOf(user), idOf(lead));

      const tag = (await groups()).find((group) => group.name === name);
      assert.deepEqual(lines, [`tag ${tag.id} ${JSON.stringify(name)}`, `${user} is tagged`, `${lead} is tagged`]);
      assert.deepEqual(await members(tag), [user, lead]);

      // One go: one request with both of them.
      const { method, path, members: named } = (await simulator.truth('writes')).at(-1);
      assert.deepEqual([method, path, named], ['POST', '/tags', 2]);
    });

    test('tags nobody when one of them is unknown', async () => {
      const name = `talked to in vain by ${client}`;
      const [known] = await members(await largest('tag'));
      const before = await groups();
      const { code, stderr } = await simulator.run(`${client}/tag-customers.mjs`, [name, idOf(known), 'f'.repeat(24)]);
      assert.equal(code, 1);
      assert.match(stderr, /User Not Found/);
      // Whether the tag itself is made before the members are looked for is not known; nobody is in it, and no other has changed.
      const others = (await groups()).filter((group) => group.name !== name || group.count > 0);
      assert.deepEqual(others, before);
    });
  });
}

describe('versions', () => {
  test('are named by the current client, and left to the app by the legacy one', async () => {
    const modern = await startSimulator({ 'default-version': '2.11' });
    try {
      // So far the default was 1.4, and the current client was answered in 2.x all the same. The legacy client is refused now.
      assertPages((await modern.run('current/page-through.mjs', ['everyone'])).lines, await everyone());
      const { code, stderr } = await modern.run('legacy/page-through.mjs', ['everyone']);
      assert.equal(code, 1);
      assert.match(stderr, /not available in current API version/);
    } finally {
      await modern.stop();
    }
  });
});

describe('errors', () => {
  test('look like data to a one-parameter callback of the legacy client, and to nothing else', async () => {
    const { code, lines } = await simulator.run('legacy/errors.mjs', [], 'invalid');
    assert.equal(code, 0);
    assert.deepEqual(lines, [
      'one parameter: data, error.list',
      'two parameters: error, 401 Access Token Invalid',
      'promise: error, 401 Access Token Invalid',
    ]);
  });

  for (const client of ['legacy', 'current']) {
    test(`end every script of the ${client} client`, async () => {
      for (const call of ['list-groups', 'count-groups', 'fetch-group tag 1', 'page-through everyone', 'create-tag x', 'tag-customers x 1']) {
        const [script, ...args] = call.split(' ');
        const { code, lines, stderr } = await simulator.run(`${client}/${script}.mjs`, args, 'invalid');
        assert.deepEqual([code, lines], [1, []], script);
        assert.match(stderr, /Access Token Invalid/, script);
      }
    });
  }

  // The second page fails, after a first one that was good: what was printed must not pass for the whole list.
  for (const [fault, client, message] of [
    ['html', 'legacy', /wanted a user\.list, got status 500/],
    ['garbage', 'legacy', /wanted a user\.list, got status 200/],
    ['empty', 'legacy', /wanted a user\.list, got status 200/],
    ['429', 'legacy', /Exceeded rate limit/],
    ['garbage', 'current', /wanted a list, got/],
    ['empty', 'current', /wanted a list, got/],
  ]) {
    test(`in the middle of a list are noticed: ${fault}, ${client}`, async () => {
      const faulty = await startSimulator({ 'faults-at': `2=${fault}` });
      try {
        const { code, lines, stderr } = await faulty.run(`${client}/page-through.mjs`, ['everyone']);
        assert.equal(code, 1);
        assert.match(stderr, message);
        assert.deepEqual(lines.filter((line) => !/^(user|lead) /.test(line)), [`page 1: ${PAGE}`]);
      } finally {
        await faulty.stop();
      }
    });
  }

  test('of the server are asked away by the current client', async () => {
    const faulty = await startSimulator({ 'faults-at': '2=500' });
    try {
      const { code, lines } = await faulty.run('current/page-through.mjs', ['everyone']);
      const all = await everyone();
      assert.equal(code, 0);
      assertPages(lines, all);
      const { requests } = await faulty.truth('stats');
      assert.equal(requests, pagesOf(all.length) + 1);
    } finally {
      await faulty.stop();
    }
  });
});
