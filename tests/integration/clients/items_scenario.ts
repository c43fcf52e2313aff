// As scenario.ts, for the example resource: versions, imports and exports.
import assert from "node:assert/strict";
import { createClient, data, edit, logIn, waitForJob } from "../src/index.ts";

const [baseUrl = "", email = "", password = ""] = process.argv.slice(2);
const api = createClient({ baseUrl });
await data(api.POST("/api/v1/auth/register", { body: { email, password } }));
await logIn(api, email, password);

const item = await data(api.POST("/api/v1/items", { body: { title: "Teapot" } }));
const path = { item_id: item.id };
let edits = 0;
const changed = await edit(
  () => api.GET("/api/v1/items/{item_id}", { params: { path } }),
  async (now, etag) => {
    // Somebody else is faster once.
    if (edits++ === 0) {
      const header = { "If-Match": etag };
      await data(api.PATCH("/api/v1/items/{item_id}", { params: { path, header }, body: { title: "Cup" } }));
    }
    return api.PATCH("/api/v1/items/{item_id}", {
      params: { path, header: { "If-Match": etag } },
      body: { title: `${now.title} and saucer` },
    });
  },
);
assert.equal(changed.title, "Cup and saucer");
assert.equal(edits, 2);

const job = await data(
  api.POST("/api/v1/items/imports", {
    headers: { "Content-Type": "text/csv" },
    body: "title,description\r\nKettle,\r\n",
    bodySerializer: (rows) => rows,
  }),
);
await waitForJob(api, job.id);
const rows = await data(api.GET("/api/v1/items/export", { params: { query: { format: "csv" } }, parseAs: "stream" }));
const decoder = new TextDecoder();
let text = "";
for await (const part of rows as ReadableStream<Uint8Array>) text += decoder.decode(part, { stream: true });
assert.match(text, /Kettle/);
assert.match(text, /Cup and saucer/);
console.log("all steps passed");
