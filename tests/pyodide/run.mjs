// Runs a Python file under Pyodide: `node run.mjs PYODIDE SCRIPT FOLDER…`. The folders become `sys.path`.

import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [pyodide, script, ...folders] = process.argv.slice(2);
const { loadPyodide } = await import(pathToFileURL(pyodide));
const python = await loadPyodide({ env: { HOME: "/home/pyodide", PYTHONDONTWRITEBYTECODE: "1" } });

const path = folders.map((root, number) => {
  const at = `/folder-${number}`;
  python.FS.mkdirTree(at);
  python.FS.mount(python.FS.filesystems.NODEFS, { root }, at);
  return at;
});
python.globals.set("folders", python.toPy(path));
python.runPython("import sys; sys.path[:0] = folders");
python.runPython(readFileSync(script, "utf8"), { filename: script });
process.exit(0); // a timer of its event loop would keep Node running
