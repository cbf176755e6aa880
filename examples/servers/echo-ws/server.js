'use strict';

// A resumable counted echo: the dialect `echo`, over ws and Node's own HTTP server.
//
// From the top: settings, the store of sessions, metrics, one connection, the HTTP side, start and stop.

const crypto = require('node:crypto');
const http = require('node:http');
const { setTimeout: sleep } = require('node:timers/promises');
const { WebSocket, WebSocketServer } = require('ws');

// ---------------------------------------------------------------- settings

const settings = {
  host: process.env.HOST ?? '127.0.0.1',
  port: Number(process.env.PORT ?? 8000),
  heartbeatMs: Number(process.env.HEARTBEAT_MS ?? 30_000),
  sessionTtlMs: Number(process.env.REDIS_SESSION_TTL ?? 3_600) * 1000,
  storeDeadlineMs: Number(process.env.STORE_DEADLINE_MS ?? 2_000),
  handshakeMs: Number(process.env.HANDSHAKE_MS ?? 10_000),
  closeMs: Number(process.env.CLOSE_MS ?? 5_000),
  stopMs: Number(process.env.STOP_MS ?? 10_000),
  logMessages: process.env.LOG_MESSAGES === 'true',
  debugHooks: process.env.DEBUG_HOOKS === 'true',
};

const MESSAGE_BYTES_MAX = 65_536;
const SESSION_ID_CHARS_MAX = 128;
/** Who leaves this much unread is not going to catch up, and memory is not endless. */
const UNREAD_BYTES_MAX = 1_048_576;
const BODY_BYTES_MAX = 65_536;
const LEVELS = ['info', 'warning', 'error', 'success'];

const log = (event, fields = {}) => console.log(JSON.stringify({ at: new Date().toISOString(), event, ...fields }));

// ---------------------------------------------------------------- the store of sessions

/** What the store says when it cannot do what it was asked, or takes too long over it. */
class StoreError extends Error {}

/**
 * Sessions in memory, in the place of Redis: state and messages of each, kept for a time after the last write. Its methods
 * are as asynchronous as those of a database.
 */
class SessionStore {
  #sessions = new Map();
  #broken = { mode: 'down', until: 0 };

  /** For so long every call fails (`down`), or is answered at the end of that time (`slow`). */
  breakFor(mode, milliseconds) {
    this.#broken = { mode, until: Date.now() + milliseconds };
  }

  async #roundTrip() {
    await new Promise(setImmediate);
    const left = this.#broken.until - Date.now();
    if (left <= 0) return;
    if (this.#broken.mode === 'slow') await sleep(Math.min(left, settings.storeDeadlineMs));
    if (this.#broken.mode === 'down' || left > settings.storeDeadlineMs) {
      throw new StoreError('the store is not available');
    }
  }

  #live(id) {
    const session = this.#sessions.get(id);
    if (session && session.connections === 0 && session.expiresAt <= Date.now()) {
      this.#sessions.delete(id);
      return undefined;
    }
    return session;
  }

  #written(id) {
    const session = this.#live(id) ?? { count: 0, last_activity: 0, connections: 0, messages: [] };
    session.last_activity = Date.now() / 1000;
    session.expiresAt = Date.now() + settings.sessionTtlMs;
    this.#sessions.set(id, session);
    return session;
  }

  async isAvailable() {
    return this.#roundTrip().then(() => true, () => false);
  }

  /** What is there of a session, or null. While a connection uses it, it does not run out. */
  async open(id) {
    await this.#roundTrip();
    const session = this.#live(id);
    if (session) session.connections += 1;
    return session ? session.count : null;
  }

  async close(id, count) {
    await this.#roundTrip();
    const session = this.#live(id);
    if (!session) return;
    session.connections = Math.max(0, session.connections - 1);
    this.#written(id).count = Math.max(session.count, count);
  }

  /** Counts one message, and keeps it if it is to be kept; the new count. `before` is what the connection remembers. */
  async count(id, before, kept) {
    await this.#roundTrip();
    const isNew = this.#live(id) === undefined;
    const session = this.#written(id);
    if (isNew) session.connections = 1;
    session.count = Math.max(session.count, before) + 1;
    session.messages.push(...kept);
    return session.count;
  }

  async state(id) {
    await this.#roundTrip();
    const session = this.#live(id);
    if (!session) return null;
    const left = session.connections > 0 ? settings.sessionTtlMs : session.expiresAt - Date.now();
    return { data: { count: session.count, last_activity: session.last_activity }, remaining: Math.ceil(left / 1000) };
  }

  async messages(id) {
    await this.#roundTrip();
    return this.#live(id)?.messages ?? [];
  }

  async delete(id) {
    await this.#roundTrip();
    const known = this.#live(id) !== undefined;
    this.#sessions.delete(id);
    return known;
  }

  get tracked() {
    return this.#sessions.size;
  }
}

const store = new SessionStore();

// ---------------------------------------------------------------- metrics

const counters = {
  app_messages_total: 0,
  app_messages_sent_total: 0,
  app_connections_opened_total: 0,
  app_connections_closed_total: 0,
  app_errors_total: 0,
};

function metrics() {
  const gauges = { app_active_connections: connections.size, app_sessions_tracked: store.tracked };
  const lines = (values, type) =>
    Object.entries(values).flatMap(([name, value]) => [`# TYPE ${name} ${type}`, `${name} ${value}`]);
  return `${[...lines(gauges, 'gauge'), ...lines(counters, 'counter')].join('\n')}\n`;
}

// ---------------------------------------------------------------- one connection

const connections = new Set();
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
let stopping = false;

class Connection {
  #socket;
  #session;
  #keeps;
  /** What it has counted; with a session also what the store said last. */
  #count = 0;
  /** Messages that the store could not take. */
  #unwritten = [];
  #isInStore = false;
  #work = Promise.resolve();
  #heartbeat = null;

  constructor(socket, session, keeps) {
    this.#socket = socket;
    this.#session = session;
    this.#keeps = keeps;
  }

  open() {
    connections.add(this);
    counters.app_connections_opened_total += 1;
    this.#socket.on('message', (bytes, isBinary) => this.#hear(bytes, isBinary));
    this.#socket.on('close', () => this.#closed());
    this.#heartbeat = setInterval(() => this.send({ ts: String(Date.now()) }), settings.heartbeatMs);
    if (this.#session === null) return;
    this.#work = this.#try(async () => {
      const count = await store.open(this.#session);
      this.#isInStore = count !== null;
      this.#count = count ?? 0;
    });
  }

  send(message) {
    if (this.#socket.readyState !== WebSocket.OPEN) return;
    if (this.#socket.bufferedAmount > UNREAD_BYTES_MAX) {
      this.close(1008, 'slow consumer');
      return;
    }
    counters.app_messages_sent_total += 1;
    this.#socket.send(JSON.stringify(message));
  }

  close(code, reason) {
    clearInterval(this.#heartbeat);
    this.#socket.close(code, reason);
  }

  /** Says goodbye once everything that has arrived is answered. */
  async leave(reason) {
    await this.#work;
    this.send({ bye: true, total: this.#count, message: 'Server is shutting down gracefully' });
    this.close(1001, reason);
  }

  #hear(bytes, isBinary) {
    let text;
    try {
      text = isBinary ? utf8.decode(bytes) : bytes.toString();
    } catch {
      this.close(1007, 'not UTF-8');
      return;
    }
    this.#work = this.#work.then(async () => {
      try {
        await this.#answer(text);
      } catch (error) {
        counters.app_errors_total += 1;
        log('message_failed', { error: error.message });
        this.close(1011, 'internal error');
      }
    });
  }

  async #answer(text) {
    if (debug.handlerFailures > 0) {
      debug.handlerFailures -= 1;
      throw new Error('a failure on request');
    }
    counters.app_messages_total += 1;
    await this.#counted(text);
    if (settings.logMessages) log('ws_receive', { session_id: this.#session, count: this.#count });
    this.send(text === '' ? { count: this.#count } : { count: this.#count, echo: text });
  }

  /** Counts a message, in the store if there is a session. A store that fails costs no answer. */
  async #counted(text) {
    if (this.#session === null) {
      this.#count += 1;
      return;
    }
    if (this.#keeps) {
      const [content, timestamp, sessionId] = [text, Date.now(), this.#session];
      this.#unwritten.push({ content, timestamp, isSent: true, sessionId });
    }
    const before = this.#isInStore ? 0 : this.#count;
    const counted = await this.#try(async () => {
      this.#count = await store.count(this.#session, before, this.#unwritten);
      this.#isInStore = true;
      this.#unwritten = [];
    });
    if (counted) return;
    this.#isInStore = false;
    this.#count += 1;
  }

  async #try(call) {
    try {
      await call();
      return true;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      counters.app_errors_total += 1;
      log('store_failed', { error: error.message });
      return false;
    }
  }

  async #closed() {
    clearInterval(this.#heartbeat);
    connections.delete(this);
    counters.app_connections_closed_total += 1;
    await this.#work;
    if (this.#session !== null) await this.#try(() => store.close(this.#session, this.#count));
  }
}

// ---------------------------------------------------------------- HTTP

const debug = { handlerFailures: 0 };

const routes = [
  ['GET', /^\/chat\/api\/sessions\/([^/]+)\/$/, showSession],
  ['GET', /^\/chat\/api\/sessions\/([^/]+)\/messages\/$/, listMessages],
  ['DELETE', /^\/chat\/api\/sessions\/([^/]+)\/$/, deleteSession],
  ['POST', /^\/chat\/api\/broadcast\/$/, broadcast],
  ['GET', /^\/ws\/chat\/$/, async () => [400, { error: 'This is a WebSocket endpoint' }]],
  ['GET', /^\/healthz$/, async () => [200, { status: 'up' }]],
  ['GET', /^\/readyz$/, async () => [(await store.isAvailable()) && !stopping ? 200 : 503, {}]],
  ['GET', /^\/metrics$/, async () => [200, metrics()]],
];

if (settings.debugHooks) {
  routes.push(
    ['POST', /^\/debug\/store$/, async (_, body) => [200, store.breakFor(body.mode, Number(body.seconds) * 1000) ?? {}]],
    ['POST', /^\/debug\/handler$/, async (_, body) => [200, { times: (debug.handlerFailures = Number(body.times)) }]],
  );
}

async function showSession(id) {
  const state = await store.state(id);
  if (state === null) return [404, { success: false, error: 'Session not found' }];
  const ttl = settings.sessionTtlMs / 1000;
  return [200, { success: true, session_id: id, data: state.data, ttl, remaining_ttl: state.remaining }];
}

async function listMessages(id) {
  const messages = await store.messages(id);
  return [200, { success: true, session_id: id, messages, count: messages.length }];
}

async function deleteSession(id) {
  if (await store.delete(id)) return [200, { success: true }];
  return [404, { success: false, error: 'Session not found' }];
}

async function broadcast(_, body) {
  const { message, title = 'System Message', level = 'info' } = body ?? {};
  if (typeof message !== 'string' || message === '') return [400, { success: false, error: 'Message is required' }];
  if (!LEVELS.includes(level)) {
    return [400, { success: false, error: `Level must be one of: ${LEVELS.join(', ')}` }];
  }
  for (const connection of connections) {
    connection.send({ type: 'broadcast', message, title, level, timestamp: Date.now() });
  }
  return [200, { success: true }];
}

async function readBody(request) {
  let text = '';
  for await (const chunk of request) {
    text += chunk;
    if (text.length > BODY_BYTES_MAX) return null;
  }
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

async function serve(request) {
  const path = request.url.split('?')[0];
  for (const [method, pattern, handler] of routes) {
    const found = pattern.exec(path);
    if (method !== request.method || !found) continue;
    const body = method === 'POST' ? await readBody(request) : undefined;
    if (body === null || (body !== undefined && typeof body !== 'object')) {
      return [400, { success: false, error: 'Invalid JSON' }];
    }
    return handler(decodeURIComponent(found[1] ?? ''), body);
  }
  return [404, { error: 'Not found' }];
}

async function answer(request, response) {
  let status = 500;
  let body = { success: false, error: 'Server error' };
  try {
    [status, body] = await serve(request);
  } catch (error) {
    if (error instanceof URIError) [status, body] = [400, { success: false, error: 'Malformed session id' }];
    else if (error instanceof StoreError) status = 503;
    else log('request_failed', { error: error.message });
  }
  const isText = typeof body === 'string';
  response.writeHead(status, { 'Content-Type': isText ? 'text/plain; version=0.0.4' : 'application/json' });
  response.end(isText ? body : JSON.stringify(body));
}

// ---------------------------------------------------------------- start and stop

const server = http.createServer(
  {
    headersTimeout: settings.handshakeMs,
    requestTimeout: settings.handshakeMs,
    connectionsCheckingInterval: settings.handshakeMs / 10,
  },
  answer,
);
const webSockets = new WebSocketServer({
  noServer: true,
  maxPayload: MESSAGE_BYTES_MAX,
  perMessageDeflate: true,
  closeTimeout: settings.closeMs,
});

server.on('upgrade', (request, socket, head) => {
  const [path, ...query] = request.url.split('?');
  if (path !== '/ws/chat/') {
    socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    return;
  }
  webSockets.handleUpgrade(request, socket, head, (webSocket) => {
    admit(webSocket, new URLSearchParams(query.join('?')));
  });
});

function admit(socket, query) {
  // What the peer does wrong on the wire: ws answers it and closes, there is nothing left to do.
  socket.on('error', (error) => log('protocol_error', { error: error.message }));
  const session = query.get('session') || null;
  if (session !== null && [...session].length > SESSION_ID_CHARS_MAX) {
    socket.close(1008, 'session id too long');
    return;
  }
  new Connection(socket, session, query.get('redis_persistence')?.toLowerCase() === 'true').open();
}

async function stop(signal) {
  if (stopping) return;
  stopping = true;
  log('stopping', { signal, connections: connections.size });
  // Whatever holds on: this is how long it may.
  setTimeout(() => process.exit(1), settings.stopMs).unref();
  server.close(() => process.exit(0));
  await Promise.all(
    [...connections].map((connection) =>
      connection.leave(`server going away; retry after ${crypto.randomInt(3, 13)} s`),
    ),
  );
}

process.on('SIGTERM', stop);
process.on('SIGINT', stop);

server.listen(settings.port, settings.host, () => log('listening', { port: server.address().port }));
