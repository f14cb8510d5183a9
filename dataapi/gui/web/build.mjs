// Bundles the page into ../dist, which gui.go embeds: index.html and one
// script and one style sheet whose names carry their hash. All are gzipped
// here, so that the daemon never compresses.
import { build } from "esbuild";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";

const here = import.meta.dirname;
const dist = join(here, "..", "dist");

await mkdir(dist, { recursive: true });
for (const name of await readdir(dist)) {
  if (name !== ".gitignore") await rm(join(dist, name), { recursive: true });
}

const result = await build({
  entryPoints: [join(here, "src", "main.tsx")],
  entryNames: "[name]-[hash]",
  outdir: dist,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  write: false,
});

const files = new Map(result.outputFiles.map((f) => [basename(f.path), f.contents]));
const name = (ending) => [...files.keys()].find((n) => n.endsWith(ending));
const page = (await readFile(join(here, "src", "index.html"), "utf8"))
  .replace("main.js", name(".js"))
  .replace("main.css", name(".css"));
files.set("index.html", Buffer.from(page));
files.set("icon.svg", await readFile(join(here, "src", "icon.svg")));

let total = 0;
for (const [file, contents] of files) {
  const packed = gzipSync(contents, { level: 9, mtime: 0 });
  total += packed.length;
  await writeFile(join(dist, file + ".gz"), packed);
}
console.log(`gui: ${files.size} files, ${(total / 1024).toFixed(1)} KiB compressed`);
