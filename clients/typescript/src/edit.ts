import { ApiError, data } from "./errors.ts";

type Call<T> = Promise<{ data?: T; error?: unknown; response: Response }>;

/**
 * Change a resource without losing the change of somebody else: `change` gets the current value and its ETag for
 * `If-Match`. If the resource has changed meanwhile, both are done again, up to five times.
 */
export async function edit<T, U>(read: () => Call<T>, change: (current: T, etag: string) => Call<U>): Promise<U> {
  for (let attempt = 1; ; attempt++) {
    const reading = read();
    const current = await data(reading);
    const etag = (await reading).response.headers.get("ETag");
    if (etag === null) throw new TypeError("the resource has no ETag");
    try {
      return await data(change(current, etag));
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 412) || attempt === 5) throw error;
    }
  }
}
