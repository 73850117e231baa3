// The house rules, for the files of the pages: short files and functions, nothing from elsewhere, and never text as HTML.

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { claim } from './stage.mjs';

const FOLDER = fileURLToPath(new URL('../../src/server/ui/', import.meta.url));
const LONGEST_FILE = 500;
const LONGEST_FUNCTION = 60;
/** Ways to make a page of a text, or a program. */
const FORBIDDEN =
  /innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|srcdoc|\beval\(|new Function|javascript:/;

function files() {
  return readdirSync(FOLDER)
    .filter((name) => /\.(html|css|js|svg)$/.test(name))
    .map((name) => ({ name, text: readFileSync(FOLDER + name, 'utf8') }));
}

/** The functions of a file that begin in its first column, or are methods, with their lengths. */
function functions(text) {
  const found = [];
  let begun = null;
  text.split('\n').forEach((line, number) => {
    const start = /^( {0,2})(?:export )?(?:async )?(?:function |#?\w+\(.*\) \{$)/.exec(line);
    if (start && !/^ *(if|for|while|switch)\b/.test(line)) begun = { line, number, end: `${start[1]}}` };
    else if (begun && line === begun.end) {
      found.push({ name: begun.line.trim(), lines: number - begun.number + 1 });
      begun = null;
    }
  });
  return found;
}

export function files_and_functions_are_short() {
  const all = files();
  claim(all.length > 20, `there are ${all.length} files`);
  for (const { name, text } of all) {
    const lines = text.split('\n').length;
    claim(lines < LONGEST_FILE, `${name} has ${lines} lines`);
    if (!name.endsWith('.js')) continue;
    const long = functions(text).filter((one) => one.lines > LONGEST_FUNCTION);
    claim(long.length === 0, `${name}: ${JSON.stringify(long)}`);
  }
}

export function text_is_never_taken_for_html_and_nothing_comes_from_elsewhere() {
  for (const { name, text } of files()) {
    claim(!FORBIDDEN.test(text), `${name} has ${FORBIDDEN.exec(text)?.[0]}`);
    const foreign = [...text.matchAll(/https?:\/\/[^\s'"`)]+|url\(/g)].map(([address]) => address);
    const rest = foreign.filter((address) => !address.startsWith('http://www.w3.org/'));
    claim(rest.length === 0, `${name} names ${rest}`);
    claim(name !== 'index.html' || !/<style| style=|<script>| on\w+=/.test(text), 'the page has nothing inline');
  }
}

export function every_file_is_used_and_served() {
  const all = files();
  const words = all.map(({ text }) => text).join('\n');
  const served = existsSync(`${FOLDER}mod.rs`) ? readFileSync(`${FOLDER}mod.rs`, 'utf8') : null;
  for (const { name } of all) {
    const preloaded =
      !name.endsWith('.js') || all.find((one) => one.name === 'index.html').text.includes(`"/ui/${name}"`);
    claim(preloaded, `${name} is named by the page, so that it is not found late`);
    const imported = words.includes(`'./${name}'`) || ['app.js', 'early.js'].includes(name);
    const used = name.endsWith('.js') ? imported : name === 'index.html' || words.includes(`/ui/${name}`);
    claim(used, `${name} is used`);
    claim(served === null || served.includes(`"${name}"`), `${name} is among the files that the server has`);
  }
}
