import createFetchClient, { type Client as FetchClient, type Middleware } from "openapi-fetch";
import { data } from "./errors.ts";
import { ONCE, PUBLIC } from "./generated.ts";
import { RETRIES, type Retries, pause, wait } from "./retries.ts";
import type { paths } from "./schema.ts";

/** The tokens of a session. The refresh token changes with each refresh. */
export interface Tokens {
  access: string;
  refresh: string;
}

export interface Options {
  baseUrl: string;
  /** Tokens of a session, an API key, or neither: a browser's cookies (`credentials: "include"`). */
  tokens?: Tokens;
  apiKey?: string;
  credentials?: RequestCredentials;
  /** The token of `GET /api/v1/auth/csrf`, which unsafe requests with a cookie need. */
  csrfToken?: () => string | undefined;
  retries?: Partial<Retries>;
  /** Called with the tokens of each login and refresh, for example to store them. */
  onTokens?: (tokens: Tokens) => void;
  fetch?: (request: Request) => Promise<Response>;
}

/** The client of openapi-fetch, which repeats requests and refreshes tokens. */
export interface Client extends FetchClient<paths> {
  readonly session: Session;
}

export function createClient(options: Options): Client {
  const session = new Session(options);
  const client = createFetchClient<paths>({
    baseUrl: options.baseUrl,
    fetch: (request) => session.send(request),
    ...(options.credentials ? { credentials: options.credentials } : {}),
  });
  const marks: Middleware = {
    onRequest({ request, schemaPath }) {
      const operation = `${request.method} ${schemaPath}`;
      if (ONCE.has(operation) && !request.headers.has("Idempotency-Key")) {
        request.headers.set("Idempotency-Key", crypto.randomUUID());
      }
      if (PUBLIC.has(operation)) session.open.add(request);
      return request;
    },
  };
  client.use(marks);
  return Object.assign(client, { session });
}

/** Use the tokens of a new session from now on. Throws ApiError, such as `second-factor-required`. */
export async function logIn(client: Client, email: string, password: string): Promise<void> {
  const reply = await data(
    client.POST("/api/v1/auth/login", {
      body: { username: email, password, scope: "" },
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
      bodySerializer: (body) => new URLSearchParams({ username: body.username, password: body.password }),
    }),
  );
  client.session.adopt(reply);
}

export class Session {
  tokens: Tokens | undefined;
  /** Requests that are sent without credentials. */
  readonly open = new WeakSet<Request>();
  readonly #options: Options;
  readonly #retries: Retries;
  #refreshing: Promise<boolean> | undefined;

  constructor(options: Options) {
    this.#options = options;
    this.tokens = options.tokens;
    this.#retries = { ...RETRIES, ...options.retries };
  }

  /** Use the tokens of the reply to a login. */
  adopt(reply: object): void {
    if (!("access_token" in reply && "refresh_token" in reply)) {
      throw new TypeError("the login returned no tokens: use the default mode, 'tokens'");
    }
    this.tokens = { access: String(reply.access_token), refresh: String(reply.refresh_token) };
    this.#options.onTokens?.(this.tokens);
  }

  /** Send a request, again where that is safe, and with fresh tokens if they have expired. */
  async send(request: Request): Promise<Response> {
    const used = this.tokens;
    const response = await this.#attempts(request);
    if (response.status !== 401 || used === undefined || this.open.has(request)) return response;
    if (this.tokens === used) {
      // All requests that wait share one refresh.
      this.#refreshing ??= this.#refresh(used).finally(() => (this.#refreshing = undefined));
      if (!(await this.#refreshing)) return response;
    }
    return this.#attempts(request);
  }

  async #attempts(request: Request): Promise<Response> {
    for (let attempt = 1; ; attempt++) {
      // A request is read once.
      const sent = this.#authorised(request);
      let response: Response | undefined;
      let failure: unknown;
      try {
        response = await (this.#options.fetch ?? fetch)(sent);
        if (response.ok) return response;
      } catch (error) {
        failure = error;
        request.signal.throwIfAborted();
      }
      const seconds = wait(request, response, attempt, this.#retries);
      if (seconds === undefined) {
        if (response === undefined) throw failure;
        return response;
      }
      await response?.body?.cancel();
      await pause(seconds, request.signal);
    }
  }

  #authorised(request: Request): Request {
    const sent = request.clone();
    const credential = this.#options.apiKey ?? this.tokens?.access;
    if (credential !== undefined && !this.open.has(request)) sent.headers.set("Authorization", `Bearer ${credential}`);
    const token = this.#options.csrfToken?.();
    if (token !== undefined) sent.headers.set("X-CSRF-Token", token);
    return sent;
  }

  async #refresh(used: Tokens): Promise<boolean> {
    const request = new Request(`${this.#options.baseUrl.replace(/\/+$/, "")}/api/v1/auth/refresh`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ refresh_token: used.refresh }),
    });
    this.open.add(request);
    const response = await this.#attempts(request);
    if (!response.ok) return false;
    this.adopt((await response.json()) as object);
    return true;
  }
}
