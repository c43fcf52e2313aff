// Generated from the OpenAPI description by `make clients`: changes here are lost.

/** The version of the API. */
export const VERSION = "0.1.0";
/** The types of problem documents. */
export type ProblemCode =
  | "account-changed"
  | "account-not-linked"
  | "bad-request"
  | "conflict"
  | "content-too-large"
  | "cross-site-request"
  | "deadline-exceeded"
  | "email-not-verified"
  | "email-not-vouched-for"
  | "email-taken"
  | "forbidden"
  | "idempotency-key-in-use"
  | "idempotency-key-reused"
  | "insufficient-scope"
  | "internal-error"
  | "invalid-challenge"
  | "invalid-credentials"
  | "invalid-link"
  | "invalid-passkey"
  | "invalid-refresh-token"
  | "invalid-request"
  | "last-superuser"
  | "login-not-recent"
  | "mail-disabled"
  | "misdirected-request"
  | "no-second-factor"
  | "not-authenticated"
  | "not-found"
  | "not-ready"
  | "overloaded"
  | "passkey-refused"
  | "password-needed"
  | "provider-login-refused"
  | "rate-limited"
  | "registration-closed"
  | "request-timeout"
  | "second-factor-exists"
  | "second-factor-required"
  | "session-needed"
  | "too-many-at-once"
  | "too-many-attempts"
  | "too-many-keys"
  | "unavailable"
  | "unsupported-media-type"
  | "version-mismatch"
  | "version-required"
  | "weak-password"
  | "wrong-code"
  | "wrong-flag-value"
  | "wrong-password";
/** Operations that take an Idempotency-Key. */
export const ONCE: ReadonlySet<string> = new Set([
  "POST /api/v1/items",
  "POST /api/v1/items/bulk",
  "POST /api/v1/items/imports",
  "POST /api/v1/jobs/word-count",
]);
/** Operations that are called without credentials. */
export const PUBLIC: ReadonlySet<string> = new Set([
  "GET /.well-known/jwks.json",
  "POST /api/v1/auth/login",
  "POST /api/v1/auth/login/passkey",
  "POST /api/v1/auth/login/passkey/options",
  "POST /api/v1/auth/login/second-factor",
  "GET /api/v1/auth/oidc",
  "POST /api/v1/auth/oidc/{provider}/begin",
  "POST /api/v1/auth/oidc/{provider}/finish",
  "POST /api/v1/auth/password-reset",
  "POST /api/v1/auth/password-reset/confirm",
  "POST /api/v1/auth/refresh",
  "POST /api/v1/auth/register",
  "POST /api/v1/auth/verify-email",
  "GET /health/live",
]);
