#!/usr/bin/env node
// SPDX-License-Identifier: MIT
// A handler in JavaScript: writes a text as a title.
//
// workpool run jobs.jsonl --handler title='node examples/handlers/title.js'
// {"type": "title", "args": {"text": "war and peace"}}
const readline = require("readline");

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  let answer;
  try {
    const { args } = JSON.parse(line);
    answer = { value: args.text.replace(/\b\w/g, (letter) => letter.toUpperCase()) };
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
});
