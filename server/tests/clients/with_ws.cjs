// npm `ws`, doing what each line of stdin says and telling on stdout what it saw.
"use strict";
const readline = require("node:readline");
const WebSocket = require("ws");

const sockets = new Map();

const saw = (name, event, more) => console.log(JSON.stringify({ name, saw: event, ...more }));

const acts = {
  open({ name, url }) {
    const socket = new WebSocket(url);
    sockets.set(name, socket);
    socket.on("open", () => saw(name, "opened", { extensions: socket.extensions }));
    socket.on("message", (data, isBinary) => saw(name, isBinary ? "bytes" : "text", { text: data.toString() }));
    socket.on("close", (code, reason) => saw(name, "closed", { code, reason: reason.toString() }));
    socket.on("error", (error) => saw(name, "failed", { why: error.message }));
  },
  // Whatever comes is an event from the beginning.
  listen: () => {},
  say: ({ name, text }) => sockets.get(name).send(text),
  say_bytes: ({ name, text }) => sockets.get(name).send(Buffer.from(text)),
  close: ({ name, code, reason }) => sockets.get(name).close(code, reason),
};

const lines = readline.createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const told = JSON.parse(line);
  acts[told.act](told);
});
lines.on("close", () => process.exit());
