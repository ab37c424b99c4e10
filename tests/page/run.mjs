// The pages in headless Chromium: they open from a file without a word on the console and without a request, every
// chart has its marks, the keyboard reaches everything, and an accessibility checker finds nothing serious.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import puppeteer from 'puppeteer-core';
import { demo, hostile, screenshots } from './made.mjs';

const require = createRequire(import.meta.url);
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const REPORT = 'reports/run_month=2026-10/report.html';
const DESK = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844, isMobile: true, hasTouch: true };

let browser;
let job;
before(async () => {
  job = demo();
  browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true,
    // Chromium's own sandbox cannot be had as root; what it opens here is the program's own page.
    args: ['--no-sandbox'],
  });
});
after(() => browser?.close());

/** A page that is open; `noise` is what it said on the console and asked of the network. */
async function opened(path, { viewport = DESK, scheme = 'light', javascript = true } = {}) {
  const page = await browser.newPage();
  const noise = [];
  page.on('console', (message) => noise.push(`${message.type()}: ${message.text()}`));
  page.on('pageerror', (error) => noise.push(`error: ${error.message}`));
  page.on('requestfailed', (request) => noise.push(`failed: ${request.url()}`));
  page.on('request', (request) => {
    if (!request.url().startsWith('data:') && request.url() !== pathToFileURL(path).href) noise.push(`request: ${request.url()}`);
  });
  await page.setJavaScriptEnabled(javascript);
  await page.setViewport(viewport);
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme }]);
  await page.goto(pathToFileURL(path).href, { waitUntil: 'load' });
  return { page, noise };
}

/** Charts are drawn as they come near the window. */
async function drawAll(page) {
  await page.evaluate(async () => {
    for (const chart of document.querySelectorAll('.chart')) {
      chart.scrollIntoView();
      const before = performance.now();
      while (!chart.querySelector('svg') && performance.now() - before < 5000) await new Promise(requestAnimationFrame);
    }
    window.scrollTo(0, 0);
  });
}

/** Each chart of the page: its figures, and the shapes and texts that are drawn. */
async function charts(page) {
  return page.evaluate(() => {
    const figures = JSON.parse(document.getElementById('figures').textContent);
    return Array.from(document.querySelectorAll('.chart')).map((chart) => {
      const box = chart.getBoundingClientRect();
      const inside = Array.from(chart.querySelectorAll('path')).filter((path) => path.getBBox().width + path.getBBox().height > 0);
      return {
        id: chart.id, figure: figures[chart.id], width: box.width, svg: chart.querySelector('svg')?.getBoundingClientRect().width ?? 0,
        fills: inside.map((path) => path.getAttribute('fill')), shapes: inside.length,
        texts: Array.from(chart.querySelectorAll('text')).map((text) => text.textContent),
      };
    });
  });
}

/** At least so many shapes must stand in a chart of these figures. */
function marks(figure) {
  const known = (values) => values.filter((value) => value !== null && value !== 0).length;
  switch (figure.kind) {
    case 'growth': return known(figure.up.values) + (figure.down ? known(figure.down.values) : 0) + figure.odd.filter(Boolean).length
      + (figure.expected.values.filter(Boolean).length > 1 ? 1 : 0) + 1;
    case 'retention': return figure.cells.filter((cell) => cell[2] !== null).length;
    case 'curve': return 2;
    // A symbol for each month.
    case 'lines': return figure.series.reduce((all, of) => all + of.values.filter((value) => value !== null).length, 0);
    case 'lift': return 4 * figure.values.length;
    case 'histogram': return known(figure.members);
    case 'flow': return figure.from.length + figure.to.length + figure.links.length;
    case 'overlap': return 2 * figure.pairs.filter((pair) => pair[3] !== null && pair[4] !== null).length;
    default: throw new Error(`no such chart: ${figure.kind}`);
  }
}

test('the charting library is the one of its package, byte by byte, with its licence', () => {
  const assets = new URL('../../src/reports/page/assets/echarts/', import.meta.url);
  const packaged = (file) => readFileSync(join(require.resolve('echarts/package.json'), '..', file));
  assert.deepEqual(readFileSync(new URL('echarts.min.js', assets)), packaged('dist/echarts.min.js'));
  for (const [own, theirs] of [['LICENSE', 'LICENSE'], ['NOTICE', 'NOTICE'], ['LICENSE-d3', 'licenses/LICENSE-d3']]) {
    assert.deepEqual(readFileSync(new URL(own, assets)), packaged(theirs));
  }
});

describe("the demo's page", () => {
  test('opens without a word and without a request, and every chart has its marks', async () => {
    const { page, noise } = await opened(join(job, REPORT));
    await drawAll(page);
    const all = await charts(page);
    assert.deepEqual(noise, []);
    const kinds = new Set(all.map((chart) => chart.figure.kind));
    assert.deepEqual([...kinds].sort(), ['curve', 'flow', 'growth', 'histogram', 'lift', 'lines', 'overlap', 'retention']);
    for (const chart of all) {
      assert.ok(chart.shapes >= marks(chart.figure), `${chart.id}: ${chart.shapes} shapes of ${marks(chart.figure)}`);
      assert.ok(Math.abs(chart.svg - chart.width) < 1, `${chart.id} is ${chart.svg} wide in ${chart.width}`);
    }
    await page.screenshot({ path: join(screenshots, 'light.png'), fullPage: true });
    await page.close();
  });

  test('begins with the answer, and a section of a cohort fits on a screen', async () => {
    const { page } = await opened(join(job, REPORT), { viewport: { width: 1440, height: 900 } });
    await drawAll(page);
    const tiles = await page.$$eval('.tile', (all) => all.map((tile) => [tile.querySelector('dt').textContent, tile.querySelector('strong').textContent]));
    assert.deepEqual(tiles.map(([name]) => name), [
      'People in at least one cohort', 'Joined: in no cohort before', 'Left: in no cohort now', 'Cohorts that grew', 'Newly unsubscribed from all e-mails',
    ]);
    for (const [name, figure] of tiles) assert.match(figure, /^[\d,]+$/, name);
    const bottom = await page.$eval('.tiles', (tiles) => tiles.getBoundingClientRect().bottom);
    assert.ok(bottom < 450, `the figures of the month end at ${bottom}`);
    // A card leads to the section of its cohort.
    const cards = await page.$$eval('.cards li', (all) => all.map((card) => [card.textContent, card.querySelector('a')?.getAttribute('href')]));
    assert.ok(cards.length > 2);
    for (const [text, href] of cards) assert.ok(href && await page.$(`section.cohort [id="${href.slice(1)}"]`), text);
    const heights = await page.$$eval('section.cohort', (all) => all.map((section) => section.getBoundingClientRect().height));
    assert.ok(Math.max(...heights) <= 900, `${heights}`);
    await page.screenshot({ path: join(screenshots, 'screen.png') });
    await page.close();
  });

  test('has labels that do not overlap in the flow', async () => {
    const { page } = await opened(join(job, REPORT));
    await drawAll(page);
    const overlapping = await page.$$eval('#movement text', (all) => {
      const boxes = all.map((text) => [text.textContent, text.getBoundingClientRect()]);
      return boxes.flatMap(([name, a], index) => boxes.slice(index + 1)
        .filter(([, b]) => a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom)
        .map(([other]) => `${name} and ${other}`));
    });
    assert.deepEqual(overlapping, []);
    await page.close();
  });

  test('marks the odd months', async () => {
    const { page } = await opened(join(job, REPORT));
    await drawAll(page);
    const odd = (await charts(page)).filter((chart) => chart.figure.kind === 'growth' && chart.figure.odd.some(Boolean));
    assert.ok(odd.length > 0, 'no month of the demo is odd');
    for (const chart of odd) assert.ok(chart.texts.includes('odd'), chart.id);
    await page.close();
  });

  test('shows counts and intervals under the pointer, as text', async () => {
    const { page } = await opened(join(job, REPORT));
    const retention = await page.$('.chart[id$="-retention"]');
    await retention.scrollIntoView();
    await page.waitForFunction((chart) => chart.querySelector('svg'), {}, retention);
    const box = await retention.boundingBox();
    await page.mouse.move(box.x + 150, box.y + 20);
    await page.waitForSelector('.tip');
    const text = await page.$eval('.tip', (tip) => tip.innerText);
    assert.match(text, /entered 20\d\d-\d\d/);
    assert.match(text, /[\d,]+ of [\d,]+ entrants are members: [\d.]+ %/);
    assert.match(text, /95 % interval: [\d.]+ % to [\d.]+ %/);
    await page.close();
  });

  test('is drawn anew in the dark, and fits a phone', async () => {
    const { page, noise } = await opened(join(job, REPORT), { scheme: 'dark' });
    await drawAll(page);
    const dark = await charts(page);
    assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), 'rgb(18, 22, 28)');
    await page.screenshot({ path: join(screenshots, 'dark.png'), fullPage: true });
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'light' }]);
    await page.waitForFunction(() => getComputedStyle(document.body).backgroundColor === 'rgb(255, 255, 255)');
    const light = await charts(page);
    for (const [index, chart] of light.entries()) {
      assert.notDeepEqual(chart.fills, dark[index].fills, `${chart.id} has the same colours on both papers`);
    }
    await page.close();

    const phone = await opened(join(job, REPORT), { viewport: PHONE });
    await drawAll(phone.page);
    assert.equal(await phone.page.evaluate(() => document.documentElement.scrollWidth), PHONE.width);
    for (const chart of await charts(phone.page)) assert.ok(chart.svg <= PHONE.width && chart.shapes > 0, chart.id);
    await phone.page.screenshot({ path: join(screenshots, 'phone.png'), fullPage: true });
    assert.deepEqual([...noise, ...phone.noise], []);
    await phone.page.close();
  });

  test('prints with every chart, within the paper', async () => {
    const { page, noise } = await opened(join(job, REPORT));
    // What the browser does before it prints, and after.
    await page.evaluate(() => window.dispatchEvent(new Event('beforeprint')));
    for (const chart of await charts(page)) assert.ok(chart.shapes >= marks(chart.figure) && chart.svg <= 690, chart.id);
    await page.evaluate(() => window.dispatchEvent(new Event('afterprint')));
    await page.pdf({ path: join(screenshots, 'print.pdf'), format: 'A4', margin: { top: '15mm', bottom: '15mm', left: '12mm', right: '12mm' } });
    assert.deepEqual(noise, []);
    await page.close();
  });

  test('has all of its tables where no script runs', async () => {
    const { page } = await opened(join(job, REPORT), { javascript: false });
    const [tables, charts] = await Promise.all([page.$$eval('figure table', (all) => all.length), page.$$eval('.chart', (all) => all.length)]);
    assert.ok(tables > 20);
    assert.equal(tables, charts);
    assert.ok(await page.$$eval('.chart', (all) => all.every((chart) => getComputedStyle(chart).display === 'none')));
    await page.close();
  });

  test('is reached in all of its parts by the keyboard', async () => {
    const { page } = await opened(join(job, REPORT));
    // Everything that can be opened, followed or scrolled.
    const expected = await page.$$eval('a[href], summary', (all) => all.length);
    const reached = new Set();
    for (let step = 0; step < 4 * expected; step++) {
      await page.keyboard.press('Tab');
      const at = await page.evaluate(() => {
        const active = document.activeElement;
        if (active === document.body || !active) return null;
        const visible = getComputedStyle(active).outlineStyle !== 'none' || active.matches('.skip');
        active.dataset.reached = 'yes';
        return { place: `${active.tagName} ${active.textContent.slice(0, 40)}`, visible, index: Array.from(document.querySelectorAll('*')).indexOf(active) };
      });
      if (!at || reached.has(at.index)) break;
      assert.ok(at.visible, `${at.place} has the focus and does not show it`);
      reached.add(at.index);
    }
    const missed = await page.$$eval('a[href]:not([data-reached]), summary:not([data-reached])', (all) => all.map((element) => element.textContent));
    assert.deepEqual(missed, []);
    // A table behind a chart opens by a key, and scrolls by the keyboard.
    const summary = await page.$('figure summary');
    await summary.focus();
    await page.keyboard.press('Enter');
    assert.ok(await page.$eval('figure details', (details) => details.open));
    await page.keyboard.press('Tab');
    assert.ok(await page.evaluate(() => document.activeElement.matches('figure details .scroll')));
    await page.close();
  });

  for (const scheme of ['light', 'dark']) {
    test(`has no serious fault of accessibility, ${scheme}`, async () => {
      const { page } = await opened(join(job, REPORT), { scheme });
      await drawAll(page);
      await page.$$eval('details', (all) => all.forEach((details) => { details.open = true; }));
      await check(page);
      await page.close();
    });
  }
});

/** What axe-core finds that is serious. It is run in a world of its own, which the page's policy has no say in. */
async function check(page) {
  const client = await page.createCDPSession();
  const { frameTree } = await client.send('Page.getFrameTree');
  const { executionContextId: contextId } = await client.send('Page.createIsolatedWorld', { frameId: frameTree.frame.id });
  const evaluate = async (expression) => {
    const { result, exceptionDetails } = await client.send('Runtime.evaluate', { expression, contextId, awaitPromise: true, returnByValue: true });
    assert.equal(exceptionDetails, undefined, exceptionDetails?.exception?.description);
    return result.value;
  };
  await evaluate(axe);
  const found = JSON.parse(await evaluate(`axe.run(document).then((found) => JSON.stringify({
    passes: found.passes.length,
    violations: found.violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.slice(0, 3).map((node) => node.html.slice(0, 200)) })),
  }))`));
  assert.ok(found.passes > 20, `axe-core looked at next to nothing: ${found.passes}`);
  assert.deepEqual(found.violations.filter(({ impact }) => ['serious', 'critical', 'moderate'].includes(impact)), []);
}

describe('the index', () => {
  test('lists the months and leads to their pages', async () => {
    const { page, noise } = await opened(join(job, 'index.html'));
    const links = await page.$$eval('section[aria-labelledby="months"] a', (all) => all.map((link) => link.textContent));
    assert.equal(links.length, 15);
    assert.deepEqual([links[0], links[14]], ['October 2026', 'August 2025']);
    // The numbers of the last twelve months, and the trend of all.
    const heads = await page.$$eval('section[aria-labelledby="cohorts"] thead a', (all) => all.map((link) => link.textContent));
    assert.deepEqual([heads.length, heads[0], heads[11]], [12, '2026-10', '2025-11']);
    assert.ok(await page.$$eval('.trend', (all) => all.some((trend) => trend.getAttribute('aria-label').startsWith('15 months, '))));
    await check(page);
    assert.deepEqual(noise, []);
    await Promise.all([page.waitForNavigation(), page.click('table a')]);
    assert.equal(await page.$eval('h1', (head) => head.textContent), 'Customers in October 2026');
    await page.screenshot({ path: join(screenshots, 'top.png') });
    await page.close();
  });

  test('fits a phone', async () => {
    const { page } = await opened(join(job, 'index.html'), { viewport: PHONE });
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), PHONE.width);
    await page.screenshot({ path: join(screenshots, 'index-phone.png'), fullPage: true });
    await page.close();
  });
});

test('markup in names and attributes is text, and an attribute with 12,000 values does no harm', async () => {
  const { page, noise } = await opened(await hostile());
  await drawAll(page);
  const all = await charts(page);
  assert.deepEqual(noise, []);
  assert.equal(await page.title(), 'October 2026: hostile');
  assert.equal(await page.$$eval('img', (all) => all.length), 0);
  for (const chart of all) assert.ok(chart.shapes >= marks(chart.figure), chart.id);
  const drawn = all.flatMap((chart) => chart.texts);
  assert.ok(drawn.some((text) => text.includes('</script>')), 'the name is drawn as it is');
  const lift = all.find((chart) => chart.figure.kind === 'lift');
  assert.ok(lift.figure.values.some((value) => value.label.startsWith('note: </script>')), JSON.stringify(lift.figure.values));
  // Under the pointer, too, it is text.
  const chart = await page.$(`[id="${lift.id}"]`);
  await chart.scrollIntoView();
  const box = await chart.boundingBox();
  for (let x = 0.3; x < 1; x += 0.02) await page.mouse.move(box.x + box.width * x, box.y + 22);
  assert.equal(await page.title(), 'October 2026: hostile');
  assert.deepEqual(noise, []);
  await page.screenshot({ path: join(screenshots, 'hostile.png'), fullPage: true });
  await page.close();
});
