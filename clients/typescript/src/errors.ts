import type { ProblemCode } from "./generated.ts";
import type { components } from "./schema.ts";

export type Problem = components["schemas"]["Problem"];

/** The API answered with an error (RFC 9457). */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  /** The kind of the error; undefined without a problem document, as from a proxy. */
  readonly code: ProblemCode | undefined;
  readonly problem: Problem | undefined;
  readonly response: Response;

  constructor(response: Response, body: unknown) {
    const problem = isProblem(body) ? body : undefined;
    super(`${response.status} ${problem?.title ?? response.statusText}${problem?.detail ? `: ${problem.detail}` : ""}`);
    this.status = response.status;
    this.problem = problem;
    this.code = problem?.type?.split(":").at(-1) as ProblemCode | undefined;
    this.response = response;
  }
}

/** A job failed or was cancelled. */
export class JobNotSucceeded extends Error {
  override readonly name = "JobNotSucceeded";
  readonly job: components["schemas"]["JobRead"];

  constructor(job: components["schemas"]["JobRead"]) {
    super(`job ${job.id} is ${job.status}: ${job.error ?? "no error"}`);
    this.job = job;
  }
}

/** The data of a call of openapi-fetch. Throws ApiError for an error. */
export async function data<T>(call: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await call;
  if (!response.ok && response.status !== 304) throw new ApiError(response, error);
  return data as T;
}

function isProblem(body: unknown): body is Problem {
  return typeof body === "object" && body !== null && "type" in body && "title" in body;
}
