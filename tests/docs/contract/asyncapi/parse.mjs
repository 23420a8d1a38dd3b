// Says what AsyncAPI's own parser makes of documents, as JSON: `node parse.mjs FILE...`, in the folder
// where the parser is installed.
//
// For each file: the diagnostics with their severity (0 is an error), and, when the parser accepts it,
// its channels, operations, and messages with their schemas, which have no references any more.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";

const { Parser } = createRequire(join(process.cwd(), "package.json"))("@asyncapi/parser");

const told = (message) => ({
  headers: message.headers()?.json(),
  payload: message.payload()?.json(),
  key: message.bindings().get("kafka")?.json().key,
  examples: message.examples().all().map((it) => ({ headers: it.headers(), payload: it.payload() })),
});

const ids = (collection) => collection.all().map((it) => it.id());

async function parsed(file) {
  const { document, diagnostics } = await new Parser().parse(await readFile(file, "utf-8"));
  return {
    diagnostics: diagnostics.map(({ severity, code, message, path }) => ({ severity, code, message, path: path.join(".") })),
    channels: document?.channels().all().map((it) => ({ address: it.address(), messages: ids(it.messages()) })),
    operations: document?.operations().all().map((it) => ({ action: it.action(), messages: ids(it.messages()) })),
    messages: document && Object.fromEntries(document.messages().all().map((it) => [it.id(), told(it)])),
  };
}

const result = {};
for (const file of process.argv.slice(2)) {
  result[file] = await parsed(file);
}
process.stdout.write(JSON.stringify(result));
