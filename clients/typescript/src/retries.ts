/** When requests are sent again: at most `attempts` per call, after waits from `first` to `longest` seconds. */
export interface Retries {
  attempts: number;
  first: number;
  longest: number;
}

export const RETRIES: Retries = { attempts: 4, first: 0.2, longest: 20 };
const SAFE = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]);
const GATEWAY = new Set([502, 503, 504]);

/**
 * Seconds until the next attempt; undefined to give up. A request that may have taken effect is repeated only if that
 * changes nothing: by its method, or because it has an Idempotency-Key.
 */
export function wait(request: Request, response: Response | undefined, attempt: number, retries: Retries): number | undefined {
  if (attempt >= retries.attempts) return undefined;
  const repeatable = SAFE.has(request.method) || request.headers.has("Idempotency-Key");
  const backoff = Math.min(retries.longest, retries.first * 2 ** (attempt - 1)) * (0.5 + Math.random() / 2);
  if (response === undefined) return repeatable ? backoff : undefined;
  if (response.status !== 429 && !(repeatable && GATEWAY.has(response.status))) return undefined;
  const asked = retryAfter(response);
  if (asked === undefined) return backoff;
  return asked <= retries.longest ? Math.max(asked, 0) : undefined;
}

/** The seconds that Retry-After asks for, as a number or a date. */
export function retryAfter(response: Response): number | undefined {
  const given = response.headers.get("Retry-After") ?? "";
  if (/^\d+$/.test(given)) return Number(given);
  const date = Date.parse(given);
  return Number.isNaN(date) ? undefined : (date - Date.now()) / 1000;
}

export function pause(seconds: number, signal?: AbortSignal | null): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });
}
