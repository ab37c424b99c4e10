// Intercom's own npm clients against the embedded Intercom: what the scripts print is compared with the simulator's truth.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startSimulator } from './simulator.mjs';

/** Rows in a page that the scripts ask for: what 1.x gives when nothing is said. */
const PAGE = 50;

let simulator;
before(async () => (simulator = await startSimulator()), { timeout: 60_000 });
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

/** The groups that are there, as `{ kind, id, name, count }`. */
async function groups() {
  const state = await simulator.truth('state');
  return state.groups.map(({ group, name, count }) => {
    const [kind, id] = group.split(':');
    return { kind, id, name, count };
  });
}

const members = ({ kind, id }) => simulator.truth(`members?group=${kind}:${id}`);

/** How many groups are archived: they are in no list, but among the totals. */
async function archivedGroups() {
  const { tag, segment } = await simulator.answer('counts');
  return tag.count + segment.count - (await groups()).length;
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

/** The lines of one list, page by page: numbered from 1, all full but the last, each asked for once. Returns the rows. */
function assertPages(lines, total) {
  const pages = Math.ceil(total / PAGE);
  const sizes = Array.from({ length: pages }, (_, page) => Math.min(PAGE, total - page * PAGE));
  const expected = sizes.map((size, page) => `page ${page + 1}: ${size}`);
  assert.deepEqual(lines.filter((line) => line.startsWith('page ')), expected);
  assert.equal(lines.at(-1), `${total} of ${total}`);
  // The rows stand below the head of their page.
  let at = 0;
  for (const size of sizes) {
    assert.equal(rows(lines.slice(at + 1, at + 1 + size)).length, size);
    at += 1 + size;
  }
  assert.equal(lines.length, at + 1);
  assert.equal(new Set(rows(lines)).size, total, 'somebody came twice');
  return rows(lines);
}

for (const client of ['legacy', 'current']) {
  describe(client, () => {
    test('lists tags and segments with their IDs', async () => {
      const expected = (await groups()).map(({ kind, id, name }) => `${kind} ${id} ${JSON.stringify(name)}`);
      assert.deepEqual(sorted(await printed(`${client}/list-groups.mjs`)), sorted(expected));
    });

    test('counts them', async () => {
      const rest = await printed(`${client}/count-groups.mjs`);
      for (const { kind, name, count } of await groups()) {
        const at = rest.indexOf(`${kind} ${JSON.stringify(name)} ${count}`);
        assert.notEqual(at, -1, `no line says that ${kind} ${name} has ${count}`);
        rest.splice(at, 1);
      }
      // 1.x counts archived groups as well, even where a living one bears their name; 2.x does not.
      assert.equal(rest.length, client === 'legacy' ? await archivedGroups() : 0);
    });

    for (const kind of ['tag', 'segment']) {
      test(`fetches the customers in a ${kind}`, async () => {
        const group = await largest(kind);
        const lines = await printed(`${client}/fetch-group.mjs`, kind, group.id);
        const all = new Set(await members(group));
        const fetched = new Set(rows(lines).map(idOf));
        assert.equal(fetched.size, PAGE);
        for (const id of fetched) assert.ok(all.has(id), `${id} is not in the ${kind}`);
        assert.equal(lines.length, PAGE + 1);
        assert.equal(lines.at(-1), `${PAGE} of ${all.size}`);
      });

      test(`pages through all customers in a ${kind}`, async () => {
        const group = await largest(kind);
        const [lines, requests] = await requestsOf(() => printed(`${client}/page-through.mjs`, kind, group.id));
        const all = await members(group);
        const seen = assertPages(lines, all.length);
        assert.deepEqual(sorted(seen.map(idOf)), sorted(all));
        assert.equal(requests, Math.ceil(all.length / PAGE));
      });
    }

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
      const everyone = rows(await printed('current/page-through.mjs', 'everyone'));
      const user = everyone.find((row) => row.startsWith('user '));
      const lead = everyone.find((row) => row.startsWith('lead '));
      const lines = await printed(`${client}/tag-customers.mjs`, name, idOf(user), idOf(lead));

      const tag = (await groups()).find((group) => group.name === name);
      assert.deepEqual(lines, [`tag ${tag.id} ${JSON.stringify(name)}`, `${user} is tagged`, `${lead} is tagged`]);
      assert.deepEqual(sorted(await members(tag)), sorted([idOf(user), idOf(lead)]));

      // One go: one request with both of them.
      const { method, path, members: named } = (await simulator.truth('writes')).at(-1);
      assert.deepEqual([method, path, named], ['POST', '/tags', 2]);
    });

    test('tags nobody when one of them is unknown', async () => {
      const name = `talked to in vain by ${client}`;
      const [known] = await members(await largest('tag'));
      const before = await groups();
      const { code, stderr } = await simulator.run(`${client}/tag-customers.mjs`, [name, known, 'f'.repeat(24)]);
      assert.equal(code, 1);
      assert.match(stderr, /User Not Found/);
      // Whether the tag itself is made before the members are looked for is not known; nobody is in it, and no other has changed.
      const others = (await groups()).filter((group) => group.name !== name || group.count > 0);
      assert.deepEqual(others, before);
    });
  });
}

describe('both', () => {
  test('see the same users and leads', async () => {
    const { users, leads } = await simulator.truth('state');
    const [lines, requests] = await requestsOf(() => printed('legacy/page-through.mjs', 'everyone'));
    // Users and leads are two lists in 1.x.
    const end = lines.indexOf(`${users} of ${users}`) + 1;
    const seen = [...assertPages(lines.slice(0, end), users), ...assertPages(lines.slice(end), leads)];
    assert.equal(seen.filter((row) => row.startsWith('user ')).length, users);
    assert.equal(seen.filter((row) => row.startsWith('lead ')).length, leads);
    assert.equal(requests, Math.ceil(users / PAGE) + Math.ceil(leads / PAGE));

    // One list in 2.x, and one version calls a lead `contact` where the other has a `role`: they must agree on who is what.
    const current = assertPages(await printed('current/page-through.mjs', 'everyone'), users + leads);
    assert.deepEqual(sorted(current), sorted(seen));
  });

  test('agree who is a user and who a lead in a tag, and there are both', async () => {
    const { id } = await largest('tag');
    const legacy = rows(await printed('legacy/page-through.mjs', 'tag', id));
    const current = rows(await printed('current/page-through.mjs', 'tag', id));
    assert.deepEqual(sorted(legacy), sorted(current));
    assert.ok(legacy.some((row) => row.startsWith('user ')) && legacy.some((row) => row.startsWith('lead ')));
  });
});

describe('versions', () => {
  test('are named by the current client, and left to the app by the legacy one', async () => {
    const modern = await startSimulator({ 'default-version': '2.11' });
    try {
      const { contacts } = await modern.truth('state');
      // So far the default was 1.4, and the current client was answered in 2.x all the same. The legacy client is refused now.
      assertPages((await modern.run('current/page-through.mjs', ['everyone'])).lines, contacts);
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
      const { contacts } = await faulty.truth('state');
      assert.equal(code, 0);
      assertPages(lines, contacts);
      const { requests } = await faulty.truth('stats');
      assert.equal(requests, Math.ceil(contacts / PAGE) + 1);
    } finally {
      await faulty.stop();
    }
  });
});
