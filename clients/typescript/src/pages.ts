import { data } from "./errors.ts";

export interface Page<I> {
  items: I[];
  next?: string | null;
}

type Call<P> = Promise<{ data?: P; error?: unknown; response: Response }>;

/** All pages of a list: `pages((cursor) => api.GET("/api/v1/jobs", { params: { query: { ...cursor } } }))`. */
export async function* pages<I>(call: (at: { cursor?: string }) => Call<Page<I>>): AsyncGenerator<Page<I>> {
  let at: { cursor?: string } | undefined = {};
  while (at !== undefined) {
    const page: Page<I> = await data(call(at));
    yield page;
    at = page.next ? { cursor: page.next } : undefined;
  }
}

/** All objects of a list, as `pages`. */
export async function* items<I>(call: (at: { cursor?: string }) => Call<Page<I>>): AsyncGenerator<I> {
  for await (const page of pages(call)) yield* page.items;
}
