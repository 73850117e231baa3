/** Puts the pages together: which one is shown, what it follows, and when it is drawn again. */

import { askFor, heardOf, isAsking } from './actions.js';
import { get, pathOf } from './api.js';
import { detail } from './detail.js';
import { h, put } from './dom.js';
import { Fleet } from './fleet.js';
import { help, listen } from './keys.js';
import { denied, login } from './login.js';
import { overview } from './overview.js';
import { pins, watchPins } from './pins.js';
import { Recording } from './recording.js';
import { ALL, detailAt, overviewAt, parse } from './route.js';
import { announce } from './said.js';
import { keepToken, takeToken, token } from './session.js';
import { banner, topBar } from './shell.js';
import { follow } from './stream.js';
import { nextTheme } from './theme.js';
import { stopClocks, tellTimes } from './time.js';
import { keepAwake, wall } from './wall.js';
import { stateOf } from './words.js';

/** A page that nobody has looked at for so long lets its connection go: browsers have few for each server. */
const HIDDEN = 60_000;
/** A gap this short, in milliseconds, is no news. */
const SHORT_GAP = 1500;

const fleet = new Fleet();
const state = {
  route: parse('#/'),
  home: '#/',
  filter: ALL,
  line: { kind: 'connecting', lastAt: 0 },
  lostAt: 0,
  who: null,
  /** What the page of one Canary shows; null on the overview. */
  one: null,
  /** The only namespace that one may see; empty: all are asked for. */
  scope: '',
  /** Why not all namespaces can be seen, in the server's words. */
  denied: '',
  /** The address of the Canary that one comes back from. */
  cameFrom: '',
  /** Why a token is asked for: the words of the server, and how to go back. */
  asks: null,
};
let stream = null;
let drawing = false;

function start() {
  takeToken();
  listen({
    home: goHome,
    group: (group) => narrow({ group }),
    wall: turnWall,
    theme: () => {
      nextTheme();
      draw();
    },
  });
  addEventListener('hashchange', arrive);
  addEventListener('online', () => stream?.again());
  addEventListener('resize', () => isWall() && draw());
  watchPins(draw);
  document.addEventListener('visibilitychange', visibility());
  setInterval(everySecond, 1000);
  document.querySelector('.skip').addEventListener('click', (event) => {
    event.preventDefault();
    document.getElementById('main').focus();
  });
  arrive();
  void askWho();
}

/** Shows what the address says. */
function arrive() {
  const other = location.hash.startsWith('#token=');
  if (other) {
    takeToken();
    state.asks = null;
    void askWho();
  }
  const before = state.route;
  state.route = parse(location.hash);
  if (state.route.page === 'overview') {
    state.filter = state.route.filter;
    state.home = overviewAt(state.filter);
  }
  const same =
    before.page === state.route.page && before.namespace === state.route.namespace && before.name === state.route.name;
  if (!same || !stream || other) connect();
  if (!same) {
    scrollTo(0, 0);
    document.getElementById('main').focus({ preventScroll: true });
    state.cameFrom = before.page === 'detail' ? detailAt(before) : '';
  }
  draw();
}

/** Who comes back to the list is where they left it. */
function findAgain() {
  if (!state.cameFrom || state.one || !fleet.known) return;
  const names = [...document.querySelectorAll('.rows .name, .tile .name')];
  const name = names.find((one) => one.getAttribute('href') === state.cameFrom);
  state.cameFrom = '';
  name?.focus({ preventScroll: true });
  name?.closest('.row, .tile').scrollIntoView({ block: 'nearest' });
}

/** One step back: from a Canary to the list, from the wall to the list that can be operated. */
function goHome() {
  if (state.route.page === 'detail') location.hash = state.home;
  else if (isWall()) turnWall();
}

function isWall() {
  return !state.one && !state.asks && !state.denied && Boolean(state.filter.wall);
}

/** To the screen for the wall and back; from the page of a Canary too. */
function turnWall() {
  const change = { wall: isWall() ? '' : '1' };
  if (state.one) location.hash = overviewAt({ ...state.filter, ...change });
  else narrow(change);
}

function narrow(change) {
  state.filter = { ...state.filter, ...change };
  state.home = overviewAt(state.filter);
  history.replaceState(null, '', state.home);
  state.route = { page: 'overview', filter: state.filter };
  draw();
}

/** Follows what the page shows, and nothing else. */
function connect() {
  stream?.close();
  state.line = { kind: 'connecting', lastAt: 0 };
  state.lostAt = Date.now();
  const { route } = state;
  state.one =
    route.page === 'detail' ? { view: null, gone: false, missing: '', all: false, recording: new Recording() } : null;
  const page = state.one;
  const path = page ? pathOf(route.namespace, route.name) : listPath();
  const mine = () => state.one === page;
  stream = follow({
    path: page ? `${path}/events` : state.scope ? `/events?namespace=${encodeURIComponent(state.scope)}` : '/events',
    fallback: async () => [page ? 'canary' : 'list', await get(path)],
    heard: (type, data) => mine() && heard(type, data),
    changed: (line) => mine() && lineChanged(line),
  });
  if (page) void record(page, path);
}

function listPath() {
  return state.scope ? `/namespaces/${encodeURIComponent(state.scope)}/canaries` : '/canaries';
}

/** Who may not see all namespaces may see one: that of the address, or the one that is named. */
function narrowScope(namespace) {
  state.denied = '';
  state.scope = namespace;
  fleet.forget();
  narrow({ ns: namespace });
  connect();
}

/** Reads what was recorded before. Where nothing is, the charts begin now. */
async function record(page, path) {
  try {
    page.recording.load(await get(`${path}/timeline`));
    if (page.view) page.recording.hear(page.view);
  } catch {
    // The view itself says it when there is no way to the server.
  }
  draw();
}

function heard(type, data) {
  const page = state.one;
  if (!page) announce(fleet.hear(type, data));
  else if (type === 'gone') page.gone = true;
  else if (type === 'canary') {
    const before = page.view;
    page.view = data;
    page.gone = false;
    page.recording.hear(data);
    if (before && stateOf(before).word !== stateOf(data).word) announce([data]);
    heardOf(data);
  }
  draw();
}

function lineChanged(line) {
  const before = state.line;
  state.line = line;
  if (line.kind === 'lost' && before.kind !== 'lost') state.lostAt = Date.now();
  if (line.kind === 'refused') refusedLine(line);
  if (before.kind === 'lost' && ['live', 'polling'].includes(line.kind) && state.one) {
    void record(state.one, pathOf(state.route.namespace, state.route.name));
  }
  if (line.kind !== before.kind) draw();
}

function refusedLine(line) {
  if (line.status === 401) askToken(line.words ?? '');
  else if (line.status === 403 && state.one) state.one.missing = line.words ?? '';
  else if (line.status === 403 && !state.scope && state.filter.ns) narrowScope(state.filter.ns);
  else if (line.status === 403) state.denied = line.words ?? '';
  else if (line.status === 404 && state.one) state.one.missing = line.words ?? 'There is no such Canary.';
}

function askToken(words, cancel = null) {
  state.asks = { words, again: Boolean(token()), cancel };
  if (state.asks.again && !cancel) keepToken(null);
  draw();
}

async function askWho() {
  try {
    state.who = await get('/whoami');
  } catch {
    state.who = null;
  }
  draw();
}

/** Goes on as somebody else; null: as nobody. */
function keep(value) {
  keepToken(value);
  Object.assign(state, { asks: null, scope: '', denied: '', who: null });
  connect();
  void askWho();
  draw();
}

/** Signing in by choice can be left again; signing out forgets what was seen. */
function leave() {
  if (state.who?.user) {
    fleet.forget();
    keep(null);
    return;
  }
  askToken('', () => {
    state.asks = null;
    draw();
  });
  state.asks.again = false;
}

/** What is shown is not how it is now. */
function isOld() {
  const { kind } = state.line;
  return kind === 'refused' || kind === 'lost' || (kind === 'connecting' && (fleet.known || Boolean(state.one?.view)));
}

/** Draws once for all that happens at the same time. */
function draw() {
  if (drawing) return;
  drawing = true;
  if (document.hidden) setTimeout(paint, 200);
  else requestAnimationFrame(paint);
}

function paint() {
  drawing = false;
  const overdue = state.line.kind === 'refused' || Date.now() - state.lostAt > SHORT_GAP;
  const old = isOld() && overdue;
  document.body.classList.toggle('is-old', old && !state.asks);
  document.body.classList.toggle('is-wall', isWall());
  void keepAwake(isWall());
  stopClocks(old);
  put(
    document.getElementById('top'),
    topBar({ line: state.line, who: state.who, home: state.home, help, leave, redraw: draw, turnWall, wall: isWall() }),
  );
  put(
    document.getElementById('line'),
    overdue && !state.asks && banner({ line: state.line, again: () => stream?.again() }),
  );
  put(document.getElementById('main'), content(old));
  findAgain();
  document.title = title();
}

/** An error in drawing is said, and the next event draws again. */
function content(old) {
  try {
    return state.asks ? login({ ...state.asks, keep }) : page(old);
  } catch (error) {
    console.error(error);
    return h(
      'div',
      { key: 'broken', class: 'placeholder' },
      h('h1', null, 'This cannot be shown'),
      h('p', null, String(error?.message ?? error)),
      h('a', { class: 'button', href: '#/' }, 'All Canaries'),
    );
  }
}

function page(old) {
  if (!state.one && state.denied) return denied({ words: state.denied, choose: narrowScope });
  const size = { width: innerWidth, height: innerHeight };
  if (isWall()) return wall({ fleet, filter: state.filter, size });
  if (!state.one) return overview({ fleet, filter: state.filter, narrow, redraw: draw });
  const { one, route, home } = state;
  return detail({
    ...one,
    namespace: route.namespace,
    name: route.name,
    home,
    old,
    redraw: draw,
    pins: pins(),
    choose: (all) => {
      one.all = all;
      draw();
    },
    act: (verb) =>
      askFor(one.view, verb, {
        unauthorized: () =>
          askToken('This needs a token.', () => {
            state.asks = null;
            draw();
          }),
      }),
  });
}

function title() {
  if (state.one) return `${state.route.name} · ${state.route.namespace} · Serin`;
  const urgent = fleet.urgent();
  return urgent > 0 && !isOld() ? `(${urgent}) Serin` : 'Serin';
}

function everySecond() {
  if (document.hidden) return;
  const lively =
    ['lost', 'connecting'].includes(state.line.kind) || (state.one?.view?.current && !isOld() && !isAsking());
  if (lively) draw();
  else tellTimes();
}

/** Lets the connection go while nobody looks, and takes it up again. */
function visibility() {
  let timer = 0;
  let slept = false;
  return () => {
    clearTimeout(timer);
    if (document.hidden) {
      timer = setTimeout(() => {
        slept = true;
        stream?.close();
        state.line = { kind: 'connecting', lastAt: state.line.lastAt };
        document.title = 'Serin';
      }, HIDDEN);
    } else if (slept) {
      slept = false;
      resume();
    } else draw();
  };
}

/** Follows again what the page shows, and keeps showing what it knows, as old. */
function resume() {
  const { one } = state;
  connect();
  if (one) Object.assign(state.one, { view: one.view, recording: one.recording, all: one.all });
  draw();
}

start();
