// fhir-kit-client's part of test_fhir_kit_client.py: `node kit.mjs PACKAGE BASE_URL ID`, and what happened as JSON.
// The package is given by its place, because Node looks for packages beside the script and it is not kept there.
import { pathToFileURL } from "node:url";

const [place, baseUrl, id] = process.argv.slice(2);
const { Client } = await import(pathToFileURL(place));
const client = new Client({ baseUrl });

async function update(resource, headers) {
  try {
    const answer = await client.update({ resourceType: "Flag", id, body: resource, options: { headers } });
    return { status: Client.httpFor(answer).response.status, version: answer.meta?.versionId ?? null };
  } catch (error) {
    return { status: error.response?.status ?? String(error), issue: error.response?.data?.issue?.[0] ?? null };
  }
}

const read = await client.read({ resourceType: "Flag", id });
const etag = Client.httpFor(read).response.headers.get("etag");
const edited = { ...read, status: "inactive" };
const steps = {
  read: read.code.text,
  etag,
  alone: await update(edited, {}),
  guarded: await update(edited, { "If-Match": etag, Prefer: "return=representation" }),
  stale: await update({ ...edited, status: "entered-in-error" }, { "If-Match": etag }),
};
console.log(JSON.stringify(steps));
