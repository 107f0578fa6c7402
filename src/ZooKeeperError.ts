/**
 * Every way in which a ZooKeeper operation can fail.
 *
 * Two families. What a server says about a *znode* is a flat tagged error
 * (`NoNode`, `BadVersion`, …) and each operation lists exactly those it can
 * fail with. What happened to the *session or connection* is one
 * {@link ConnectionError} with a tagged `reason`, because every operation can
 * fail in the same dozen ways; it says with `outcome` whether the request can
 * have taken effect, and with `isRetryable` whether trying again can help.
 *
 * Paths in errors are the caller's own: a chroot is never shown.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Code from "./jute/ErrorCode.ts"

const TypeId = "~effect-zookeeper/ZooKeeperError"

const Path = { path: Schema.String }

/**
 * The znode, or for `create` its parent, does not exist.
 *
 * @category errors
 * @since 0.1.0
 */
export class NoNode extends Schema.TaggedError<NoNode>(`${TypeId}/NoNode`)("NoNode", Path) {
  override get message() {
    return `No znode at ${this.path}; for create: its parent is missing (makeParents creates it)`
  }
}

/**
 * The znode exists already. For a sequential create it means that the parent's
 * counter is exhausted (2147483647).
 *
 * @category errors
 * @since 0.1.0
 */
export class NodeExists extends Schema.TaggedError<NodeExists>(`${TypeId}/NodeExists`)("NodeExists", Path) {
  override get message() {
    return `There is a znode at ${this.path} already`
  }
}

/**
 * The expected version is not the current one: somebody else has changed the
 * znode. Read it again and decide anew, or use `update`.
 *
 * @category errors
 * @since 0.1.0
 */
export class BadVersion extends Schema.TaggedError<BadVersion>(`${TypeId}/BadVersion`)("BadVersion", {
  ...Path,
  expected: Schema.Int
}) {
  override get message() {
    return `The version of ${this.path} is not ${this.expected}: it was changed in between`
  }
}

/**
 * The znode has children and cannot be deleted. See `deleteRecursive`.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotEmpty extends Schema.TaggedError<NotEmpty>(`${TypeId}/NotEmpty`)("NotEmpty", Path) {
  override get message() {
    return `${this.path} has children`
  }
}

/**
 * The ACL does not allow the operation to this connection's identities.
 *
 * @category errors
 * @since 0.1.0
 */
export class NoAuth extends Schema.TaggedError<NoAuth>(`${TypeId}/NoAuth`)("NoAuth", Path) {
  override get message() {
    return `Not allowed on ${this.path}: its ACL (create, delete: its parent's) grants none of our identities that`
  }
}

/**
 * The server refuses the ACL: empty, unknown scheme, malformed id, or `auth`
 * on a connection without an authenticated identity.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidAcl extends Schema.TaggedError<InvalidAcl>(`${TypeId}/InvalidAcl`)("InvalidAcl", Path) {
  override get message() {
    return `The server refuses the ACL for ${this.path}: empty, unknown scheme, bad id, or "auth" without addAuth`
  }
}

/**
 * The parent is ephemeral, and ephemeral znodes cannot have children.
 *
 * @category errors
 * @since 0.1.0
 */
export class NoChildrenForEphemerals extends Schema.TaggedError<NoChildrenForEphemerals>(
  `${TypeId}/NoChildrenForEphemerals`
)("NoChildrenForEphemerals", Path) {
  override get message() {
    return `The parent of ${this.path} is ephemeral and cannot have children`
  }
}

/**
 * A hard quota of a parent znode is exceeded (ZooKeeper 3.7 and later).
 *
 * @category errors
 * @since 0.1.0
 */
export class QuotaExceeded extends Schema.TaggedError<QuotaExceeded>(`${TypeId}/QuotaExceeded`)(
  "QuotaExceeded",
  Path
) {
  override get message() {
    return `A quota above ${this.path} is exhausted`
  }
}

/**
 * An argument is malformed. Found on the client before anything is sent, or
 * said by the server (code -8: special znodes such as `/`, TTL out of range).
 *
 * @category errors
 * @since 0.1.0
 */
export class BadArguments extends Schema.TaggedError<BadArguments>(`${TypeId}/BadArguments`)("BadArguments", {
  /** Which argument: `"path"`, `"version"`, `"ttl"`, `"acl"`, `"hosts"`, … */
  argument: Schema.String,
  /** What was given, shortened. */
  value: Schema.String,
  /** What is wrong with it, and what would be right. */
  problem: Schema.String
}) {
  override get message() {
    return `Bad ${this.argument} ${JSON.stringify(this.value)}: ${this.problem}`
  }
}

/**
 * The data of a znode is not what its Schema says: somebody else writes
 * something different there, or a value was given that cannot be encoded.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidData extends Schema.TaggedError<InvalidData>(`${TypeId}/InvalidData`)("InvalidData", {
  ...Path,
  /** What the Schema says about it. */
  problem: Schema.String
}) {
  override get message() {
    return `The data of ${this.path} does not fit its Schema: ${this.problem}`
  }
}

/**
 * A service has no instance that is enabled, selected by the filter and not
 * noted as down. Wait for one with the provider's `changes`.
 *
 * @category errors
 * @since 0.1.0
 */
export class NoInstances extends Schema.TaggedError<NoInstances>(`${TypeId}/NoInstances`)("NoInstances", {
  /** The service. */
  service: Schema.String
}) {
  override get message() {
    return `The service ${this.service} has no usable instance`
  }
}

/**
 * A transaction failed, and nothing of it was applied. `index` names the
 * culprit, `error` says why.
 *
 * @category errors
 * @since 0.1.0
 */
export class TransactionFailed extends Schema.TaggedError<TransactionFailed>(`${TypeId}/TransactionFailed`)(
  "TransactionFailed",
  {
    /** Position of the culprit in the transaction, from 0. */
    index: Schema.Int,
    /** Path of the culprit, as the caller wrote it. */
    path: Schema.String,
    /** Why that operation was refused. */
    error: Schema.Union([
      NoNode,
      NodeExists,
      BadVersion,
      NotEmpty,
      NoAuth,
      InvalidAcl,
      NoChildrenForEphemerals,
      QuotaExceeded,
      BadArguments,
      Schema.suspend((): Schema.Codec<ConnectionError, unknown> => ConnectionError)
    ])
  }
) {
  override get message() {
    return `Operation ${this.index} of the transaction failed, nothing was applied: ${this.error.message}`
  }
}

const reason = <const Tag extends string>(tag: Tag) => `${TypeId}/${tag}` as const

/**
 * The connection was cut. `ConnectionError.outcome` says whether the request
 * can have been applied.
 *
 * @category reasons
 * @since 0.1.0
 */
export class ConnectionLoss extends Schema.TaggedClass<ConnectionLoss>(reason("ConnectionLoss"))("ConnectionLoss", {
  detail: Schema.String
}) {
  readonly isRetryable = true
  get message() {
    return `connection lost: ${this.detail}`
  }
}

/**
 * The session is over: the server said so, or its deadline passed without an
 * answer. Ephemeral znodes and watches of that session are gone. The client
 * opens a new session by itself; what belonged to the old one must be redone.
 *
 * @category reasons
 * @since 0.1.0
 */
export class SessionExpired extends Schema.TaggedClass<SessionExpired>(reason("SessionExpired"))("SessionExpired", {}) {
  readonly isRetryable = false
  get message() {
    return "the session has expired: redo in the new session what belonged to it"
  }
}

/**
 * The session is attached to another server (code -118).
 *
 * @category reasons
 * @since 0.1.0
 */
export class SessionMoved extends Schema.TaggedClass<SessionMoved>(reason("SessionMoved"))("SessionMoved", {}) {
  readonly isRetryable = true
  get message() {
    return "the session has moved to another server"
  }
}

/**
 * The server refused a credential. The client is unusable from then on.
 *
 * @category reasons
 * @since 0.1.0
 */
export class AuthFailed extends Schema.TaggedClass<AuthFailed>(reason("AuthFailed"))("AuthFailed", {
  scheme: Schema.optionalKey(Schema.String)
}) {
  readonly isRetryable = false
  get message() {
    return `authentication failed${this.scheme === undefined ? "" : ` (scheme ${this.scheme})`}: build the layer anew`
      + " with credentials that the server accepts"
  }
}

/**
 * The server demands authentication before anything else (code -124).
 *
 * @category reasons
 * @since 0.1.0
 */
export class AuthRequired extends Schema.TaggedClass<AuthRequired>(reason("AuthRequired"))("AuthRequired", {}) {
  readonly isRetryable = false
  get message() {
    return "the server serves authenticated sessions only: give credentials in the options"
  }
}

/**
 * The client is closed: its layer's scope has ended.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Closed extends Schema.TaggedClass<Closed>(reason("Closed"))("Closed", {}) {
  readonly isRetryable = false
  get message() {
    return "the client is closed"
  }
}

/**
 * No answer within `requestTimeout`. Since replies come in order, the
 * connection is dropped and a new one made.
 *
 * @category reasons
 * @since 0.1.0
 */
export class RequestTimeout extends Schema.TaggedClass<RequestTimeout>(reason("RequestTimeout"))("RequestTimeout", {
  /** The bound that passed, in milliseconds. */
  millis: Schema.Finite
}) {
  readonly isRetryable = true
  get message() {
    return `no answer within ${this.millis} ms`
  }
}

/**
 * No server could be reached within `connectTimeout`.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Unreachable extends Schema.TaggedClass<Unreachable>(reason("Unreachable"))("Unreachable", {
  /** The hosts tried and what the last attempt at each said. */
  attempts: Schema.String,
  /** The bound that passed, in milliseconds. */
  millis: Schema.Finite
}) {
  readonly isRetryable = true
  get message() {
    return `no server could be reached within ${this.millis} ms: ${this.attempts}`
  }
}

/**
 * The server is read-only (it has lost its quorum) and refuses writes.
 *
 * @category reasons
 * @since 0.1.0
 */
export class NotReadOnly extends Schema.TaggedClass<NotReadOnly>(reason("NotReadOnly"))("NotReadOnly", {}) {
  readonly isRetryable = true
  get message() {
    return "the server is read-only"
  }
}

/**
 * The server was too busy and did not execute the request (code -127).
 *
 * @category reasons
 * @since 0.1.0
 */
export class Throttled extends Schema.TaggedClass<Throttled>(reason("Throttled"))("Throttled", {}) {
  readonly isRetryable = true
  get message() {
    return "the server throttled the request: try again after a pause"
  }
}

/**
 * The server does not know the operation, or has it switched off (code -6).
 *
 * @category reasons
 * @since 0.1.0
 */
export class Unimplemented extends Schema.TaggedClass<Unimplemented>(reason("Unimplemented"))("Unimplemented", {
  operation: Schema.String
}) {
  readonly isRetryable = false
  get message() {
    return `the server does not support ${this.operation}: it is older, or has it switched off`
  }
}

/**
 * An ephemeral znode was asked of a local session that may not be upgraded
 * (code -120).
 *
 * @category reasons
 * @since 0.1.0
 */
export class EphemeralOnLocalSession extends Schema.TaggedClass<EphemeralOnLocalSession>(
  reason("EphemeralOnLocalSession")
)("EphemeralOnLocalSession", {}) {
  readonly isRetryable = false
  get message() {
    return "this server's local sessions cannot own ephemeral znodes"
  }
}

/**
 * The request or its reply is larger than the limit. Only this request fails.
 *
 * @category reasons
 * @since 0.1.0
 */
export class TooLarge extends Schema.TaggedClass<TooLarge>(reason("TooLarge"))("TooLarge", {
  what: Schema.Literals(["request", "reply"]),
  /** Size in bytes. */
  size: Schema.Finite,
  /** The limit in bytes that it exceeds. */
  limit: Schema.Finite
}) {
  readonly isRetryable = false
  get message() {
    return `the ${this.what} has ${this.size} bytes, the limit is ${this.limit}`
      + (this.what === "request" ? " (maxRequestSize, the server's jute.maxbuffer)" : " (maxReplySize)")
  }
}

/**
 * The peer broke the protocol: not a ZooKeeper port, or damaged bytes.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Protocol extends Schema.TaggedClass<Protocol>(reason("Protocol"))("Protocol", {
  detail: Schema.String
}) {
  readonly isRetryable = true
  get message() {
    return `protocol error: ${this.detail}`
  }
}

/**
 * Any other code that the server sent; `code` keeps its number.
 *
 * @category reasons
 * @since 0.1.0
 */
export class ServerError extends Schema.TaggedClass<ServerError>(reason("ServerError"))("ServerError", {
  code: Schema.Int
}) {
  readonly isRetryable = false
  get message() {
    return `the server answered ${Code.describe(this.code)}`
  }
}

/**
 * Everything that can happen to a session or connection.
 *
 * @category models
 * @since 0.1.0
 */
export const Reason = Schema.Union([
  ConnectionLoss,
  SessionExpired,
  SessionMoved,
  AuthFailed,
  AuthRequired,
  Closed,
  RequestTimeout,
  Unreachable,
  NotReadOnly,
  Throttled,
  Unimplemented,
  EphemeralOnLocalSession,
  TooLarge,
  Protocol,
  ServerError
])

/**
 * Everything that can happen to a session or connection.
 *
 * @category models
 * @since 0.1.0
 */
export type Reason = typeof Reason.Type

/**
 * Whether a failed request can have taken effect: `"NotApplied"` is certain,
 * `"Unknown"` means that it was sent and no answer came.
 *
 * @category models
 * @since 0.1.0
 */
export const Outcome = Schema.Literals(["NotApplied", "Unknown"])

/**
 * Whether a failed request can have taken effect.
 *
 * @category models
 * @since 0.1.0
 */
export type Outcome = typeof Outcome.Type

/**
 * Something happened to the session or connection.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConnectionError extends Schema.TaggedError<ConnectionError>(`${TypeId}/ConnectionError`)(
  "ConnectionError",
  {
    reason: Reason,
    /**
     * `"NotApplied"`: certainly without effect. `"Unknown"`: it was sent, and
     * nobody knows. Reads have no effect and are always `"NotApplied"`.
     */
    outcome: Outcome,
    /** The operation, e.g. `"create"`. */
    operation: Schema.optionalKey(Schema.String),
    /** The caller's path. */
    path: Schema.optionalKey(Schema.String)
  }
) {
  /** Whether trying again, after a pause, can help. It says nothing about whether that is safe: see `outcome`. */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
  override get message() {
    const subject = this.operation === undefined
      ? ""
      : `${this.operation}${this.path === undefined ? "" : ` ${this.path}`}: `
    const outcome = this.outcome === "Unknown" ? " (the request may or may not have been applied)" : ""
    return `${subject}${this.reason.message}${outcome}`
  }
}

/**
 * All errors of this library.
 *
 * @category models
 * @since 0.1.0
 */
export type ZooKeeperError =
  | NoNode
  | NodeExists
  | BadVersion
  | NotEmpty
  | NoAuth
  | InvalidAcl
  | NoChildrenForEphemerals
  | QuotaExceeded
  | BadArguments
  | InvalidData
  | NoInstances
  | TransactionFailed
  | ConnectionError
