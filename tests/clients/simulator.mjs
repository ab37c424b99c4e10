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
/** No start, no answer and no script may take longer, in milliseconds. Then the simulator is ended, and whatever else is asked fails at once. */
const PATIENCE = 60_000;

// No simulator outlives this process, whether the tests end or are ended. None is asked: one that hangs would not listen.
const running = new Set();
const end = (child) => child.kill('SIGKILL');
process.once('exit', () => running.forEach(end));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));

/** An embedded Intercom of one's own; `options` are further options of `cohorts simulate`. */
export async function startSimulator(options = {}) {
  const args = Object.entries({ ...world, ...options }).flatMap(([name, value]) => [`--${name}`, value]);
  const child = spawn(program, ['simulate', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  let said = '';
  child.stderr.on('data', (text) => (said += text));
  const ended = new Promise((done) => child.once('error', done).once('close', done)).finally(() => running.delete(child));

  // The only line on its standard output is its address, and it comes when requests are answered.
  const impatience = setTimeout(() => end(child), PATIENCE);
  const line = await Promise.race([once(createInterface(child.stdout), 'line'), ended]);
  clearTimeout(impatience);
  if (!Array.isArray(line)) throw new Error(`${program} did not start: ${line?.message ?? (said || 'it says nothing')}`);
  const [base] = line;

  return {
    /** What is true, by the simulator's own account, without a client or a token: `state`, `stats`, `writes`, `members?group=tag:ID`. */
    async truth(probe) {
      const response = await fetch(`${base}/_simulator/${probe}`, { signal: AbortSignal.timeout(PATIENCE) }).catch((error) => {
        end(child);
        throw error;
      });
      if (!response.ok) throw new Error(`${probe}: ${response.status} ${await response.text()}`);
      return response.json();
    },

    /** Runs a script with its arguments to the end: exit code, the lines it printed, what it said on standard error. */
    run(script, args = [], sent = token) {
      const env = { BASE_URL: base, INTERCOM_ACCESS_TOKEN: sent };
      const options = { cwd: here, env, timeout: PATIENCE, killSignal: 'SIGKILL' };
      return new Promise((done) => {
        execFile(process.execPath, [script, ...args], options, (error, stdout, stderr) => {
          if (error?.killed) end(child);
          done({ code: error ? error.code ?? error.signal : 0, lines: stdout.split('\n').slice(0, -1), stderr });
        });
      });
    },

    async stop() {
      end(child);
      await ended;
    },
  };
}
