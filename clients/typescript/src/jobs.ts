import type { Client } from "./client.ts";
import { ApiError, JobNotSucceeded, data } from "./errors.ts";
import { pause } from "./retries.ts";
import type { components } from "./schema.ts";

export type Job = components["schemas"]["JobRead"];

const ENDED = new Set<string>(["succeeded", "failed", "cancelled"]);
/** Breaks in a row, without an event between them, after which the error is thrown. */
const BREAKS = 5;

/** A job now and after each of its changes, until it has ended. Broken streams are resumed. */
export async function* watchJob(client: Client, id: string, signal?: AbortSignal): AsyncGenerator<Job> {
  let last: string | undefined;
  let breaks = 0;
  for (;;) {
    try {
      const { response, error } = await client.GET("/api/v1/jobs/{job_id}/events", {
        params: { path: { job_id: id }, header: last === undefined ? {} : { "last-event-id": last } },
        parseAs: "stream",
        ...(signal ? { signal } : {}),
      });
      if (!response.ok) throw new ApiError(response, error);
      if (response.status === 204 || response.body === null) return;
      for await (const event of events(response.body)) {
        const job = JSON.parse(event.data) as Job;
        [last, breaks] = [event.id, 0];
        yield job;
        if (ENDED.has(job.status)) return;
      }
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof ApiError || breaks >= BREAKS) throw error;
    }
    if (++breaks > BREAKS) throw new Error(`the stream of events of job ${id} ends again and again`);
    await pause(Math.min(0.1 * 2 ** breaks, 5), signal);
  }
}

/** The job once it has succeeded. Throws JobNotSucceeded if it failed or was cancelled. */
export async function waitForJob(client: Client, id: string, signal?: AbortSignal): Promise<Job> {
  let job: Job | undefined;
  for await (job of watchJob(client, id, signal));
  job ??= await data(client.GET("/api/v1/jobs/{job_id}", { params: { path: { job_id: id } } }));
  if (job.status !== "succeeded") throw new JobNotSucceeded(job);
  return job;
}

/** Server-sent events (HTML, 9.2), as far as the API sends them. */
async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<{ id: string; data: string }> {
  let [id, lines, rest] = ["", [] as string[], ""];
  const reader = body.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const parts = (rest + decoder.decode(value, { stream: true })).split("\n");
      rest = parts.pop() ?? "";
      for (const line of parts) {
        if (line.startsWith("id:")) id = line.slice(3).trimStart();
        else if (line.startsWith("data:")) lines.push(line.slice(5).trimStart());
        else if (line === "" && lines.length > 0) {
          yield { id, data: lines.join("\n") };
          lines = [];
        }
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
