'use strict';

// Breaks a server on purpose: with BUG=name, `server.js` is read with the edits that `bugs.js` beside it has under that
// name. An edit replaces a text that occurs once, so that a bug cannot lose its place unnoticed.
//
//     BUG=page-off-by-one node --require ./examples/servers/with-bug.cjs examples/servers/direct-express/server.js

const fs = require('node:fs');
const Module = require('node:module');
const path = require('node:path');

const name = process.env.BUG;
const load = Module._extensions['.js'];

if (name) {
  Module._extensions['.js'] = (module, file) => {
    if (path.basename(file) !== 'server.js' || file !== process.argv[1]) return load(module, file);
    module._compile(broken(file), file);
  };
}

function broken(file) {
  const bugs = require(path.join(path.dirname(file), 'bugs.js'));
  if (!Object.hasOwn(bugs, name)) {
    throw new Error(`BUG is '${name}', and there is none of that name: ${Object.keys(bugs).join(', ')}`);
  }
  let source = fs.readFileSync(file, 'utf8');
  for (const { replace, by } of bugs[name]) {
    const parts = source.split(replace);
    if (parts.length !== 2) throw new Error(`${name}: occurs ${parts.length - 1} times: ${replace}`);
    source = parts.join(by);
  }
  return source;
}
