// Calls the real service by the TypeScript client: `node scenario.ts URL E-MAIL PASSWORD`. It is type-checked as well.
import assert from "node:assert/strict";
import {
  ApiError,
  type Tokens,
  createClient,
  data,
  items,
  logIn,
  pages,
  retryAfter,
  waitForJob,
} from "../src/index.ts";

const [baseUrl = "", email = "", password = ""] = process.argv.slice(2);
const sent: Request[] = [];
const faults: (Response | Error | undefined)[] = [];
let cuts = 0;

/** The network: it may fail after a request took effect, and cuts streams of events. */
async function network(request: Request): Promise<Response> {
  sent.push(request);
  const response = await fetch(request);
  const fault = faults.shift();
  if (fault instanceof Error) throw fault;
  if (fault !== undefined) return fault;
  if (cuts > 0 && request.url.endsWith("/events") && response.body !== null) {
    cuts -= 1;
    return new Response(response.body.pipeThrough(oneEvent()), response);
  }
  return response;
}

function oneEvent(): TransformStream<Uint8Array, Uint8Array> {
  return new TransformStream({
    transform(chunk, controller) {
      controller.enqueue(chunk);
      controller.error(new Error("cut"));
    },
  });
}

const stored: Tokens[] = [];
const api = createClient({
  baseUrl,
  fetch: network,
  retries: { first: 0.01 },
  onTokens: (tokens) => stored.push(tokens),
});
await data(api.POST("/api/v1/auth/register", { body: { email, password } }));
await logIn(api, email, password);
assert.equal((await data(api.GET("/api/v1/users/me"))).email, email);

// Expired tokens are refreshed once, however many requests wait for it.
api.session.tokens = { access: "expired", refresh: stored.at(-1)?.refresh ?? "" };
sent.length = 0;
await Promise.all([1, 2, 3].map(() => data(api.GET("/api/v1/users/me"))));
assert.equal(sent.filter((request) => request.url.endsWith("/auth/refresh")).length, 1);
assert.equal(stored.length, 2);

// A lost reply takes effect once.
sent.length = 0;
faults.push(new TypeError("lost"));
const job = await data(api.POST("/api/v1/jobs/word-count", { body: { text: "one fish two fish" } }));
const keys = sent.map((request) => request.headers.get("Idempotency-Key"));
assert.equal(keys.length, 2);
assert.ok(keys[0]);
assert.equal(keys[0], keys[1]);

// What cannot be repeated is not.
sent.length = 0;
faults.push(new TypeError("lost"));
await assert.rejects(data(api.PATCH("/api/v1/users/me", { body: { display_name: "Ada" } })), /lost/);
assert.equal(sent.length, 1);

// Retry-After is honoured, and not if it is longer than a caller waits.
const limited = (after: string) => new Response("{}", { status: 429, headers: { "Retry-After": after } });
faults.push(limited("0"));
await data(api.GET("/api/v1/users/me"));
faults.push(limited("3600"));
await assert.rejects(data(api.GET("/api/v1/users/me")), { status: 429 });
assert.equal(retryAfter(limited("7")), 7);

// Problem documents are errors with a type.
await assert.rejects(
  data(api.GET("/api/v1/jobs/{job_id}", { params: { path: { job_id: "0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55" } } })),
  (error: unknown) => error instanceof ApiError && error.code === "not-found" && error.problem?.status === 404,
);

// A job is followed across broken streams.
cuts = 2;
const done = await waitForJob(api, job.id);
assert.deepEqual(done.result?.["words"], 4);

// Pages follow each other.
for (let number = 0; number < 2; number++) {
  await data(api.POST("/api/v1/jobs/word-count", { body: { text: `text ${number}` } }));
}
const listed = (at: { cursor?: string }) => api.GET("/api/v1/jobs", { params: { query: { limit: 2, ...at } } });
const sizes: number[] = [];
for await (const page of pages(listed)) sizes.push(page.items.length);
assert.deepEqual(sizes, [2, 1]);
const ids: string[] = [];
for await (const one of items(listed)) ids.push(one.id);
assert.equal(ids.at(-1), job.id);
console.log("all steps passed");
