// The threshold line: moves, and everything that depends on it is counted again.
(function () {
	'use strict';
	const $ = (id) => document.getElementById(id);
	const data = JSON.parse($('data').textContent);
	const hist = $('hist'), cut = $('cut'), range = $('range'), value = $('value'), reset = $('reset');
	if (!hist || !cut || !range)
		return;
	const [left, right, width] = data.frame;
	const square = data.square; // left, right, top, bottom of the curves' frames
	const axis = data.axis;
	let threshold = data.threshold;

	const at = (score) => {
		const t = axis.log ? (score > 0 ? Math.log(score / axis.low) / Math.log(axis.high / axis.low) : 0)
			: (score - axis.low) / (axis.high - axis.low);
		return Math.min(1, Math.max(0, t));
	};
	const score = (t) => axis.log ? axis.low * Math.pow(axis.high / axis.low, t) : axis.low + t * (axis.high - axis.low);
	const short = (x) => String(Number(x.toPrecision(5)));
	const percent = (a, b) => b ? (100 * a / b).toFixed(1) + ' %' : '–';

	// How many of an ascending list lie above the threshold.
	const above = (list, limit) => {
		let low = 0, high = list.length;
		while (low < high) {
			const middle = (low + high) >> 1;
			if (list[middle] > limit)
				high = middle;
			else
				low = middle + 1;
		}
		return list.length - low;
	};

	const put = (id, text) => {
		const node = $(id);
		if (node)
			node.textContent = text;
		return node;
	};
	const count = (id, n) => {
		const node = put(id, String(n));
		if (node)
			node.classList.toggle('zero', n === 0);
	};
	const rows = { n: data.normal, a: data.anomalous, u: data.unknown };

	const update = () => {
		const x = left + at(threshold) * (right - left);
		cut.setAttribute('transform', 'translate(' + x.toFixed(1) + ' 0)');
		const text = $('cut-text'), after = x > width / 2;
		text.textContent = 'threshold ' + short(threshold);
		text.setAttribute('text-anchor', after ? 'end' : 'start');
		text.setAttribute('x', after ? -14 : 14);
		range.value = String(at(threshold));
		range.setAttribute('aria-valuetext', 'threshold ' + short(threshold));
		reset.disabled = threshold === data.threshold;
		put('command', '--threshold ' + threshold);

		const called = {};
		for (const kind in rows) {
			const n = rows[kind].length, k = called[kind] = above(rows[kind], threshold);
			// Without a softer limit none is suspect.
			const suspect = data.warning === null ? 0 : Math.max(0, above(rows[kind], data.warning) - k);
			count(kind + '-no', n - k - suspect);
			put(kind + '-suspect', String(suspect));
			count(kind + '-yes', k);
			put(kind + '-rate', percent(k, n));
		}
		const tp = called.a, fp = called.n, a = rows.a.length, n = rows.n.length;
		const precision = tp + fp ? tp / (tp + fp) : NaN;
		put('precision', tp + fp ? percent(tp, tp + fp) : '–');
		put('f1', a + tp + fp ? (2 * tp / (a + tp + fp)).toFixed(4) : '–');
		put('accuracy', percent(tp + n - fp, a + n));
		const move = (id, u, v) => {
			const node = $(id);
			if (!node)
				return;
			node.setAttribute('cx', (square[0] + u * (square[1] - square[0])).toFixed(1));
			node.setAttribute('cy', (square[3] - v * (square[3] - square[2])).toFixed(1));
		};
		if (a && n) {
			move('roc-mark', fp / n, tp / a);
			move('pr-mark', tp / a, tp + fp ? precision : 1);
		}
		data.defects.forEach((scores, i) => {
			const k = above(scores, threshold);
			put('found-' + i, String(k));
			put('share-' + i, percent(k, scores.length));
			const bar = $('bar-' + i);
			if (bar)
				bar.setAttribute('width', String(scores.length ? 100 * k / scores.length : 0));
		});
		for (const card of document.querySelectorAll('.card')) {
			const own = Number(card.dataset.score), badge = card.querySelector('.badge');
			const called = own > threshold ? 1 : data.warning !== null && own > data.warning ? 2 : 0;
			const [word, look] = data.words[card.dataset.truth][called];
			badge.textContent = word;
			badge.className = 'badge ' + look;
		}
	};
	const set = (to) => {
		if (!Number.isFinite(to))
			return;
		threshold = to;
		value.value = String(to);
		update();
	};

	const drag = (event) => {
		const box = hist.getBoundingClientRect();
		const t = ((event.clientX - box.left) / box.width * width - left) / (right - left);
		set(Number(score(Math.min(1, Math.max(0, t))).toPrecision(6)));
	};
	hist.addEventListener('pointerdown', (event) => {
		if (event.button !== 0)
			return;
		hist.setPointerCapture(event.pointerId);
		drag(event);
	});
	hist.addEventListener('pointermove', (event) => {
		if (hist.hasPointerCapture(event.pointerId))
			drag(event);
	});
	range.addEventListener('input', () => set(Number(score(Number(range.value)).toPrecision(6))));
	value.addEventListener('input', () => {
		if (value.value !== '' && Number.isFinite(value.valueAsNumber)) {
			threshold = value.valueAsNumber;
			update();
		}
	});
	value.addEventListener('change', () => set(value.value === '' ? data.threshold : value.valueAsNumber));
	reset.addEventListener('click', () => {
		set(data.threshold);
		range.focus();
	});

	document.documentElement.classList.add('live');
	$('control').hidden = false;
	value.value = String(data.threshold);
	update();
})();
