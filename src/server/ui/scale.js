/** Axes: which range is shown, and where its marks stand. */

const NICE = [1, 2, 2.5, 5, 10];
/** Seconds between marks of a time axis. */
const TIME_STEPS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
];

/**
 * A range of round numbers that has all values in it, and room around them.
 *
 * @param {number[]} values
 * @param {{floor?: number, ceiling?: number}} [bounds] what values cannot go beyond
 * @returns {{low: number, high: number, marks: number[]}}
 */
export function range(values, bounds = {}) {
  let low = Math.min(...values);
  let high = Math.max(...values);
  const room = high > low ? (high - low) * 0.12 : Math.max(Math.abs(high) * 0.02, 0.5);
  low = Math.max(bounds.floor ?? -Infinity, low - room);
  high = Math.min(bounds.ceiling ?? Infinity, high + room);
  if (high <= low) high = low + 1;
  const step = niceStep((high - low) / 2);
  const marks = [];
  for (let mark = Math.ceil(low / step) * step; mark <= high + step * 1e-9; mark += step)
    marks.push(Number(mark.toPrecision(10)));
  return { low, high, marks };
}

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return (NICE.find((nice) => nice * power >= rough) ?? 10) * power;
}

/**
 * Round times in a range.
 *
 * @param {number} from
 * @param {number} to
 * @param {number} most how many there is room for
 * @returns {{at: number, words: string}[]}
 */
export function timeMarks(from, to, most) {
  const span = (to - from) / 1000;
  const step = TIME_STEPS.find((seconds) => span / seconds <= most) ?? TIME_STEPS.at(-1);
  const offset = new Date(from).getTimezoneOffset() * 60_000;
  const first = Math.ceil((from - offset) / (step * 1000)) * step * 1000 + offset;
  const marks = [];
  for (let at = first; at <= to; at += step * 1000) marks.push({ at, words: timeWords(at, step) });
  return marks;
}

function timeWords(at, step) {
  if (step >= 86_400) return new Date(at).toLocaleDateString([], { month: 'short', day: 'numeric' });
  const options = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };
  if (step < 60) options.second = '2-digit';
  return new Date(at).toLocaleTimeString([], options);
}

/** @param {number} value @returns {string} at most four significant digits, or as many as it takes near 100 */
export function numberWords(value) {
  return String(Number(value.toPrecision(Math.abs(value) >= 90 && Math.abs(value) < 101 ? 5 : 4)));
}

/**
 * The number that a value begins with: of `99.93%` it is 99.93 and its unit `%`.
 *
 * @param {string | undefined} text
 * @returns {{number: number, unit: string} | null}
 */
export function quantity(text) {
  const found = /^\s*(-?\d+(?:\.\d+)?(?:e-?\d+)?)\s*(%|ms|s|)(?=$|[\s,(])/i.exec(text ?? '');
  return found && { number: Number(found[1]), unit: found[2] };
}

/**
 * The bounds in a limit: `>= 1, <= 3`.
 *
 * @param {string | undefined} text
 * @returns {{side: 'min' | 'max', number: number, words: string}[]}
 */
export function bounds(text) {
  const found = (text ?? '').matchAll(/([<>]=?|≥|≤)\s*(-?\d+(?:\.\d+)?(?:e-?\d+)?)\s*(%|ms|s)?/gi);
  return [...found].map(([, sign, number, unit = '']) => {
    const side = sign.startsWith('>') || sign === '≥' ? 'min' : 'max';
    return { side, number: Number(number), words: `${side === 'min' ? '≥' : '≤'} ${number}${unit}` };
  });
}

/** @param {string | undefined} limit @returns {string} with the signs that people write */
export function limitWords(limit) {
  return (limit ?? '').replace(/>= ?/g, '≥\u00a0').replace(/<= ?/g, '≤\u00a0');
}
