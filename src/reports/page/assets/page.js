'use strict';
// Draws each chart of the page from the figures that come with it as JSON. Texts from the data reach the page as text
// alone: labels of the charts, and text nodes in their tooltips.
(function () {
  document.documentElement.classList.remove('no-script');
  const figures = JSON.parse(document.getElementById('figures').textContent);
  // One colour for each meaning, in every chart: joined, left, stayed (and members), and `other` for what is none of them. They are Okabe and
  // Ito's, which people of any colour vision can distinguish. The scales also differ in lightness.
  const LIGHT = {
    ink: '#1b1f24', quiet: '#57606a', line: '#d0d7de', paper: '#ffffff',
    joined: '#0072b2', left: '#c75300', stayed: '#007a59', other: '#6a51a3', odd: '#b0347f', band: '#ccd4dc',
    lefts: ['#c75300', '#7a3300', '#e8965a', '#57606a'],
    stays: ['#edf7f3', '#8fd3bb', '#1a8f6d', '#00402e'], shares: ['#f3f0fa', '#c2b5e3', '#7a5fbf', '#33186f'],
    onScale: ['#000000', '#ffffff'], turn: 0.6,
  };
  const DARK = {
    ink: '#e6eaf0', quiet: '#a3adba', line: '#3a4451', paper: '#12161c',
    joined: '#56b4e9', left: '#f2913d', stayed: '#3cc79a', other: '#b39ddb', odd: '#f0a3cc', band: '#3a4756',
    lefts: ['#f2913d', '#c96a1a', '#ffd0a6', '#a3adba'],
    stays: ['#16261f', '#1c6b53', '#3cc79a', '#cdf5e6'], shares: ['#221b35', '#51408a', '#9d86dc', '#e4dbff'],
    onScale: ['#ffffff', '#000000'], turn: 0.45,
  };
  const PRINTED_WIDTH = 680;
  // A cell is labelled when it is wider than its label.
  const LABELLED_CELL = 32;
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  let printing = false;

  const number = (value) => (value === null ? 'not known' : value.toLocaleString('en-US'));
  const many = (count, what) => number(count) + ' ' + what + (count === 1 ? '' : 's');
  const percent = (value) => (value === null ? 'not known' : (value * 100).toFixed(1) + ' %');
  const interval = (low, high) => percent(low) + ' to ' + percent(high);
  const shortened = (text, length) => (text.length > length ? text.slice(0, length - 1) + '…' : text);

  // The colour of a text on a cell of the scale: the other one where the scale has turned dark, or light.
  const onScale = (colours, share) => colours.onScale[share !== null && share > colours.turn ? 1 : 0];

  function tip(lines) {
    const box = document.createElement('div');
    box.className = 'tip';
    lines.forEach((line, index) => {
      const part = document.createElement(index === 0 ? 'strong' : 'div');
      part.textContent = line;
      box.append(part);
    });
    return box;
  }

  function base(colours) {
    return {
      animation: false,
      textStyle: { fontFamily: 'system-ui, "DejaVu Sans", sans-serif', color: colours.ink },
      tooltip: {
        confine: true, backgroundColor: colours.paper, borderColor: colours.line, textStyle: { color: colours.ink, fontSize: 13 },
      },
    };
  }

  function category(colours, data, more) {
    return Object.assign({
      type: 'category', data,
      axisLine: { lineStyle: { color: colours.line } }, axisTick: { show: false }, axisLabel: { color: colours.quiet },
    }, more);
  }

  function values(colours, more) {
    return Object.assign({
      type: 'value', axisLabel: { color: colours.quiet }, splitLine: { lineStyle: { color: colours.line } },
      nameTextStyle: { color: colours.quiet, align: 'left' },
    }, more);
  }

  // What is between two lines that share their places: the lower one is not seen, the difference stands on it.
  function band(colours, low, high, more) {
    const width = (value, at) => (value === null || low[at] === null ? null : value - low[at]);
    const side = { type: 'line', stack: 'band', symbol: 'none', lineStyle: { opacity: 0 }, silent: true };
    return [
      Object.assign({ data: low }, side),
      Object.assign({ data: high.map(width), areaStyle: { color: colours.band, opacity: 0.7 } }, side, more),
    ];
  }

  const charts = {
    growth(figure, colours) {
      const last = figure.months.length - 1;
      const expected = figure.expected.values;
      const isExpected = expected.filter(Boolean).length > 1;
      const known = figure.level.values.concat(expected.flat()).filter((value) => value !== null);
      const odd = figure.odd.map((text, index) => (text ? { coord: [index, figure.level.values[index] || 0], value: text } : null))
        .filter(Boolean);
      const bars = (of, colour, sign) => ({
        name: of.name, type: 'bar', stack: 'flow', xAxisIndex: 1, yAxisIndex: 1, itemStyle: { color: colour }, barMaxWidth: 26,
        data: of.values.map((value) => (value === null ? null : sign * value)),
      });
      const series = !isExpected ? [] : band(
        colours, expected.map((ends) => ends && ends[0]), expected.map((ends) => ends && ends[1]), { name: figure.expected.name },
      );
      series.push({
        name: figure.level.name, type: 'line', data: figure.level.values, symbol: 'circle', symbolSize: last > 18 ? 3 : 5,
        lineStyle: { color: colours[figure.meaning], width: 2 }, itemStyle: { color: colours[figure.meaning] }, connectNulls: false,
        markPoint: {
          symbol: 'diamond', symbolSize: 16, itemStyle: { color: colours.odd }, data: odd,
          label: { show: true, position: 'top', color: colours.ink, formatter: () => 'odd' },
        },
      }, bars(figure.up, figure.down ? colours.joined : colours.left, 1));
      if (figure.down) series.push(bars(figure.down, colours.left, -1));
      return Object.assign(base(colours), {
        grid: [{ left: 48, right: 12, top: 20, height: '42%' }, { left: 48, right: 12, top: '64%', bottom: 24 }],
        xAxis: [
          category(colours, figure.months, { axisLabel: { show: false } }),
          category(colours, figure.months, { gridIndex: 1 }),
        ],
        yAxis: [
          values(colours, { scale: Math.min(...known) > Math.max(...known) / 2, splitNumber: 3, minInterval: 1 }),
          values(colours, { gridIndex: 1, splitNumber: 2, minInterval: 1, axisLabel: { color: colours.quiet, formatter: (v) => number(Math.abs(v)) } }),
        ],
        axisPointer: { link: [{ xAxisIndex: 'all' }] },
        tooltip: Object.assign(base(colours).tooltip, {
          trigger: 'axis',
          formatter: (points) => {
            const at = points[0].dataIndex;
            const lines = [figure.months[at]];
            [figure.level, figure.up, figure.down].filter(Boolean).forEach((of) => lines.push(of.name + ': ' + number(of.values[at])));
            if (expected[at]) lines.push(figure.expected.name + ': ' + expected[at].map(number).join(' to '));
            if (figure.odd[at]) lines.push('out of the ordinary: ' + figure.odd[at]);
            return tip(lines);
          },
        }),
        series,
      });
    },

    retention(figure, colours, width) {
      const ages = Math.max(...figure.cells.map((cell) => cell[0])) + 1;
      const roomy = (width - 120) / ages > LABELLED_CELL;
      return Object.assign(base(colours), {
        grid: { left: 108, right: 8, top: 8, bottom: 40 },
        xAxis: category(colours, Array.from({ length: ages }, (_, age) => String(age)), {
          name: 'months since', nameLocation: 'middle', nameGap: 24, nameTextStyle: { color: colours.quiet },
        }),
        yAxis: category(colours, figure.entries, { inverse: true, axisLabel: { color: colours.quiet, fontSize: 11 } }),
        visualMap: {
          min: 0, max: 1, dimension: 2, show: false, inRange: { color: colours.stays },
        },
        tooltip: Object.assign(base(colours).tooltip, {
          formatter: (point) => {
            const [age, entry, rate, entrants, retained, low, high] = figure.cells[point.dataIndex];
            return tip(['entered ' + figure.entries[entry] + ', ' + many(age, 'month') + ' later', number(retained) + ' of ' + number(entrants)
              + ' entrants are members: ' + percent(rate), '95 % interval: ' + interval(low, high)]);
          },
        }),
        series: [{
          type: 'heatmap', itemStyle: { borderColor: colours.paper, borderWidth: 1 },
          data: figure.cells.map((cell) => ({
            value: [cell[0], cell[1], cell[2]],
            label: { color: onScale(colours, cell[2]) },
          })),
          label: { show: roomy, fontSize: 11, formatter: (point) => (point.value[2] === null ? '–' : Math.round(point.value[2] * 100) + '%') },
        }],
      });
    },

    // The share who are members over the months since they entered.
    curve(figure, colours) {
      // Everyone is there when they enter.
      const points = (figure.points[0][0] === 0 ? [] : [[0, 1, 1, 1, null]]).concat(figure.points);
      const last = points[points.length - 1][0];
      // An age at which nobody was observed is a gap.
      const at = (age) => points.find((point) => point[0] === age) || [age, null, null, null, null];
      const ages = Array.from({ length: last + 1 }, (_, age) => at(age));
      const line = (index) => ages.map((point) => point[index]);
      return Object.assign(base(colours), {
        grid: { left: 48, right: 12, top: 12, bottom: 40 },
        xAxis: category(colours, ages.map((point) => String(point[0])), {
          boundaryGap: false, name: figure.axis, nameLocation: 'middle', nameGap: 26, nameTextStyle: { color: colours.quiet },
        }),
        yAxis: values(colours, { min: 0, max: 1, axisLabel: { color: colours.quiet, formatter: (value) => value * 100 + '%' } }),
        tooltip: Object.assign(base(colours).tooltip, {
          trigger: 'axis',
          formatter: (drawn) => {
            const [months, share, low, high, count] = ages[drawn[0].dataIndex];
            const lines = ['after ' + many(months, 'month') + ': ' + percent(share)];
            if (count !== null) lines.push('95 % interval: ' + interval(low, high), number(count) + ' ' + figure.of);
            return tip(lines);
          },
        }),
        series: band(colours, line(2), line(3)).concat({
          type: 'line', data: line(1), symbol: 'circle', symbolSize: 4, lineStyle: { color: colours.stayed, width: 2 },
          itemStyle: { color: colours.stayed }, z: 3,
        }),
      });
    },

    // Some counts over the months.
    lines(figure, colours, width) {
      const palette = colours.lefts;
      return Object.assign(base(colours), {
        legend: {
          bottom: 0, left: 0, textStyle: { color: colours.ink, fontSize: 10 }, itemWidth: 18, itemGap: 6, selectedMode: false,
          formatter: (name) => shortened(name, 17),
        },
        grid: { left: 48, right: 12, top: 12, bottom: 20 + 20 * Math.ceil(figure.series.length / (width > 420 ? 4 : 2)) },
        xAxis: category(colours, figure.months, {}),
        yAxis: values(colours, { min: 0, splitNumber: 3, minInterval: 1 }),
        tooltip: Object.assign(base(colours).tooltip, {
          trigger: 'axis',
          formatter: (points) => {
            const at = points[0].dataIndex;
            return tip([figure.months[at]].concat(figure.series.map((of) => of.name + ': ' + number(of.values[at]))));
          },
        }),
        series: figure.series.map((of, index) => ({
          name: of.name, type: 'line', data: of.values, symbol: ['circle', 'rect', 'triangle', 'diamond'][index], symbolSize: 6,
          lineStyle: { color: palette[index], width: 2, type: ['solid', 'dashed', 'dotted', 'solid'][index] },
          itemStyle: { color: palette[index] }, connectNulls: false,
        })),
      });
    },

    lift(figure, colours, width) {
      const names = figure.values.map((value) => value.label);
      const ends = figure.values.flatMap((value) => [value.low, value.high, 1]);
      return Object.assign(base(colours), {
        grid: { left: 4, right: 16, top: 4, bottom: 28, containLabel: true },
        xAxis: values(colours, {
          type: 'log', min: Math.min(...ends) * 0.9, max: Math.max(...ends) * 1.1, name: 'times as often as others',
          nameLocation: 'middle', nameGap: 24, nameTextStyle: { color: colours.quiet, align: 'center' }, logBase: 2,
          axisLabel: { color: colours.quiet, formatter: (value) => String(Number(value.toPrecision(2))), hideOverlap: true },
        }),
        yAxis: category(colours, names, {
          inverse: true, axisLabel: { color: colours.ink, width: width > 420 ? 190 : 120, overflow: 'truncate', fontSize: 11 },
        }),
        tooltip: Object.assign(base(colours).tooltip, {
          formatter: (point) => {
            const value = figure.values[point.dataIndex];
            return tip([value.label, value.lift.toFixed(2) + ' times as often; 95 % interval: ' + value.low.toFixed(2) + ' to '
              + value.high.toFixed(2), number(value.members) + ' of ' + number(value.of_members) + ' members',
            number(value.others) + ' of ' + number(value.of_others) + ' others']);
          },
        }),
        series: [
          {
            type: 'custom', encode: { x: [0, 1, 2], y: 3 },
            data: figure.values.map((value, index) => [value.lift, value.low, value.high, index]),
            renderItem: (params, api) => {
              const at = (x) => api.coord([x, api.value(3)]);
              const [low, high, middle] = [at(api.value(1)), at(api.value(2)), at(api.value(0))];
              const stroke = { stroke: colours.other, lineWidth: 2, fill: null };
              const cap = (end) => ({ type: 'line', shape: { x1: end[0], y1: end[1] - 5, x2: end[0], y2: end[1] + 5 }, style: stroke });
              return {
                type: 'group',
                children: [
                  { type: 'line', shape: { x1: low[0], y1: low[1], x2: high[0], y2: high[1] }, style: stroke }, cap(low), cap(high),
                  { type: 'circle', shape: { cx: middle[0], cy: middle[1], r: 4 }, style: { fill: colours.other } },
                ],
              };
            },
            markLine: {
              silent: true, symbol: 'none', data: [{ xAxis: 1 }], lineStyle: { color: colours.quiet, type: 'dashed' }, label: { show: false },
            },
          },
        ],
      });
    },

    histogram(figure, colours) {
      return Object.assign(base(colours), {
        grid: { left: 48, right: 12, top: 20, bottom: 40 },
        xAxis: category(colours, figure.labels, {
          name: 'conversations', nameLocation: 'middle', nameGap: 26, nameTextStyle: { color: colours.quiet },
        }),
        yAxis: values(colours, { minInterval: 1 }),
        tooltip: Object.assign(base(colours).tooltip, {
          formatter: (point) => tip([figure.labels[point.dataIndex] + ' conversations', number(point.value) + ' members']),
        }),
        series: [{
          type: 'bar', data: figure.members, itemStyle: { color: colours.other }, barMaxWidth: 56,
          label: { show: true, position: 'top', color: colours.ink, fontSize: 11, formatter: (point) => number(point.value) },
        }],
      });
    },

    flow(figure, colours) {
      // Who came from no cohort joined, who went to none left, and who moved between cohorts stayed. What is no cohort is grey.
      const none = figure.before.concat(figure.after);
      const way = (from, to) => {
        if (figure.before.includes(figure.from[from])) return colours.joined;
        return figure.after.includes(figure.to[to]) ? colours.left : colours.stayed;
      };
      const node = (side, index, name) => ({
        name: side + index, itemStyle: { color: none.includes(name) ? colours.quiet : colours.stayed },
        label: {
          position: side === 'from' ? 'right' : 'left', formatter: () => shortened(name, 26), color: colours.ink, fontSize: 12,
          textBorderColor: colours.paper, textBorderWidth: 3,
        },
      });
      const nodes = figure.from.map((name, index) => node('from', index, name)).concat(figure.to.map((name, index) => node('to', index, name)));
      return Object.assign(base(colours), {
        tooltip: Object.assign(base(colours).tooltip, {
          formatter: (point) => {
            if (point.dataType !== 'edge') return tip([point.dataIndex < figure.from.length ? 'left' : 'joined', number(point.value)]);
            const [from, to, contacts, share] = figure.links[point.dataIndex];
            const lines = [figure.from[from] + ' → ' + figure.to[to], number(contacts) + ' contacts'];
            if (share !== null) lines.push(percent(share) + ' of those who were in it');
            return tip(lines);
          },
        }),
        series: [{
          type: 'sankey', left: 8, right: 8, top: 8, bottom: 8, nodeAlign: 'justify', layoutIterations: 32, draggable: false,
          emphasis: { focus: 'adjacency' }, nodeWidth: 14, nodeGap: 16, data: nodes,
          links: figure.links.map(([from, to, contacts]) => ({
            source: 'from' + from, target: 'to' + to, value: contacts, lineStyle: { color: way(from, to), opacity: 0.4 },
          })),
        }],
      });
    },

    overlap(figure, colours, width) {
      const cells = [];
      figure.pairs.forEach(([a, b, both, shareA, shareB, lift]) => {
        cells.push({ at: [b, a], share: shareA, both, lift }, { at: [a, b], share: shareB, both, lift });
      });
      const short = (name) => shortened(name, 16);
      return Object.assign(base(colours), {
        grid: { left: 8, right: 8, top: 8, bottom: 8, containLabel: true },
        xAxis: category(colours, figure.names, { axisLabel: { color: colours.ink, rotate: 40, interval: 0, fontSize: 11, formatter: short } }),
        yAxis: category(colours, figure.names, { inverse: true, axisLabel: { color: colours.ink, interval: 0, fontSize: 11, formatter: short } }),
        visualMap: {
          min: 0, max: 1, dimension: 2, show: false, inRange: { color: colours.shares },
        },
        tooltip: Object.assign(base(colours).tooltip, {
          formatter: (point) => {
            const cell = cells[point.dataIndex];
            const [column, row] = cell.at;
            const lines = [figure.names[row] + ' and ' + figure.names[column], number(cell.both) + ' are in both: ' + percent(cell.share)
              + ' of ' + figure.names[row]];
            if (cell.lift !== null) lines.push(cell.lift.toFixed(2) + ' times as many as chance gives');
            return tip(lines);
          },
        }),
        series: [{
          type: 'heatmap', itemStyle: { borderColor: colours.paper, borderWidth: 1 },
          data: cells.map((cell) => ({
            value: [cell.at[0], cell.at[1], cell.share],
            label: { color: onScale(colours, cell.share) },
          })),
          label: {
            show: (width - 100) / figure.names.length > LABELLED_CELL, fontSize: 11,
            formatter: (point) => (point.value[2] === null ? '–' : Math.round(point.value[2] * 100) + '%'),
          },
        }],
      });
    },
  };

  // The charts of a cohort are so high that its section fits on a screen. A chart between cohorts is as high as their names need.
  function height(figure) {
    switch (figure.kind) {
      case 'flow': return Math.max(320, 34 * Math.max(figure.from.length, figure.to.length));
      case 'overlap': return Math.max(320, 110 + 26 * figure.names.length);
      default: return 208;
    }
  }

  const drawn = new Map();

  function draw(place) {
    const figure = figures[place.id];
    const colours = dark.matches && !printing ? DARK : LIGHT;
    let chart = drawn.get(place);
    if (!chart) {
      place.style.height = height(figure) + 'px';
      chart = window.echarts.init(place, null, { renderer: 'svg' });
      drawn.set(place, chart);
    }
    chart.setOption(charts[figure.kind](figure, colours, printing ? PRINTED_WIDTH : place.clientWidth), true);
  }

  // At once: a page is printed before the next frame.
  function resize(place, width) {
    const chart = drawn.get(place);
    chart.resize({ width });
    chart.getZr().flush();
  }

  const places = Array.from(document.querySelectorAll('.chart'));
  // What is near the window is drawn; a long page costs nothing before it is read.
  const near = new IntersectionObserver((seen) => {
    seen.filter((place) => place.isIntersecting).forEach((place) => {
      near.unobserve(place.target);
      draw(place.target);
    });
  }, { rootMargin: '400px' });
  places.forEach((place) => near.observe(place));

  const widths = new ResizeObserver((changed) => {
    if (!printing) changed.forEach((place) => drawn.has(place.target) && resize(place.target, 'auto'));
  });
  places.forEach((place) => widths.observe(place));

  dark.addEventListener('change', () => drawn.forEach((_, place) => draw(place)));
  window.addEventListener('beforeprint', () => {
    printing = true;
    places.forEach((place) => {
      near.unobserve(place);
      draw(place);
      resize(place, PRINTED_WIDTH);
    });
  });
  window.addEventListener('afterprint', () => {
    printing = false;
    places.forEach((place) => {
      draw(place);
      resize(place, 'auto');
    });
  });
}());
