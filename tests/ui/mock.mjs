#!/usr/bin/env node
// Plays Serin's server for the UI: the files as they are in the checkout, and the API over a fleet that is made up.
// mock.mjs [--port 8090] [--token SECRET] [--reader SECRET] [--count N] [--empty] [--bad] [--no-streams] [--slow MS] [--only NAMESPACE] [--anonymous]

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { Fleet } from './fleet.mjs';
import { offers } from './offers.mjs';

const FILES = fileURLToPath(new URL('../../src/server/ui/', import.meta.url));
const TYPES = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const options = read(process.argv.slice(2));
const fleet = new Fleet({ count: Number(options.count ?? 0), empty: 'empty' in options, bad: 'bad' in options });
const readers = new Set();
const epoch = Date.now().toString(36);
const kept = [];
const requests = new Map();
let sequence = 0;

function read(args) {
  const found = {};
  for (let place = 0; place < args.length; place += 1) {
    const name = args[place].replace(/^--/, '');
    const next = args[place + 1];
    if (next !== undefined && !next.startsWith('--')) {
      found[name] = next;
      place += 1;
    } else found[name] = '';
  }
  return found;
}

fleet.changed = (release) => {
  sequence += 1;
  const event = { id: `${epoch}-${sequence}`, release };
  kept.push(event);
  if (kept.length > 1000) kept.shift();
  for (const reader of readers) if (wants(reader, release)) send(reader, 'canary', event.id, shown(reader, release));
};

function shown(reader, release) {
  return reader.release ? release.view() : release.item();
}

function send({ response }, type, id, data) {
  response.write(`id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
}

function stream(request, response, release, namespace) {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
  response.write('retry: 2000\n\n');
  const reader = { response, release, namespace };
  const last = request.headers['last-event-id'];
  const [from, number] = (last ?? '').split('-');
  if (from === epoch && Number(number) >= sequence - kept.length) {
    for (const event of kept) {
      const later = Number(event.id.split('-')[1]) > Number(number);
      if (later && wants(reader, event.release)) send(reader, 'canary', event.id, shown(reader, event.release));
    }
  } else if (release) send(reader, 'canary', `${epoch}-${sequence}`, release.view());
  else send(reader, 'list', `${epoch}-${sequence}`, { items: sorted(namespace) });
  readers.add(reader);
  request.on('close', () => readers.delete(reader));
}

function wants(reader, release) {
  return reader.release ? reader.release === release : !reader.namespace || reader.namespace === release.namespace;
}

function sorted(namespace) {
  return fleet.all
    .filter((release) => wants({ namespace }, release))
    .map((release) => release.item())
    .sort((one, other) => (`${one.namespace}/${one.name}` < `${other.namespace}/${other.name}` ? -1 : 1));
}

function json(response, status, body, headers = {}) {
  response.writeHead(status, {
    'Content-Type': status >= 400 ? 'application/problem+json' : 'application/json',
    'Cache-Control': 'no-store',
    ...headers,
  });
  response.end(JSON.stringify(body));
}

const TITLES = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  409: 'Conflict',
  415: 'Unsupported Media Type',
  422: 'Unprocessable Entity',
};

function problem(response, status, detail, more = {}) {
  json(
    response,
    status,
    { title: TITLES[status], status, detail, ...more },
    status === 401 ? { 'WWW-Authenticate': 'Bearer' } : {},
  );
}

/** Who asks: a user, null for nobody, undefined for somebody who is not let in. */
function whose(request) {
  const bearer = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
  if (options.token === undefined) return bearer === undefined ? null : 'alice@example.com';
  if (bearer === undefined && 'anonymous' in options) return null;
  if (bearer === options.token) return 'alice@example.com';
  return bearer !== undefined && bearer === options.reader ? 'system:serviceaccount:monitoring:wall' : undefined;
}

async function api(request, response, path, query) {
  const user = whose(request);
  if (user === undefined) return problem(response, 401, 'a bearer token is needed: Authorization: Bearer TOKEN');
  if (path === '/whoami') return json(response, 200, { user, anonymous: user === null });
  const namespace = query.get('namespace') ?? /^\/namespaces\/([^/]+)\/canaries$/.exec(path)?.[1];
  const everything = ['/canaries', '/events'].includes(path);
  if (everything && options.only !== undefined && namespace !== options.only)
    return problem(response, 403, `${user ?? 'nobody'} has no permission to list canaries in all namespaces`);
  if (path === '/canaries' || /^\/namespaces\/[^/]+\/canaries$/.test(path))
    return json(response, 200, { items: sorted(namespace) });
  const streams = !('no-streams' in options);
  if (path === '/events' && streams) return stream(request, response, null, namespace);
  const [, space, name, what] = /^\/namespaces\/([^/]+)\/canaries\/([^/]+)(?:\/([^/]+))?$/.exec(path) ?? [];
  if (!name) return problem(response, 404, `there is nothing at /api/v1${path}`);
  const [home, called] = [space, name].map(decodeURIComponent);
  const release = fleet.find(home, called);
  if (!release) return problem(response, 404, `there is no Canary ${called} in namespace ${home}`);
  if (request.method === 'POST') return verb(request, response, release, what, user);
  if (!what) return json(response, 200, release.view());
  if (what === 'timeline') return json(response, 200, release.timeline());
  if (what === 'events' && streams) return stream(request, response, release);
  return problem(response, 404, `there is nothing at /api/v1${path}`);
}

async function verb(request, response, release, what, user) {
  let body;
  try {
    body = JSON.parse((await text(request)) || '{}');
  } catch {
    return problem(response, 422, 'the body is not JSON');
  }
  const name = what === 'promote' && body.force ? 'promote-full' : what;
  if (options.reader !== undefined && user !== 'alice@example.com')
    return problem(
      response,
      403,
      `${user} lacks the permission: update canaries/${name} in namespace ${release.namespace}`,
    );
  if (user === null && options.writes === 'no') return problem(response, 401, 'a bearer token is needed');
  const key = request.headers['idempotency-key'];
  if (key && requests.has(key)) return json(response, 202, requests.get(key));
  const allowed = offers(release).map((one) => one.verb);
  if (!allowed.includes(name))
    return problem(response, 409, `${name} does not fit now: the phase is ${release.state.phase}`, { allowed });
  const back = name === 'rollback' && release.isAtRest();
  const known = release.history.some((one) => one.version.revision === body.revision && release.canReturn(one));
  if (body.revision && !(back ? known : body.revision === release.candidate?.revision))
    return problem(response, 409, `${body.revision} is not the candidate any more`, { allowed });
  const id = key ?? `r-${requests.size}`;
  const reply = {
    id,
    verb: name,
    namespace: release.namespace,
    name: release.name,
    ...(body.revision && { revision: body.revision }),
    message: 'written to the Canary',
  };
  requests.set(id, reply);
  setTimeout(
    () => {
      const to = back ? body.revision : undefined;
      release.act({ verb: name, id, by: user ?? 'anonymous', reason: body.reason, to }, Date.now());
      fleet.look(release);
    },
    Number(options.slow ?? 300),
  );
  return json(response, 202, reply);
}

async function text(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces).toString('utf8');
}

async function file(response, path) {
  const name = path === '/' ? 'index.html' : /^\/ui\/([a-z-]+\.(?:html|css|js|svg))$/.exec(path)?.[1];
  try {
    const body = await readFile(FILES + name);
    response.writeHead(200, {
      'Content-Type': TYPES[name.split('.').pop()],
      'Content-Security-Policy': POLICY,
      'X-Content-Type-Options': 'nosniff',
      'Cache-Control': 'no-cache',
    });
    response.end(body);
  } catch {
    problem(response, 404, `there is nothing at ${path}`);
  }
}

const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(`http://mock${request.url}`);
  const answer = pathname.startsWith('/api/v1')
    ? api(request, response, pathname.slice('/api/v1'.length), searchParams)
    : file(response, pathname);
  answer.catch((error) => problem(response, 400, String(error)));
});

setInterval(() => fleet.tick(), 250);
process.on('SIGUSR2', () => {
  for (const { response } of readers) response.end();
});
setInterval(() => {
  for (const { response } of readers) response.write(': still here\n\n');
}, 15_000);
server.listen(Number(options.port ?? 8090), '127.0.0.1', () =>
  console.log(`http://127.0.0.1:${server.address().port}/`),
);
