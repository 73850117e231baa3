/**
 * Makes the page equal to what is wanted, and touches nothing that is so already: focus, scrolling and selections survive.
 * Texts become text nodes; nothing is ever parsed as HTML.
 *
 * @typedef {{tag: string, key?: string, props: Record<string, any>, kids: Wanted[], memo?: any[], make?: () => Wanted}} Element_
 * @typedef {Element_ | string} Wanted
 */

const SVG = 'http://www.w3.org/2000/svg';
/** What each node was made from. @type {WeakMap<Node, Element_>} */
const made = new WeakMap();

/**
 * Describes an element. `props` are attributes, and beside them: `key` tells siblings apart, `on` has listeners, `style` has
 * custom properties, `opaque` leaves the children alone, `once` is called with the element when it was made.
 *
 * @param {string} tag
 * @param {Record<string, any> | null} [props]
 * @param {...any} kids elements, texts, numbers, lists of them; null and false are left out
 * @returns {Element_}
 */
export function h(tag, props, ...kids) {
  const { key, ...rest } = props ?? {};
  return { tag, key, props: rest, kids: flat(kids) };
}

/**
 * Describes an element that is only made again when one of `memo` is another than before.
 *
 * @param {string} key
 * @param {any[]} memo
 * @param {() => Element_} make
 * @returns {Element_}
 */
export function lazy(key, memo, make) {
  return { tag: '', key, props: {}, kids: [], memo, make };
}

/**
 * Makes the children of `parent` equal to what is wanted.
 *
 * @param {Element} parent
 * @param {...any} wanted
 */
export function put(parent, ...wanted) {
  const focused = document.activeElement;
  children(parent, flat(wanted));
  if (
    focused instanceof HTMLElement &&
    focused !== document.activeElement &&
    focused.isConnected &&
    parent.contains(focused)
  ) {
    focused.focus({ preventScroll: true });
  }
}

function flat(kids) {
  const out = [];
  for (const kid of kids.flat(Infinity)) {
    if (kid === null || kid === undefined || kid === false || kid === true) continue;
    out.push(typeof kid === 'object' ? kid : String(kid));
  }
  return out;
}

function children(parent, wanted) {
  const old = index(parent);
  const nodes = wanted.map((want, place) => settle(parent, take(old, want, place), want));
  for (const node of old.values()) node.remove();
  let next = parent.firstChild;
  for (const node of nodes) {
    if (node === next) next = next.nextSibling;
    else parent.insertBefore(node, next);
  }
}

/** The children by what tells them apart. */
function index(parent) {
  const old = new Map();
  let place = 0;
  for (const node of [...parent.childNodes]) {
    const key = made.get(node)?.key;
    const slot = key === undefined ? place : `k:${key}`;
    if (old.has(slot)) node.remove();
    else old.set(slot, node);
    place += 1;
  }
  return old;
}

/** Takes the child that can become what is wanted. */
function take(old, want, place) {
  const slot = typeof want === 'string' || want.key === undefined ? place : `k:${want.key}`;
  const node = old.get(slot);
  if (!node || !fits(node, want)) return null;
  old.delete(slot);
  return node;
}

function fits(node, want) {
  if (typeof want === 'string') return node.nodeType === Node.TEXT_NODE;
  const before = made.get(node);
  return Boolean(before) && (Boolean(want.make) || before.tag === want.tag);
}

function settle(parent, node, want) {
  if (typeof want === 'string') return text(node, want);
  const before = node && made.get(node);
  if (want.make) {
    if (before?.memo && same(before.memo, want.memo)) return node;
    const whole = { ...want.make(), key: want.key, memo: want.memo };
    if (!node || before.tag === whole.tag) return settle(parent, node, whole);
    node.remove();
    return settle(parent, null, whole);
  }
  const element = node ?? create(parent, want);
  attributes(element, before?.props ?? {}, want.props);
  made.set(element, want);
  if (!want.props.opaque) children(element, want.kids);
  chosen(element, before?.props.value, want.props.value);
  if (!node) want.props.once?.(element);
  return element;
}

function text(node, want) {
  if (!node) return document.createTextNode(want);
  if (node.data !== want) node.data = want;
  return node;
}

function create(parent, want) {
  const svg = want.tag === 'svg' || (parent.namespaceURI === SVG && parent.localName !== 'foreignObject');
  return svg ? document.createElementNS(SVG, want.tag) : document.createElement(want.tag);
}

/** What a field has is set after its options are there, and only when something else is wanted than before. */
function chosen(element, before, wanted) {
  if (wanted === undefined) return;
  const differs = element.localName === 'select' ? element.value !== wanted : before !== wanted;
  if (differs && element.value !== wanted) element.value = wanted;
}

const OWN = new Set(['on', 'style', 'opaque', 'once']);

function attributes(element, before, wanted) {
  for (const name of Object.keys(before)) {
    if (!OWN.has(name) && !(name in wanted)) element.removeAttribute(name);
  }
  for (const [name, value] of Object.entries(wanted)) {
    if (!OWN.has(name) && before[name] !== value) attribute(element, name, value);
  }
  for (const name of Object.keys(wanted.on ?? {})) {
    if (!before.on || !(name in before.on)) element.addEventListener(name, heard);
  }
  for (const [name, value] of Object.entries(wanted.style ?? {})) {
    if (before.style?.[name] !== value) element.style.setProperty(name, value);
  }
}

function attribute(element, name, value) {
  if (name === 'value' && 'value' in element && element.localName !== 'option') return;
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? '' : String(value));
}

/** Listeners are looked up when they are needed, so that they are never out of date. */
function heard(event) {
  made.get(event.currentTarget)?.props.on?.[event.type]?.(event);
}

function same(one, other) {
  return one.length === other.length && one.every((value, place) => value === other[place]);
}
