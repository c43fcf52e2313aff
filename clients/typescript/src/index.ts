/** A client of the API. See README.md. */
export { type Client, type Options, type Tokens, createClient, logIn } from "./client.ts";
export { ApiError, JobNotSucceeded, data } from "./errors.ts";
export { edit } from "./edit.ts";
export { type Job, waitForJob, watchJob } from "./jobs.ts";
export { type Page, items, pages } from "./pages.ts";
export { type Retries, retryAfter } from "./retries.ts";
export { type ProblemCode, VERSION } from "./generated.ts";
export type { components, operations, paths } from "./schema.ts";
