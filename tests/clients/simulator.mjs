// Starts `cohorts simulate`, asks it for the truth, and runs scripts against it.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
// npm changes into the folder of package.json; a path given by hand is meant from where npm was called.
const program = process.env.COHORTS_BIN
  ? resolve(process.env.INIT_CWD ?? '.', process.env.COHORTS_BIN)
  : resolve(here, '../../target/debug/cohorts');
const token = 'made-up-token';
// Only this token is known, so a client that is answered has sent it.
const world = { port: '0', now: '2026-11-01T02:00:00Z', contacts: '600', token, 'default-version': '1.4' };

// No simulator outlives this process, whether the tests end or are ended.
const running = new Set();
process.once('exit', () => running.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));

/** An embedded Intercom of one's own; `options` are further options of `cohorts simulate`. */
export async function startSimulator(options = {}) {
  const args = Object.entries({ ...world, ...options }).flatMap(([name, value]) => [`--${name}`, value]);
  const child = spawn(program, ['simulate', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let said = '';
  child.stderr.on('data', (text) => (said += text));
  const ended = new Promise((done) => child.once('error', done).once('close', done));

  // The only line on its standard output is its address, and it comes when requests are answered.
  const line = await Promise.race([once(createInterface(child.stdout), 'line'), ended]);
  if (!Array.isArray(line)) throw new Error(`${program} did not start: ${line?.message ?? said}`);
  const [base] = line;

  return {
    /** What is true, by the simulator's own account, without a client or a token: `state`, `stats`, `writes`, `members?group=tag:ID`. */
    async truth(probe) {
      const response = await fetch(`${base}/_simulator/${probe}`);
      if (!response.ok) throw new Error(`${probe}: ${response.status} ${await response.text()}`);
      return response.json();
    },

    /** What 1.x answers to a plain GET. */
    async answer(path) {
      const headers = { Authorization: `Bearer ${token}`, 'Intercom-Version': '1.4' };
      const response = await fetch(`${base}/${path}`, { headers });
      return response.json();
    },

    /** Runs a script with its arguments to the end: exit code, the lines it printed, what it said on standard error. */
    run(script, args = [], sent = token) {
      const env = { BASE_URL: base, INTERCOM_ACCESS_TOKEN: sent };
      const options = { cwd: here, env, timeout: 60_000, killSignal: 'SIGKILL' };
      return new Promise((done) => {
        execFile(process.execPath, [script, ...args], options, (error, stdout, stderr) => {
          done({ code: error ? error.code ?? error.signal : 0, lines: stdout.split('\n').slice(0, -1), stderr });
        });
      });
    },

    async stop() {
      running.delete(child);
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill();
      await once(child, 'exit');
    },
  };
}
