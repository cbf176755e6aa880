'use strict';

// One-to-one chat: the dialect `direct`, over Express, ws and jsonwebtoken.
//
// From the top: settings, the store, who is connected, one connection, the messages it may send, the HTTP side, the debug
// hooks that a test bench needs, start and stop.

const crypto = require('node:crypto');
const http = require('node:http');
const { setTimeout: sleep } = require('node:timers/promises');
const { promisify } = require('node:util');
const express = require('express');
const jwt = require('jsonwebtoken');
const { WebSocket, WebSocketServer } = require('ws');

// ---------------------------------------------------------------- settings

const settings = {
  host: process.env.HOST ?? '127.0.0.1',
  port: Number(process.env.PORT ?? 3000),
  jwtSecret: process.env.JWT_SECRET,
  tokenLifetime: process.env.TOKEN_LIFETIME ?? '7d',
  heartbeatMs: Number(process.env.HEARTBEAT_MS ?? 30_000),
  handshakeMs: Number(process.env.HANDSHAKE_MS ?? 10_000),
  closeMs: Number(process.env.CLOSE_MS ?? 5_000),
  stopMs: Number(process.env.STOP_MS ?? 10_000),
  passwordCost: Number(process.env.PASSWORD_COST ?? 16_384),
  debugHooks: process.env.DEBUG_HOOKS === 'true',
};

const MESSAGE_BYTES_MAX = 65_536;
const CONTENT_CHARS_MAX = 5_000;
/** Of an unknown type, as an error repeats it. */
const TYPE_CHARS_MAX = 100;
/** Who leaves this much unread is not going to catch up, and memory is not endless. */
const UNREAD_BYTES_MAX = 1_048_576;
/** A call of the store that takes longer has failed. */
const STORE_DEADLINE_MS = 5_000;
const HISTORY_PAGE_DEFAULT = 50;
const HISTORY_PAGE_MAX = 100;

const MESSAGE_TYPES = ['text', 'image', 'file'];
const USER_ID = /^[0-9a-f]{24}$/;
const EMAIL = /^[^@\s]+@[^@\s]+$/;

if (!settings.jwtSecret) {
  console.error('JWT_SECRET is not set');
  process.exit(2);
}

const log = (event, fields = {}) => console.log(JSON.stringify({ at: new Date().toISOString(), event, ...fields }));

// ---------------------------------------------------------------- the store

/** What the store says when it cannot do what it was asked. */
class StoreError extends Error {}

/**
 * Users and messages, in memory. Its methods are as asynchronous as those of a database: none answers within the turn of
 * the event loop in which it was asked, so code that forgets to wait shows it here and not only in production.
 */
class MemoryStore {
  #users = new Map();
  #messages = [];
  #broken = { mode: 'down', until: 0 };

  /** For so long every call fails (`down`), or is answered at the end of that time (`slow`). */
  breakFor(mode, milliseconds) {
    this.#broken = { mode, until: Date.now() + milliseconds };
  }

  async #roundTrip() {
    await new Promise(setImmediate);
    const left = this.#broken.until - Date.now();
    if (left <= 0) return;
    if (this.#broken.mode === 'slow') await sleep(Math.min(left, STORE_DEADLINE_MS));
    if (this.#broken.mode === 'down' || left > STORE_DEADLINE_MS) throw new StoreError('the store is not available');
  }

  async addUser({ username, email, passwordHash }) {
    await this.#roundTrip();
    for (const user of this.#users.values()) {
      if (user.username === username || user.email === email) return null;
    }
    const user = { _id: objectId(), username, email, passwordHash, avatar: null, isOnline: false, lastSeen: null };
    this.#users.set(user._id, user);
    return user;
  }

  async userById(id) {
    await this.#roundTrip();
    return this.#users.get(id) ?? null;
  }

  async userByEmail(email) {
    await this.#roundTrip();
    return [...this.#users.values()].find((user) => user.email === email) ?? null;
  }

  async users() {
    await this.#roundTrip();
    return [...this.#users.values()];
  }

  async setOnline(id) {
    await this.#roundTrip();
    Object.assign(this.#users.get(id) ?? {}, { isOnline: true });
  }

  async setOffline(id) {
    await this.#roundTrip();
    Object.assign(this.#users.get(id) ?? {}, { isOnline: false, lastSeen: new Date().toISOString() });
  }

  async addMessage({ senderId, receiverId, content, messageType }) {
    await this.#roundTrip();
    const message = {
      _id: objectId(),
      senderId,
      receiverId,
      content,
      messageType,
      createdAt: new Date().toISOString(),
      isDelivered: false,
      deliveredAt: null,
      isRead: false,
      readAt: null,
    };
    this.#messages.push(message);
    return message;
  }

  async setDelivered(messageId) {
    await this.#roundTrip();
    const message = this.#messages.find(({ _id }) => _id === messageId);
    if (!message.isDelivered) Object.assign(message, { isDelivered: true, deliveredAt: new Date().toISOString() });
    return message.deliveredAt;
  }

  /** Messages of `senderId` that `readerId` had not read and now has; how many, and when. */
  async setRead(readerId, senderId) {
    await this.#roundTrip();
    const readAt = new Date().toISOString();
    const unread = this.#messages.filter(
      (message) => message.receiverId === readerId && message.senderId === senderId && !message.isRead,
    );
    for (const message of unread) {
      Object.assign(message, { isRead: true, readAt, isDelivered: true, deliveredAt: message.deliveredAt ?? readAt });
    }
    return { count: unread.length, readAt };
  }

  /** Page 1 is the newest; within a page the oldest comes first. */
  async history(oneId, otherId, page, limit) {
    await this.#roundTrip();
    const between = this.#messages.filter(
      ({ senderId, receiverId }) =>
        (senderId === oneId && receiverId === otherId) || (senderId === otherId && receiverId === oneId),
    );
    const end = between.length - (page - 1) * limit;
    return between.slice(Math.max(0, end - limit), Math.max(0, end));
  }

  async messagesOf(userId) {
    await this.#roundTrip();
    return this.#messages.filter(({ senderId, receiverId }) => senderId === userId || receiverId === userId);
  }

  async unreadCount(userId) {
    await this.#roundTrip();
    return this.#messages.filter(({ receiverId, isRead }) => receiverId === userId && !isRead).length;
  }
}

let lastObjectNumber = crypto.randomInt(0x1000000);

/** 24 hex digits: seconds, five random bytes, a counter. */
function objectId() {
  lastObjectNumber = (lastObjectNumber + 1) % 0x1000000;
  const seconds = Math.floor(Date.now() / 1000).toString(16).padStart(8, '0');
  return seconds + crypto.randomBytes(5).toString('hex') + lastObjectNumber.toString(16).padStart(6, '0');
}

const store = new MemoryStore();

// ---------------------------------------------------------------- who is connected

/** One connection per user, in the order in which they came: user id to {@link Connection}. */
const connectedClients = new Map();
let stopping = false;

function broadcast(type, data, exceptUserId) {
  const text = JSON.stringify({ type, data });
  for (const connection of connectedClients.values()) {
    if (connection.user._id !== exceptUserId) connection.sendText(text);
  }
}

function onlineUsers() {
  const users = [...connectedClients.values()].map(({ user }) => publicUser(user));
  return { users, totalOnline: users.length, timestamp: new Date().toISOString() };
}

const publicUser = ({ _id, username, avatar }) => ({ _id, username, avatar });
const ownUser = ({ _id, username, email, avatar }) => ({ _id, username, email, avatar });
const listedUser = ({ _id, username, avatar, isOnline, lastSeen }) => ({ _id, username, avatar, isOnline, lastSeen });

// ---------------------------------------------------------------- one connection

/** A refusal that the client is told by a close code. */
class Refusal extends Error {
  constructor(code, reason) {
    super(reason);
    this.code = code;
  }
}

/** Who presents this token; a {@link Refusal} if nobody may. */
async function authenticate(token) {
  if (!token) throw new Refusal(4001, 'Authentication required');
  const id = userIdOf(token);
  if (id === null) throw new Refusal(4002, 'Invalid token');
  let user;
  try {
    user = await store.userById(id);
  } catch (error) {
    log('store_failed', { while: 'authenticating', error: error.message });
    throw new Refusal(4004, 'Server error');
  }
  if (user === null) throw new Refusal(4003, 'User not found');
  return user;
}

/** The user's id that a valid token holds, or null. */
function userIdOf(token) {
  try {
    const claims = jwt.verify(token, settings.jwtSecret, { algorithms: ['HS256'] });
    const id = typeof claims.id === 'string' ? claims.id.toLowerCase() : '';
    return USER_ID.test(id) && typeof claims.exp === 'number' ? id : null;
  } catch {
    return null;
  }
}

class Connection {
  #socket;
  #greeted = false;
  #heartbeat = null;
  #answered = true;
  /** The work on its messages: one after the other, since each waits for the store. */
  #work = Promise.resolve();

  constructor(socket, user) {
    this.#socket = socket;
    this.user = user;
  }

  /** Takes the place of the user's older connection and greets; from here on messages are heard. */
  async open() {
    const { _id: userId, username } = this.user;
    const older = connectedClients.get(userId);
    older?.close(4005, 'New connection established');
    // Deleted first, so that the newest is last in the map.
    connectedClients.delete(userId);
    connectedClients.set(userId, this);
    this.#socket.on('close', () => this.#closed());
    await store.setOnline(userId).catch((error) => log('store_failed', { while: 'opening', error: error.message }));
    if (!this.#isUpgraded()) return;
    this.#greeted = true;
    this.send('connection_established', { userId, username });
    this.send('online_users', onlineUsers());
    if (older === undefined) broadcast('user_online', { userId, username }, userId);
    this.#socket.on('message', (bytes, isBinary) => this.#hear(bytes, isBinary));
    this.#socket.on('pong', () => (this.#answered = true));
    this.#heartbeat = setInterval(() => this.#beat(), settings.heartbeatMs);
  }

  send(type, data) {
    this.sendText(JSON.stringify({ type, data }));
  }

  sendText(text) {
    if (!this.isOpen()) return;
    if (this.#socket.bufferedAmount > UNREAD_BYTES_MAX) {
      this.close(1008, 'slow consumer');
      return;
    }
    this.#socket.send(text);
  }

  sendError(message) {
    this.send('error', { message, timestamp: new Date().toISOString() });
  }

  /** Whether what is sent now comes after the greeting and before the close. */
  isOpen() {
    return this.#greeted && this.#isUpgraded();
  }

  #isUpgraded() {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  close(code, reason) {
    clearInterval(this.#heartbeat);
    this.#socket.close(code, reason);
  }

  /** All messages that have arrived are dealt with. */
  settled() {
    return this.#work;
  }

  #beat() {
    if (!this.#answered) {
      log('terminated', { userId: this.user._id });
      this.#socket.terminate();
      return;
    }
    this.#answered = false;
    this.#socket.ping();
  }

  #hear(bytes, isBinary) {
    if (isBinary) {
      this.close(1003, 'text messages only');
      return;
    }
    this.#work = this.#work.then(async () => {
      try {
        await handleMessage(this, bytes.toString());
      } catch (error) {
        log('message_failed', { userId: this.user._id, error: error.message });
        if (error instanceof StoreError) this.sendError('Server error');
        else this.close(1011, 'internal error');
      }
    });
  }

  async #closed() {
    clearInterval(this.#heartbeat);
    const { _id: userId, username } = this.user;
    // Of one that was replaced nobody hears: its user is still here.
    if (connectedClients.get(userId) !== this) return;
    connectedClients.delete(userId);
    await store.setOffline(userId).catch((error) => log('store_failed', { while: 'closing', error: error.message }));
    if (stopping) return;
    // He may have come back while the store was busy.
    if (connectedClients.has(userId)) {
      await store.setOnline(userId);
      return;
    }
    broadcast('user_offline', { userId, username });
    broadcast('online_users', onlineUsers());
  }
}

// ---------------------------------------------------------------- messages

const handlers = {
  chat_message: handleChatMessage,
  typing_start: (connection, data) => handleTyping(connection, data, true),
  typing_stop: (connection, data) => handleTyping(connection, data, false),
  mark_read: handleMarkRead,
  get_online_users: (connection) => connection.send('online_users', onlineUsers()),
};

async function handleMessage(connection, text) {
  if (debug.handlerFailures > 0) {
    debug.handlerFailures -= 1;
    throw new Error('a failure on request');
  }
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    message = null;
  }
  if (typeof message?.type !== 'string') {
    connection.sendError('Invalid message format. Please send valid JSON.');
    return;
  }
  const { type } = message;
  if (!Object.hasOwn(handlers, type)) {
    connection.sendError(`Unknown message type: ${[...type].slice(0, TYPE_CHARS_MAX).join('')}`);
    return;
  }
  const data = isObject(message.data) ? message.data : {};
  await handlers[type](connection, data);
}

const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const isText = (value) => typeof value === 'string' && value !== '';

async function handleChatMessage(connection, { receiverId, content, messageType }) {
  const problem = chatMessageProblem(connection.user, receiverId, content, messageType);
  if (problem) {
    connection.sendError(problem);
    return;
  }
  await sendChatMessage(connection.user, receiverId.toLowerCase(), content, messageType ?? 'text');
}

function chatMessageProblem(sender, receiverId, content, messageType) {
  const invalid = 'Message validation failed. Content may be too long or invalid.';
  if (!isText(receiverId) || !isText(content)) return 'Missing required fields: receiverId and content';
  if (!USER_ID.test(receiverId.toLowerCase())) return invalid;
  if (receiverId.toLowerCase() === sender._id) return 'Cannot send message to yourself';
  if (content.trim() === '' || [...content].length > CONTENT_CHARS_MAX || content.includes('\0')) return invalid;
  if ((messageType ?? null) !== null && !MESSAGE_TYPES.includes(messageType)) return invalid;
  return null;
}

/** Stored, confirmed, handed over, confirmed again, in this order. */
async function sendChatMessage(sender, receiverId, content, messageType) {
  const message = await store.addMessage({ senderId: sender._id, receiverId, content, messageType });
  const { _id: messageId, createdAt } = message;
  const tellSender = (type, data) => connectedClients.get(sender._id)?.send(type, data);
  tellSender('message_sent', { messageId, receiverId, content, createdAt, status: 'sent' });
  const receiver = connectedClients.get(receiverId);
  if (!receiver?.isOpen()) return;
  receiver.send('new_message', {
    messageId,
    senderId: sender._id,
    senderUsername: sender.username,
    content,
    messageType,
    createdAt,
  });
  const deliveredAt = await store.setDelivered(messageId);
  tellSender('message_delivered', { messageId, deliveredAt });
}

function handleTyping(connection, { receiverId }, isTyping) {
  if (!isText(receiverId)) {
    connection.sendError('Missing required field: receiverId');
    return;
  }
  const { _id: userId, username } = connection.user;
  const receiver = receiverId.toLowerCase();
  if (receiver === userId) return;
  connectedClients.get(receiver)?.send('typing_indicator', { userId, username, isTyping });
}

async function handleMarkRead(connection, { senderId }) {
  if (!isText(senderId)) {
    connection.sendError('Missing required field: senderId');
    return;
  }
  const markedCount = await markRead(connection.user, senderId.toLowerCase());
  connection.send('mark_read_success', { senderId: senderId.toLowerCase(), markedCount });
}

async function markRead(reader, senderId) {
  const { count, readAt } = await store.setRead(reader._id, senderId);
  if (count > 0) {
    const read = { readBy: reader._id, readByUsername: reader.username, readAt };
    connectedClients.get(senderId)?.send('messages_read', read);
  }
  return count;
}

// ---------------------------------------------------------------- HTTP

const scrypt = promisify(crypto.scrypt);

async function hashPassword(password, salt = crypto.randomBytes(16)) {
  const key = await scrypt(password, salt, 32, { N: settings.passwordCost });
  return `${salt.toString('hex')}:${key.toString('hex')}`;
}

async function isPassword(password, hash) {
  const again = await hashPassword(password, Buffer.from(hash.split(':')[0], 'hex'));
  return crypto.timingSafeEqual(Buffer.from(again), Buffer.from(hash));
}

const ok = (response, data, status = 200) => response.status(status).json({ success: true, data });
const fail = (response, status, message) => response.status(status).json({ success: false, message });

async function requireUser(request, response, next) {
  const [scheme, token] = (request.get('authorization') ?? '').split(' ');
  const id = scheme === 'Bearer' && token ? userIdOf(token) : null;
  request.user = id && (await store.userById(id));
  if (request.user) next();
  else fail(response, 401, 'Not authorized');
}

const signedIn = (user) => ({
  token: jwt.sign({ id: user._id }, settings.jwtSecret, { expiresIn: settings.tokenLifetime }),
  user: ownUser(user),
});

const app = express();
app.disable('x-powered-by');
app.use(express.json({ limit: '64kb' }));
app.get('/healthz', (request, response) => ok(response, { status: stopping ? 'stopping' : 'up' }));
app.get('/ws', (request, response) => fail(response, 400, 'This is a WebSocket endpoint'));

app.post('/api/auth/register', async (request, response) => {
  const { username, email, password } = request.body ?? {};
  if (![username, email, password].every(isText) || !EMAIL.test(email)) {
    return fail(response, 400, 'username, email and password are required');
  }
  const user = await store.addUser({ username, email, passwordHash: await hashPassword(password) });
  if (user === null) return fail(response, 409, 'User already exists');
  ok(response, signedIn(user), 201);
});

app.post('/api/auth/login', async (request, response) => {
  const { email, password } = request.body ?? {};
  if (![email, password].every(isText)) return fail(response, 400, 'email and password are required');
  const user = await store.userByEmail(email);
  if (user === null || !(await isPassword(password, user.passwordHash))) {
    return fail(response, 401, 'Invalid email or password');
  }
  ok(response, signedIn(user));
});

app.get('/api/auth/me', requireUser, (request, response) => ok(response, { user: ownUser(request.user) }));

app.get('/api/users', requireUser, async (request, response) => {
  ok(response, { users: (await store.users()).map(listedUser) });
});

app.get('/api/users/online', requireUser, async (request, response) => {
  ok(response, { users: (await store.users()).filter((user) => user.isOnline).map(listedUser) });
});

app.get('/api/messages/conversations', requireUser, async (request, response) => {
  const me = request.user._id;
  const conversations = new Map();
  for (const message of await store.messagesOf(me)) {
    const other = message.senderId === me ? message.receiverId : message.senderId;
    const unread = (conversations.get(other)?.unreadCount ?? 0) + (message.receiverId === me && !message.isRead ? 1 : 0);
    // Deleted first, so that the latest is last in the map.
    conversations.delete(other);
    conversations.set(other, { userId: other, lastMessage: message, unreadCount: unread });
  }
  ok(response, { conversations: [...conversations.values()].reverse() });
});

app.get('/api/messages/unread/count', requireUser, async (request, response) => {
  ok(response, { unreadCount: await store.unreadCount(request.user._id) });
});

app.get('/api/messages/:userId', requireUser, async (request, response) => {
  const page = Number(request.query.page ?? 1);
  const limit = Math.min(Number(request.query.limit ?? HISTORY_PAGE_DEFAULT), HISTORY_PAGE_MAX);
  const otherId = request.params.userId.toLowerCase();
  if (![page, limit].every((number) => Number.isInteger(number) && number > 0) || !USER_ID.test(otherId)) {
    return fail(response, 400, 'userId is no id, or page or limit is no positive number');
  }
  ok(response, { messages: await store.history(request.user._id, otherId, page, limit), page, limit });
});

app.put('/api/messages/read/:userId', requireUser, async (request, response) => {
  ok(response, { modifiedCount: await markRead(request.user, request.params.userId.toLowerCase()) });
});

// ---------------------------------------------------------------- debug hooks

/** What a test bench asks for that no user may: off unless DEBUG_HOOKS is `true`. */
const debug = { handlerFailures: 0 };

if (settings.debugHooks) {
  app.post('/debug/store', (request, response) => {
    store.breakFor(request.body.mode, Number(request.body.seconds) * 1000);
    ok(response, {});
  });
  app.post('/debug/handler', (request, response) => {
    debug.handlerFailures = Number(request.body.times);
    ok(response, {});
  });
  app.post('/debug/message', async (request, response) => {
    const { senderId, content, messageType } = request.body.data;
    const sender = await store.userById(senderId);
    if (sender === null) return fail(response, 404, 'No such sender');
    await sendChatMessage(sender, request.body.to, content, messageType ?? 'text');
    ok(response, {});
  });
}

app.use((request, response) => fail(response, 404, 'Not found'));
app.use((error, request, response, next) => {
  if (response.headersSent) return next(error);
  if (!error.status) log('request_failed', { path: request.path, error: error.message });
  fail(response, error.status ?? 500, error.status ? error.message : 'Server error');
});

// ---------------------------------------------------------------- start and stop

const server = http.createServer(
  {
    headersTimeout: settings.handshakeMs,
    requestTimeout: settings.handshakeMs,
    connectionsCheckingInterval: settings.handshakeMs / 10,
  },
  app,
);
const webSockets = new WebSocketServer({
  noServer: true,
  maxPayload: MESSAGE_BYTES_MAX,
  perMessageDeflate: true,
  closeTimeout: settings.closeMs,
});

server.on('upgrade', (request, socket, head) => {
  const [path, ...query] = request.url.split('?');
  if (path !== '/ws') {
    socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    return;
  }
  webSockets.handleUpgrade(request, socket, head, (webSocket) => {
    admit(webSocket, new URLSearchParams(query.join('?')).get('token'));
  });
});

async function admit(socket, token) {
  // What the peer does wrong on the wire: ws answers it and closes, there is nothing left to do.
  socket.on('error', (error) => log('protocol_error', { error: error.message }));
  // What arrives before the greeting waits in the socket, and is answered after it.
  socket.pause();
  try {
    await new Connection(socket, await authenticate(token)).open();
  } catch (error) {
    if (error instanceof Refusal) socket.close(error.code, error.message);
    else socket.close(1011, 'internal error');
  }
  socket.resume();
}

async function stop(signal) {
  if (stopping) return;
  stopping = true;
  log('stopping', { signal, connections: connectedClients.size });
  // Whatever holds on: this is how long it may.
  setTimeout(() => process.exit(1), settings.stopMs).unref();
  server.close(() => process.exit(0));
  const connections = [...connectedClients.values()];
  await Promise.all(connections.map((connection) => connection.settled()));
  for (const connection of connections) {
    connection.close(1001, `server going away; retry after ${crypto.randomInt(3, 13)} s`);
  }
}

process.on('SIGTERM', stop);
process.on('SIGINT', stop);

server.listen(settings.port, settings.host, () => log('listening', { port: server.address().port }));
