// Build each widget into the Python package: one self-contained ES module, and a style sheet if it has one.
// anywidget sends them to the browser as text, so a notebook needs no other file and no network.
import { build } from "esbuild";

const options = {
  absWorkingDir: import.meta.dirname,
  entryPoints: ["src/editor.js", "src/editor.css", "src/table.js", "src/table.css", "src/private.js", "src/frame.js"],
  outdir: "../workbench/widgets/static",
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "eof", // keep the licences of the bundled packages
  logLevel: "warning",
};

// esbuild has already printed what is wrong; a stack trace adds nothing.
build(options).catch(() => process.exit(1));
