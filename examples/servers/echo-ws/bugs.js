'use strict';

// Mistakes that servers like this one have had, one at a time: `with-bug.cjs` puts them in. `bugs.yaml` says what each
// breaks and which cases find it.

module.exports = {
  // What is answered

  'count-of-the-process': [
    {
      replace: `    if (this.#session === null) {
      this.#count += 1;`,
      by: `    if (this.#session === null) {
      Connection.counted = (Connection.counted ?? 0) + 1;
      this.#count = Connection.counted;`,
    },
  ],
  'answers-in-any-order': [
    {
      replace: `    this.#work = this.#work.then(async () => {
      try {`,
      by: `    this.#work = Promise.resolve().then(async () => {
      try {
        if (text.length > 4_096) await sleep(20);`,
    },
  ],
  'pings-are-understood': [
    {
      replace: `    counters.app_messages_total += 1;
    await this.#counted(text);`,
      by: `    counters.app_messages_total += 1;
    if (text === '{"type":"ping"}') return;
    await this.#counted(text);`,
    },
  ],
  'trimmed': [
    {
      replace: `isBinary ? utf8.decode(bytes) : bytes.toString();`,
      by: `isBinary ? utf8.decode(bytes) : bytes.toString().trim();`,
    },
  ],
  'a-mark-is-swallowed': [
    {
      replace: `new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });`,
      by: `new TextDecoder('utf-8', { fatal: true });`,
    },
  ],
  'empty-is-nothing': [
    {
      replace: `    counters.app_messages_total += 1;
    await this.#counted(text);`,
      by: `    counters.app_messages_total += 1;
    if (!text) return;
    await this.#counted(text);`,
    },
  ],

  // Sessions

  'resumes-one-later': [
    {
      replace: `      this.#count = count ?? 0;`,
      by: `      this.#count = count ?? 0;
      this.#isInStore = false;
      if (count !== null) this.#count += 1;`,
    },
  ],
  'sessions-by-prefix': [
    {
      replace: `  const session = query.get('session') || null;`,
      by: `  const session = query.get('session')?.slice(0, 36) || null;`,
    },
  ],
  'session-of-nobody': [
    {
      replace: `  const session = query.get('session') || null;`,
      by: `  const session = String(query.get('session') || undefined);`,
    },
  ],
  'any-persistence-is-true': [
    {
      replace: `query.get('redis_persistence')?.toLowerCase() === 'true'`,
      by: `Boolean(query.get('redis_persistence'))`,
    },
  ],
  'ttl-in-milliseconds': [
    {
      replace: `    session.expiresAt = Date.now() + settings.sessionTtlMs;`,
      by: `    session.expiresAt = Date.now() + settings.sessionTtlMs * 1000;`,
    },
  ],
  'ttl-from-the-first-write': [
    {
      replace: `    session.expiresAt = Date.now() + settings.sessionTtlMs;`,
      by: `    session.expiresAt ??= Date.now() + settings.sessionTtlMs;`,
    },
  ],
  'activity-in-milliseconds': [
    {
      replace: `    session.last_activity = Date.now() / 1000;`,
      by: `    session.last_activity = Date.now();`,
    },
  ],
  'deleted-but-remembered': [
    {
      replace: `    this.#sessions.delete(id);
    return known;`,
      by: `    if (known) this.#live(id).messages = [];
    return known;`,
    },
  ],
  'messages-of-everybody': [
    {
      replace: `    return this.#live(id)?.messages ?? [];`,
      by: `    return this.#live(id) ? [...this.#sessions.values()].flatMap(({ messages }) => messages) : [];`,
    },
  ],
  'answers-are-kept': [
    {
      replace: `      this.#unwritten.push({ content, timestamp, isSent: true, sessionId });`,
      by: `      this.#unwritten.push({ content, timestamp, isSent: true, sessionId });
      this.#unwritten.push({ content, timestamp, isSent: false, sessionId });`,
    },
  ],

  // What nobody asked for

  'heartbeat-as-a-number': [
    {
      replace: `this.send({ ts: String(Date.now()) })`,
      by: `this.send({ ts: Date.now() })`,
    },
  ],
  'heartbeat-in-seconds': [
    {
      replace: `this.send({ ts: String(Date.now()) })`,
      by: `this.send({ ts: String(Math.floor(Date.now() / 1000)) })`,
    },
  ],
  'only-the-first-heartbeat': [
    {
      replace: `    this.#heartbeat = setInterval(`,
      by: `    this.#heartbeat = setTimeout(`,
    },
  ],
  'broadcast-to-sessions': [
    {
      replace: `  for (const connection of connections) {
    connection.send(`,
      by: `  for (const connection of connections) {
    if (connection.hasSession) connection.send(`,
    },
    {
      replace: `  open() {
    connections.add(this);`,
      by: `  get hasSession() {
    return this.#session !== null;
  }

  open() {
    connections.add(this);`,
    },
  ],
  'unknown-levels-are-taken': [
    {
      replace: `  if (!LEVELS.includes(level)) {`,
      by: `  if (typeof level !== 'string') {`,
    },
  ],
  'bye-without-the-last': [
    {
      replace: `total: this.#count, message`,
      by: `total: Math.max(0, this.#count - 1), message`,
    },
  ],
};
