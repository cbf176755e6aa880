'use strict';

// Mistakes that servers like this one have had, one at a time: `with-bug.cjs` puts them in. `bugs.yaml` says what each
// breaks and which cases find it.

module.exports = {
  // Who is let in

  'early-messages-are-dropped': [
    {
      replace: `  socket.pause();
`,
      by: '',
    },
  ],
  'expiry-in-milliseconds': [
    {
      replace: `jwt.verify(token, settings.jwtSecret, { algorithms: ['HS256'] })`,
      by: `jwt.verify(token, settings.jwtSecret, { algorithms: ['HS256'], ignoreExpiration: true });
    if (claims.exp * 1000 < Date.now() / 1000) return null`,
    },
  ],
  'reason-with-the-token': [
    {
      replace: `  if (id === null) throw new Refusal(4002, 'Invalid token');`,
      by: `  if (id === null) throw new Refusal(4002, \`Invalid token \${token}\`);`,
    },
  ],

  // Who is there

  'heartbeat-of-the-user': [
    {
      replace: `    this.#heartbeat = setInterval(() => this.#beat(), settings.heartbeatMs);`,
      by: `    heartbeats.set(this.user._id, setInterval(() => this.#beat(), settings.heartbeatMs));`,
    },
    {
      replace: `  async #closed() {
    clearInterval(this.#heartbeat);`,
      by: `  async #closed() {
    clearInterval(heartbeats.get(this.user._id));`,
    },
    {
      replace: `let stopping = false;`,
      by: `let stopping = false;
const heartbeats = new Map();`,
    },
  ],
  'nobody-leaves-after-a-takeover': [
    {
      replace: `    older?.close(4005, 'New connection established');`,
      by: `    older?.close(4005, 'New connection established');
    if (older) this.user.replaced = true;`,
    },
    {
      replace: `    if (connectedClients.get(userId) !== this) return;`,
      by: `    if (this.user.replaced) return;`,
    },
  ],
  'listed-after-leaving': [
    {
      replace: `    connectedClients.delete(userId);
    await store.setOffline`,
      by: `    const left = onlineUsers();
    connectedClients.delete(userId);
    await store.setOffline`,
    },
    {
      replace: `    broadcast('user_offline', { userId, username });
    broadcast('online_users', onlineUsers());`,
      by: `    broadcast('user_offline', { userId, username });
    broadcast('online_users', left);`,
    },
  ],
  'answers-everybody': [
    {
      replace: `(connection) => connection.send('online_users', onlineUsers())`,
      by: `() => broadcast('online_users', onlineUsers())`,
    },
  ],
  'typing-is-remembered': [
    {
      replace: `let stopping = false;`,
      by: `let stopping = false;
const typing = new Map();`,
    },
    {
      replace: `  if (receiver === userId) return;`,
      by: `  if (receiver === userId) return;
  if (isTyping) typing.set(receiver, { userId, username, isTyping });
  else typing.delete(receiver);`,
    },
    {
      replace: `    this.send('online_users', onlineUsers());
    if`,
      by: `    this.send('online_users', onlineUsers());
    if (typing.has(userId)) this.send('typing_indicator', typing.get(userId));
    if`,
    },
  ],
  'no-error-listener': [
    {
      replace: `  socket.on('error', (error) => log('protocol_error', { error: error.message }));
`,
      by: '',
    },
  ],

  // What is said

  'sender-in-a-global': [
    {
      replace: `/** Stored, confirmed, handed over, confirmed again, in this order. */
async function sendChatMessage(sender, receiverId, content, messageType) {`,
      by: `let sender;
async function sendChatMessage(from, receiverId, content, messageType) {
  sender = from;`,
    },
  ],
  'large-ones-are-overtaken': [
    {
      replace: `    this.#work = this.#work.then(async () => {
      try {`,
      by: `    this.#work = Promise.resolve().then(async () => {
      try {
        if (bytes.length > 2_048) await sleep(20);`,
    },
  ],
  'ids-by-the-millisecond': [
    {
      replace: `    const message = {
      _id: objectId(),`,
      by: `    const message = {
      _id: Date.now().toString(16).padStart(24, '0'),`,
    },
  ],
  'delivered-in-1970': [
    {
      replace: `{ isDelivered: true, deliveredAt: new Date().toISOString() }`,
      by: `{ isDelivered: true, deliveredAt: new Date(Math.floor(Date.now() / 1000)).toISOString() }`,
    },
  ],
  'delivered-when-stored': [
    {
      replace: `      isDelivered: false,
      deliveredAt: null,
      isRead`,
      by: `      isDelivered: true,
      deliveredAt: new Date().toISOString(),
      isRead`,
    },
  ],
  'read-in-both-directions': [
    {
      replace: `      (message) => message.receiverId === readerId && message.senderId === senderId && !message.isRead,`,
      by: `      ({ receiverId, senderId: from, isRead }) =>
        !isRead && ((receiverId === readerId && from === senderId) || (receiverId === senderId && from === readerId)),`,
    },
  ],
  'length-in-utf-16': [
    {
      replace: `[...content].length > CONTENT_CHARS_MAX`,
      by: `content.length > CONTENT_CHARS_MAX`,
    },
  ],
  'type-by-a-regex': [
    {
      replace: `  const { type } = message;`,
      by: `  const type = /"type"\\s*:\\s*"([^"]*)"/.exec(text)?.[1] ?? message.type;`,
    },
  ],
  'types-of-the-prototype': [
    {
      replace: `!Object.hasOwn(handlers, type)`,
      by: `!handlers[type]`,
    },
  ],
  'null-is-an-object': [
    {
      replace: `typeof message?.type !== 'string'`,
      by: `typeof message.type !== 'string'`,
    },
    {
      replace: `    message = null;
`,
      by: `    message = {};
`,
    },
  ],

  // What is asked for over HTTP

  'page-off-by-one': [
    {
      replace: `between.length - (page - 1) * limit`,
      by: `between.length - (page - 1) * (limit - 1)`,
    },
  ],
  'unread-means-undelivered': [
    {
      replace: `this.#messages.filter(({ receiverId, isRead }) => receiverId === userId && !isRead)`,
      by: `this.#messages.filter(({ receiverId, isDelivered }) => receiverId === userId && !isDelivered)`,
    },
  ],
  'names-by-a-regex': [
    {
      replace: `user.username === username || user.email === email`,
      by: `new RegExp(username, 'i').test(user.username) || user.email === email`,
    },
  ],
};
