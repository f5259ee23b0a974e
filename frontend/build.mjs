// Build each widget into the Python package: one self-contained ES module, and a style sheet if it has one.
// anywidget sends them to the browser as text, so a notebook needs no other file and no network.
import { appendFile, readdir, readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { build } from "esbuild";

const options = {
  absWorkingDir: import.meta.dirname,
  entryPoints: [
    "src/editor.js",
    "src/editor.css",
    "src/frame.js",
    "src/merge.js",
    "src/merge.css",
    "src/private.js",
    "src/stage.js",
    "src/stage.css",
    "src/table.js",
    "src/table.css",
  ],
  outdir: "../workbench/widgets/static",
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none", // the packages have none; their licences are appended whole
  logLevel: "warning",
  metafile: true, // lists the files that each bundle is made of
};

/** The names of the packages whose code is in an output. */
function bundledPackages({ inputs }) {
  const used = Object.entries(inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0);
  const found = used.map(([path]) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]);
  return [...new Set(found)].filter(Boolean).sort();
}

/** The licence of a package: its `LICENSE` file, which each package in a bundle must have. */
async function licenceOf(name) {
  const folder = resolve(import.meta.dirname, "node_modules", name);
  const file = (await readdir(folder)).find((each) => /^licen[cs]e(\.(md|txt))?$/i.test(each));
  if (!file) throw new Error(`${name} is bundled and has no licence file`);
  const { version } = JSON.parse(await readFile(resolve(folder, "package.json"), "utf8"));
  return { title: `${name} ${version}`, text: (await readFile(resolve(folder, file), "utf8")).trim() };
}

/** One comment with the licence of every package; a text that several packages share is written once. */
async function notice(names) {
  const titles = {};
  for (const { title, text } of await Promise.all(names.map(licenceOf))) (titles[text] ??= []).push(title);
  const parts = Object.entries(titles).map(([text, same]) => `${same.join(", ")}\n\n${text}`);
  const all = parts.join(`\n\n${"-".repeat(72)}\n\n`).replaceAll("*/", "* /");
  return `\n/*! This file contains code of other projects, under these licences:\n\n${all}\n*/\n`;
}

const { metafile } = await build(options).catch(() => process.exit(1)); // esbuild has already printed what is wrong
for (const [path, output] of Object.entries(metafile.outputs)) {
  const names = bundledPackages(output);
  if (names.length) await appendFile(resolve(import.meta.dirname, path), await notice(names));
}
