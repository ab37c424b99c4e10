// The pages that the tests look at, made by the program itself: the demo's, and one of a workspace that means harm.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
// npm changes into the folder of package.json; a path given by hand is meant from where npm was called.
const given = (path, otherwise) => (path ? resolve(process.env.INIT_CWD ?? '.', path) : otherwise);
const program = given(process.env.COHORTS_BIN, resolve(here, '../../target/debug/cohorts'));
/** No command may take longer, in milliseconds. */
const PATIENCE = 300_000;

const folder = mkdtempSync(join(tmpdir(), 'cohorts-page-'));
process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
/** Where screenshots go that somebody wants to look at; otherwise they are not kept. */
export const screenshots = given(process.env.COHORTS_SCREENSHOTS, join(folder, 'screenshots'));
mkdirSync(screenshots, { recursive: true });

function cohorts(args, environment = {}) {
  const done = spawnSync(program, args, { env: { ...process.env, ...environment }, encoding: 'utf8', timeout: PATIENCE });
  if (done.status !== 0) throw new Error(`cohorts ${args.join(' ')} ended with ${done.status ?? done.error}: ${done.stderr}`);
}

/** The demo's job folder; it has enough months for one to be out of the ordinary. */
export function demo() {
  const out = join(folder, 'demo');
  cohorts(['demo', '--out', out, '--months', '15', '--contacts', '1200']);
  return join(out, 'demo');
}

/**
 * The page of a month in which a tag's name and an attribute of most members hold markup, and another attribute has a
 * value of its own for each of more than 10,000 contacts.
 */
export async function hostile() {
  const args = ['simulate', '--port', '0', '--now', '2026-11-01T02:00:00Z', '--contacts', '12000', '--faults', 'markup:1'];
  const simulator = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    const [address] = await once(createInterface(simulator.stdout), 'line', { signal: AbortSignal.timeout(PATIENCE) });
    const environment = { COHORTS__INTERCOM__BASE_URL: address, INTERCOM_ACCESS_TOKEN: 'made-up', COHORTS__OUTPUT__DIR: folder };
    const name = "</script><script>document.title='run'</script><img src=x onerror=\"document.title='run'\">";
    const job = join(folder, 'hostile.toml');
    writeFileSync(job, [
      'name = "hostile"', 'segments = ["Active"]', `tags = [${JSON.stringify(name)}]`,
      'profile = ["role", "custom_attributes.note", "custom_attributes.own_id"]', 'html_members = true',
    ].join('\n'));
    // All of them pay, and so they have the note that holds markup.
    const found = await fetch(`${address}/contacts/search`, {
      method: 'POST',
      headers: { Authorization: 'Bearer made-up', 'Content-Type': 'application/json', 'Intercom-Version': '2.14' },
      body: JSON.stringify({ query: { field: 'custom_attributes.plan', operator: '=', value: 'pro' }, pagination: { per_page: 50 } }),
    });
    const ids = (await found.json()).data.map((contact) => contact.id);
    cohorts(['tag', name, ...ids.flatMap((id) => ['--id', id])], environment);
    cohorts(['run', '--job', job, '--as-of', '2026-11-01T02:00:00Z'], environment);
  } finally {
    simulator.kill('SIGKILL');
  }
  return join(folder, 'hostile', 'reports', 'run_month=2026-10', 'report.html');
}
