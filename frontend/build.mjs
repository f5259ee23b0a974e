// Builds the widgets into the Python package, a self-contained ES module
// and where need be a style sheet each: anywidget sends them to the browser as text, so a
// notebook needs no other file and no network.
import { build } from "esbuild";

const options = {
  absWorkingDir: import.meta.dirname,
  entryPoints: ["src/editor.js", "src/editor.css", "src/table.js", "src/table.css", "src/private.js"],
  outdir: "../workbench/widgets/static",
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "eof", // the licences of what is bundled stay with it
  logLevel: "warning",
};

// esbuild has said what is wrong by the time it gives up; a stack trace adds nothing.
build(options).catch(() => process.exit(1));
