"""A function for each operation. A client sends the call that it returns.

Generated from the OpenAPI description by `make clients`: changes here are lost.
"""

from __future__ import annotations

from fastapi_base_client import models
from fastapi_base_client.call import Call, PageCall, segment


def read_me() -> Call[models.UserRead]:
    """Read my account.

    The account of the access token or API key.
    """
    return Call("read_me", "GET", "/api/v1/users/me")


def update_me(body: models.ProfilePatch) -> Call[models.UserRead]:
    """Change my account.

    Changes only the members sent.
    """
    return Call("update_me", "PATCH", "/api/v1/users/me", json=body)


def change_password(body: models.PasswordChange) -> Call[None]:
    """Change my password.

    Ends all other sessions of the account.
    """
    return Call("change_password", "PUT", "/api/v1/users/me/password", json=body)


def list_users(
    *,
    email_prefix: str | None = None,
    is_active: bool | None = None,
    is_superuser: bool | None = None,
    created_from: str | None = None,
    created_before: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
    sort: models.UsersSort | None = None,
    total: bool | None = None,
) -> PageCall[models.UserPage, models.UserRead]:
    """List accounts.

    Filters are combined with AND. `email_prefix` matches the start of the address;
    `created_from` is inclusive, `created_before` is exclusive.
    """
    return PageCall(
        "list_users",
        "GET",
        "/api/v1/users",
        query={
            "email_prefix": email_prefix,
            "is_active": is_active,
            "is_superuser": is_superuser,
            "created_from": created_from,
            "created_before": created_before,
            "limit": limit,
            "cursor": cursor,
            "sort": sort,
            "total": total,
        },
    )


def create_user(body: models.UserCreate) -> Call[models.UserRead]:
    """Add an account.

    The owner should change the password. Called from a session, it marks the address as
    verified; called with an API key, it does not, and cannot create superusers.
    """
    return Call("create_user", "POST", "/api/v1/users", json=body)


def read_user(user_id: str) -> Call[models.UserRead]:
    """Read an account.

    Returns one account by id.
    """
    return Call("read_user", "GET", f"/api/v1/users/{segment(user_id)}")


def update_user(user_id: str, body: models.UserPatch) -> Call[models.UserRead]:
    """Change an account.

    Changes only the members sent. The last active superuser cannot be demoted. API keys can
    neither change nor create superusers.
    """
    return Call("update_user", "PATCH", f"/api/v1/users/{segment(user_id)}", json=body)


def delete_user(user_id: str) -> Call[None]:
    """Remove an account.

    Permanently removes the account with its sessions and API keys. Its audit events are
    kept.
    """
    return Call("delete_user", "DELETE", f"/api/v1/users/{segment(user_id)}")


def deactivate_user(user_id: str) -> Call[models.UserRead]:
    """Deactivate an account.

    Permanently ends its sessions and revokes its API keys, from the next request on.
    """
    return Call("deactivate_user", "POST", f"/api/v1/users/{segment(user_id)}/deactivate")


def activate_user(user_id: str) -> Call[models.UserRead]:
    """Reactivate an account.

    Ended sessions and revoked API keys are not restored.
    """
    return Call("activate_user", "POST", f"/api/v1/users/{segment(user_id)}/activate")


def delete_user_sessions(user_id: str) -> Call[models.SessionsEnded]:
    """End the sessions of an account.

    Their tokens are rejected from the next request on. API keys cannot do this.
    """
    return Call("delete_user_sessions", "DELETE", f"/api/v1/users/{segment(user_id)}/sessions")


def list_audit_events(
    *,
    actor_id: str | None = None,
    subject_id: str | None = None,
    action: str | None = None,
    occurred_from: str | None = None,
    occurred_before: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
    sort: models.AuditEventsSort | None = None,
    total: bool | None = None,
) -> PageCall[models.AuditEventPage, models.AuditEventRead]:
    """Read the audit log.

    Filters are combined with AND. `occurred_from` is inclusive, `occurred_before` is
    exclusive.
    """
    return PageCall(
        "list_audit_events",
        "GET",
        "/api/v1/audit-events",
        query={
            "actor_id": actor_id,
            "subject_id": subject_id,
            "action": action,
            "occurred_from": occurred_from,
            "occurred_before": occurred_before,
            "limit": limit,
            "cursor": cursor,
            "sort": sort,
            "total": total,
        },
    )


def list_statistics(
    *,
    limit: int | None = None,
    cursor: str | None = None,
    sort: models.StatisticsSort | None = None,
    total: bool | None = None,
) -> PageCall[models.StatisticsPage, models.StatisticsRead]:
    """Read daily statistics.

    Days are in UTC, newest first. Each is computed in the following night.
    """
    return PageCall(
        "list_statistics",
        "GET",
        "/api/v1/admin/statistics",
        query={"limit": limit, "cursor": cursor, "sort": sort, "total": total},
    )


def create_word_count(
    body: models.WordCountRequest, *, idempotency_key: str | None = None
) -> Call[models.JobRead]:
    """Count the words of a text.

    Returns immediately; a worker does the counting. Poll the job at the URL in `Location`
    until its `status` is `succeeded` or `failed`.
    """
    return Call(
        "create_word_count",
        "POST",
        "/api/v1/jobs/word-count",
        headers={"Idempotency-Key": idempotency_key},
        json=body,
        once=True,
    )


def list_jobs(
    *,
    status: models.JobStatus | None = None,
    kind: str | None = None,
    created_from: str | None = None,
    created_before: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
    sort: models.JobsSort | None = None,
    total: bool | None = None,
) -> PageCall[models.JobPage, models.JobRead]:
    """List jobs.

    The caller's jobs, newest first; superusers see all jobs. Filters are combined with AND.
    `created_from` is inclusive, `created_before` is exclusive.
    """
    return PageCall(
        "list_jobs",
        "GET",
        "/api/v1/jobs",
        query={
            "status": status,
            "kind": kind,
            "created_from": created_from,
            "created_before": created_before,
            "limit": limit,
            "cursor": cursor,
            "sort": sort,
            "total": total,
        },
    )


def read_job(job_id: str) -> Call[models.JobRead]:
    """Read a job.

    Visible to its owner and to superusers, by default for a week after it finished.
    """
    return Call("read_job", "GET", f"/api/v1/jobs/{segment(job_id)}")


def watch_job(job_id: str, *, last_event_id: str | None = None) -> Call[bytes]:
    """Watch a job.

    Server-sent events: the current job, then the job after each change, until it is
    finished. `Last-Event-ID` resumes after a break; the response is 204 when no events
    remain. By default, an account may have ten streams per process.
    """
    return Call(
        "watch_job",
        "GET",
        f"/api/v1/jobs/{segment(job_id)}/events",
        headers={"last-event-id": last_event_id},
    )


def cancel_job(job_id: str) -> Call[models.JobRead]:
    """Cancel a job.

    A queued job ends immediately, a running one within about a second, and its last attempt
    has no effect. Cancelling is idempotent.
    """
    return Call("cancel_job", "POST", f"/api/v1/jobs/{segment(job_id)}/cancel")


def retry_job(job_id: str) -> Call[models.JobRead]:
    """Run a job again.

    Retries a job that failed permanently or was cancelled.
    """
    return Call("retry_job", "POST", f"/api/v1/jobs/{segment(job_id)}/retry")


def create_api_key(body: models.ApiKeyCreate) -> Call[models.ApiKeyCreated]:
    """Create an API key.

    For programs, sent as `Authorization: Bearer fb_...`. A key has its scopes as long as
    its owner has them.
    """
    return Call("create_api_key", "POST", "/api/v1/api-keys", json=body)


def list_api_keys(
    *,
    limit: int | None = None,
    cursor: str | None = None,
    sort: models.ApiKeysSort | None = None,
    total: bool | None = None,
) -> PageCall[models.ApiKeyPage, models.ApiKeyRead]:
    """List my API keys.

    Lists keys that are neither revoked nor expired.
    """
    return PageCall(
        "list_api_keys",
        "GET",
        "/api/v1/api-keys",
        query={"limit": limit, "cursor": cursor, "sort": sort, "total": total},
    )


def rotate_api_key(key_id: str, body: models.ApiKeyRotate) -> Call[models.ApiKeyCreated]:
    """Replace an API key.

    Creates a key with the same name and scopes. The old key stays valid for
    `overlap_seconds`, so that programs can switch over.
    """
    return Call("rotate_api_key", "POST", f"/api/v1/api-keys/{segment(key_id)}/rotate", json=body)


def revoke_api_key(key_id: str) -> Call[None]:
    """Revoke an API key.

    The key is rejected from the next request on.
    """
    return Call("revoke_api_key", "DELETE", f"/api/v1/api-keys/{segment(key_id)}")


def list_items(
    *,
    limit: int | None = None,
    cursor: str | None = None,
    sort: models.ItemsSort | None = None,
    total: bool | None = None,
    title_prefix: str | None = None,
    created_from: str | None = None,
    created_before: str | None = None,
) -> PageCall[models.ItemPage, models.ItemRead]:
    """List my items.

    Newest first by default. Removed items are excluded.
    """
    return PageCall(
        "list_items",
        "GET",
        "/api/v1/items",
        query={
            "limit": limit,
            "cursor": cursor,
            "sort": sort,
            "total": total,
            "title_prefix": title_prefix,
            "created_from": created_from,
            "created_before": created_before,
        },
    )


def create_item(
    body: models.ItemCreate, *, idempotency_key: str | None = None
) -> Call[models.ItemRead]:
    """Create an item.

    `Location` contains the URL of the item.
    """
    return Call(
        "create_item",
        "POST",
        "/api/v1/items",
        headers={"Idempotency-Key": idempotency_key},
        json=body,
        once=True,
    )


def create_items(
    body: models.ItemsCreate, *, idempotency_key: str | None = None
) -> Call[models.ItemsCreated]:
    """Create many items.

    Creates all items or none.
    """
    return Call(
        "create_items",
        "POST",
        "/api/v1/items/bulk",
        headers={"Idempotency-Key": idempotency_key},
        json=body,
        once=True,
    )


def export_items(
    *, format: models.ExportFormat | None = None, escape_formulas: bool | None = None
) -> Call[bytes]:
    """Export my items.

    All items, as CSV (RFC 4180) with a header or as JSON objects, one per line. An
    interrupted response is incomplete. Concurrent changes may or may not be included. An
    account may have one export at a time; by default it may take an hour.
    """
    return Call(
        "export_items",
        "GET",
        "/api/v1/items/export",
        query={"format": format, "escape_formulas": escape_formulas},
    )


def read_item(item_id: str, *, if_none_match: str | None = None) -> Call[models.ItemRead]:
    """Read an item.

    Cacheable; revalidate with `If-None-Match`.
    """
    return Call(
        "read_item",
        "GET",
        f"/api/v1/items/{segment(item_id)}",
        headers={"If-None-Match": if_none_match},
    )


def update_item(
    item_id: str, body: models.ItemUpdate, *, if_match: str | None = None
) -> Call[models.ItemRead]:
    """Change an item.

    Absent members stay unchanged, `null` clears a member (RFC 7396). `If-Match` with the
    current `ETag` prevents lost updates.
    """
    return Call(
        "update_item",
        "PATCH",
        f"/api/v1/items/{segment(item_id)}",
        headers={"If-Match": if_match},
        json=body,
    )


def delete_item(item_id: str, *, if_match: str | None = None) -> Call[None]:
    """Remove an item.

    The item can be restored for 30 days.
    """
    return Call(
        "delete_item", "DELETE", f"/api/v1/items/{segment(item_id)}", headers={"If-Match": if_match}
    )


def restore_item(item_id: str) -> Call[models.ItemRead]:
    """Restore a removed item.

    Returns 404 if the item is not removed.
    """
    return Call("restore_item", "POST", f"/api/v1/items/{segment(item_id)}/restore")


def import_items(
    body: bytes,
    *,
    partial: bool | None = None,
    escape_formulas: bool | None = None,
    idempotency_key: str | None = None,
) -> Call[models.JobRead]:
    """Import items.

    Creates an item from each row of a CSV file, as written by the export or a spreadsheet.
    The file is the body, or the part `file` of `multipart/form-data`. The header must
    contain `title` and may contain `description`, in any case; the export's other columns,
    empty rows and empty columns are ignored. The separator is a comma, semicolon or tab,
    detected from the header or from a first line such as `sep=;`. The charset is UTF-8
    unless Content-Type says `windows-1252` or a byte order mark says UTF-16;
    `application/csv` and `application/vnd.ms-excel` are treated as `text/csv`. At most
    20000 rows. The job's `result` contains counts and the first 100 errors with line,
    column and message. If any row is invalid, no item is created, so that the corrected
    file can be sent again; with `partial` the valid rows are imported.
    """
    return Call(
        "import_items",
        "POST",
        "/api/v1/items/imports",
        query={"partial": partial, "escape_formulas": escape_formulas},
        headers={"Idempotency-Key": idempotency_key},
        media_type="text/csv",
        content=body,
        once=True,
    )


def register(body: models.UserRegister) -> Call[models.Received]:
    """Register an account.

    The response is always the same, which prevents account enumeration.
    """
    return Call("register", "POST", "/api/v1/auth/register", json=body, public=True)


def login(
    body: models.LoginForm, *, mode: models.LoginMode | None = None
) -> Call[models.LoginResult]:
    """Log in.

    OAuth2 password form; `username` is the e-mail address. Send the access token as
    `Authorization: Bearer ...`. After repeated failures, wait for the seconds in `Retry-
    After`.
    """
    return Call("login", "POST", "/api/v1/auth/login", query={"mode": mode}, form=body, public=True)


def login_second_factor(
    body: models.SecondFactorLogin, *, mode: models.LoginMode | None = None
) -> Call[models.LoginResult]:
    """Complete a login with a second factor.

    If the account has a second factor, login returns 401 `second-factor-required` with a
    `challenge`. Send it here with a code. It is valid for a few minutes and one login.
    """
    return Call(
        "login_second_factor",
        "POST",
        "/api/v1/auth/login/second-factor",
        query={"mode": mode},
        json=body,
        public=True,
    )


def refresh(body: models.RefreshRequest) -> Call[models.TokenRead]:
    """Refresh a session.

    Exchanges a refresh token for a new pair of tokens. A request repeated by another tab or
    after a lost response also returns a pair. Reuse of a token whose successor was already
    used ends the session, because the token was copied.
    """
    return Call("refresh", "POST", "/api/v1/auth/refresh", json=body, public=True)


def logout() -> Call[None]:
    """Log out.

    Ends the session of the access token or the cookie, from the next request on.
    """
    return Call("logout", "POST", "/api/v1/auth/logout")


def read_csrf_token() -> Call[models.CookieRead]:
    """Read the CSRF token.

    Returns the CSRF token of the session cookie, for pages after a reload. Send it in
    `X-CSRF-Token` with unsafe methods. Other sites cannot read it.
    """
    return Call("read_csrf_token", "GET", "/api/v1/auth/csrf")


def list_sessions() -> Call[list[models.SessionRead]]:
    """List my sessions.

    Active sessions, newest first; at most 100.
    """
    return Call("list_sessions", "GET", "/api/v1/sessions")


def delete_sessions() -> Call[None]:
    """Log out everywhere.

    Ends all sessions of the account, including this one, from the next request on.
    """
    return Call("delete_sessions", "DELETE", "/api/v1/sessions")


def delete_session(session_id: str) -> Call[None]:
    """End a session.

    Its tokens are rejected from the next request on.
    """
    return Call("delete_session", "DELETE", f"/api/v1/sessions/{segment(session_id)}")


def list_flags() -> Call[list[models.FlagRead]]:
    """List feature flags.

    Lists flags and overrides as the responding process sees them.
    """
    return Call("list_flags", "GET", "/api/v1/feature-flags")


def override_flag(name: str, body: models.OverrideWrite) -> Call[models.FlagRead]:
    """Override a feature flag.

    Takes effect in every process within a second, or within some seconds while Redis is
    down. Replaces an earlier override.
    """
    return Call("override_flag", "PUT", f"/api/v1/feature-flags/{segment(name)}", json=body)


def reset_flag(name: str) -> Call[None]:
    """Reset a feature flag to its default.

    Remove the override.
    """
    return Call("reset_flag", "DELETE", f"/api/v1/feature-flags/{segment(name)}")


def read_email_change() -> Call[models.EmailChangeRead]:
    """Read my pending change of address.

    The change that awaits verification of an address.
    """
    return Call("read_email_change", "GET", "/api/v1/users/me/email-change")


def begin_email_change(body: models.EmailChangeRequest) -> Call[models.Received]:
    """Change my e-mail address.

    Sends a link to the old and to the new address. The change takes effect when both are
    verified. It replaces an earlier pending change. The response is always the same, which
    prevents account enumeration.
    """
    return Call("begin_email_change", "POST", "/api/v1/users/me/email-change", json=body)


def cancel_email_change() -> Call[None]:
    """Cancel my change of address.

    Cancels the pending change; its links are no longer accepted.
    """
    return Call("cancel_email_change", "DELETE", "/api/v1/users/me/email-change")


def confirm_email_change(body: models.HeldLinkToken) -> Call[models.EmailChangeConfirmed]:
    """Confirm a change of address.

    Takes the token of the link sent to the old or the new address. Verifying the new
    address also requires a session of the account or its password, so that its owner cannot
    be tricked into verifying it for somebody else's account.
    """
    return Call("confirm_email_change", "POST", "/api/v1/auth/email-change/confirm", json=body)


def list_invitations() -> Call[list[models.InvitationRead]]:
    """List invitations.

    Open invitations, newest first; at most 100.
    """
    return Call("list_invitations", "GET", "/api/v1/invitations")


def create_invitation(body: models.InvitationCreate) -> Call[models.InvitationRead]:
    """Invite an e-mail address.

    Sends a registration link. It replaces an earlier invitation of the address.
    """
    return Call("create_invitation", "POST", "/api/v1/invitations", json=body)


def delete_invitation(invitation_id: str) -> Call[None]:
    """Revoke an invitation.

    Its link is no longer accepted.
    """
    return Call("delete_invitation", "DELETE", f"/api/v1/invitations/{segment(invitation_id)}")


def create_export() -> Call[models.JobRead]:
    """Export my data.

    Enqueues a job that creates a ZIP archive with a JSON file per kind of data: account,
    sessions, API keys without their secrets, audit log, jobs and so on. The job's `result`
    contains the archive's URL as `href`, valid until `expires_at`. A pending job is
    returned instead of starting another. A new archive replaces the last one.
    """
    return Call("create_export", "POST", "/api/v1/users/me/exports")


def download_export(export_id: str, *, if_none_match: str | None = None) -> Call[bytes]:
    """Download an export.

    `ETag` is the digest of the archive; a matching `If-None-Match` returns 304. An account
    may have one download at a time.
    """
    return Call(
        "download_export",
        "GET",
        f"/api/v1/users/me/exports/{segment(export_id)}",
        headers={"If-None-Match": if_none_match},
    )


def deactivate_me(body: models.PasswordGiven) -> Call[None]:
    """Deactivate my account.

    Ends all sessions. Logging in reactivates the account.
    """
    return Call("deactivate_me", "POST", "/api/v1/users/me/deactivation", json=body)


def delete_me(body: models.PasswordGiven) -> Call[models.DeletionRead]:
    """Delete my account.

    Ends all sessions. The account and all its data are removed after some days. Logging in
    before then cancels the deletion.
    """
    return Call("delete_me", "POST", "/api/v1/users/me/deletion", json=body)


def request_verification(body: models.EmailGiven) -> Call[models.Received]:
    """Request a link to verify an e-mail address.

    The response is always the same, which prevents account enumeration.
    """
    return Call("request_verification", "POST", "/api/v1/auth/verify-email", json=body, public=True)


def verify_email(body: models.HeldLinkToken) -> Call[None]:
    """Verify an e-mail address.

    Takes the single-use token of the link, and a session of the account or its password. If
    somebody else registered the account with your address, reset the password instead,
    which removes their credentials.
    """
    return Call("verify_email", "POST", "/api/v1/auth/verify-email/confirm", json=body)


def request_password_reset(body: models.EmailGiven) -> Call[models.Received]:
    """Request a link to reset a password.

    The response is always the same, which prevents account enumeration.
    """
    return Call(
        "request_password_reset", "POST", "/api/v1/auth/password-reset", json=body, public=True
    )


def reset_password(body: models.PasswordReset) -> Call[None]:
    """Reset a password.

    Takes the single-use token of the link. Ends all sessions of the account. If its address
    was unverified, API keys, passkeys, the second factor and links to providers are also
    removed, because somebody else may have set them up.
    """
    return Call(
        "reset_password", "POST", "/api/v1/auth/password-reset/confirm", json=body, public=True
    )


def read_totp() -> Call[models.TotpRead]:
    """Read the state of my second factor.

    Also returns the number of remaining recovery codes.
    """
    return Call("read_totp", "GET", "/api/v1/auth/totp")


def enrol_totp(body: models.TotpEnrol) -> Call[models.TotpSecret]:
    """Start setting up a second factor.

    Returns a secret for an authenticator application (RFC 6238: SHA-1, 6 digits, 30
    seconds). It takes effect when confirmed with a code; until then a new request replaces
    it.
    """
    return Call("enrol_totp", "POST", "/api/v1/auth/totp", json=body)


def confirm_totp(body: models.TotpConfirm) -> Call[models.RecoveryCodesRead]:
    """Enable the second factor.

    Takes the first code of the application. Password logins then require a code.
    """
    return Call("confirm_totp", "POST", "/api/v1/auth/totp/confirm", json=body)


def replace_recovery_codes(body: models.FactorChange) -> Call[models.RecoveryCodesRead]:
    """Replace my recovery codes.

    Invalidates the previous codes.
    """
    return Call("replace_recovery_codes", "POST", "/api/v1/auth/totp/recovery-codes", json=body)


def disable_totp(body: models.FactorChange) -> Call[None]:
    """Disable the second factor.

    Requires the password, and a code or a recovery code.
    """
    return Call("disable_totp", "POST", "/api/v1/auth/totp/disable", json=body)


def passkey_creation_options(body: models.Reauthentication) -> Call[models.PasskeyOptions]:
    """Start registering a passkey.

    Options for `navigator.credentials.create()`. Requires recent authentication or the
    password.
    """
    return Call("passkey_creation_options", "POST", "/api/v1/auth/passkey-options", json=body)


def list_passkeys() -> Call[list[models.PasskeyRead]]:
    """List my passkeys.

    Newest first; at most 20.
    """
    return Call("list_passkeys", "GET", "/api/v1/auth/passkeys")


def add_passkey(body: models.PasskeyRegister) -> Call[models.PasskeyRead]:
    """Add a passkey.

    Takes the browser's response to the options, which are valid once.
    """
    return Call("add_passkey", "POST", "/api/v1/auth/passkeys", json=body)


def rename_passkey(passkey_id: str, body: models.PasskeyRename) -> Call[models.PasskeyRead]:
    """Rename a passkey.

    Only the name can be changed.
    """
    return Call(
        "rename_passkey", "PATCH", f"/api/v1/auth/passkeys/{segment(passkey_id)}", json=body
    )


def remove_passkey(passkey_id: str) -> Call[None]:
    """Remove a passkey.

    Requires recent authentication. Sessions started with the passkey continue.
    """
    return Call("remove_passkey", "DELETE", f"/api/v1/auth/passkeys/{segment(passkey_id)}")


def passkey_login_options() -> Call[models.PasskeyOptions]:
    """Start a login with a passkey.

    Options for `navigator.credentials.get()`. They name no account; the authenticator
    selects one of its passkeys.
    """
    return Call("passkey_login_options", "POST", "/api/v1/auth/login/passkey/options", public=True)


def login_passkey(
    body: models.PasskeyLogin, *, mode: models.LoginMode | None = None
) -> Call[models.LoginResult]:
    """Log in with a passkey.

    Takes the browser's response to the options, which are valid once. No second factor is
    required, because the authenticator has verified the user.
    """
    return Call(
        "login_passkey",
        "POST",
        "/api/v1/auth/login/passkey",
        query={"mode": mode},
        json=body,
        public=True,
    )


def list_providers() -> Call[list[models.ProviderRead]]:
    """List identity providers.

    The configured providers.
    """
    return Call("list_providers", "GET", "/api/v1/auth/oidc", public=True)


def begin_oidc_login(provider: str) -> Call[models.OidcBegun]:
    """Start a login through a provider.

    Redirect the browser to `authorization_url` and keep `transaction`. The provider
    redirects the browser to its `redirect_uri` with `code` and `state`.
    """
    return Call(
        "begin_oidc_login", "POST", f"/api/v1/auth/oidc/{segment(provider)}/begin", public=True
    )


def finish_oidc_login(
    provider: str, body: models.OidcFinish, *, mode: models.LoginMode | None = None
) -> Call[models.LoginResult]:
    """Complete a login through a provider.

    Takes the provider's response and the single-use transaction. A new identity is linked
    to the account of its e-mail address if the provider has verified the address. If the
    account's address was unverified, its credentials are removed; without a mail server the
    login is rejected instead. With invite-only registration, the address needs an open
    invitation.
    """
    return Call(
        "finish_oidc_login",
        "POST",
        f"/api/v1/auth/oidc/{segment(provider)}/finish",
        query={"mode": mode},
        json=body,
        public=True,
    )


def begin_oidc_link(provider: str, body: models.Reauthentication) -> Call[models.OidcBegun]:
    """Start linking my account to a provider.

    Works like a login. Requires recent authentication or the password.
    """
    return Call(
        "begin_oidc_link", "POST", f"/api/v1/auth/oidc/{segment(provider)}/link/begin", json=body
    )


def finish_oidc_link(provider: str, body: models.OidcFinish) -> Call[models.IdentityRead]:
    """Link my account to a provider.

    Takes the provider's response and the single-use transaction.
    """
    return Call(
        "finish_oidc_link", "POST", f"/api/v1/auth/oidc/{segment(provider)}/link/finish", json=body
    )


def list_identities() -> Call[list[models.IdentityRead]]:
    """List my linked providers.

    The oldest link first.
    """
    return Call("list_identities", "GET", "/api/v1/auth/identities")


def delete_identity(identity_id: str) -> Call[None]:
    """Unlink my account from a provider.

    Requires recent authentication. Sessions started with the provider continue.
    """
    return Call("delete_identity", "DELETE", f"/api/v1/auth/identities/{segment(identity_id)}")


def read_live() -> Call[models.Live]:
    """Check liveness.

    Depends only on the process. Restart the process when this fails.
    """
    return Call("read_live", "GET", "/health/live", public=True)


def read_startup() -> Call[models.Started]:
    """Check startup.

    Fails until the process has been ready once. Start the other probes after that.
    """
    return Call("read_startup", "GET", "/health/startup")


def read_ready() -> Call[models.Ready]:
    """Check readiness.

    Checks PostgreSQL and Redis. Route no requests here while this fails. Only operators see
    the checks.
    """
    return Call("read_ready", "GET", "/health/ready")


def read_key_set() -> Call[models.KeySetRead]:
    """Public keys of access tokens.

    A JSON Web Key Set (RFC 7517) that other services use to verify access tokens. It is
    empty when tokens are signed with a shared secret.
    """
    return Call("read_key_set", "GET", "/.well-known/jwks.json", public=True)
