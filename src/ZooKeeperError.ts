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
 * @example
 * ```ts
 * import * as Effect from "effect/Effect"
 * import { ZooKeeper } from "effect-zookeeper/ZooKeeper"
 *
 * export const program = Effect.gen(function*() {
 *   const zk = yield* ZooKeeper
 *   const create = zk.create("/config", "{}")
 *   const created = create.pipe(
 *     // About the znode: it is there, which is as good.
 *     Effect.catchTag("NodeExists", ({ path }) => Effect.succeed(path)),
 *     // About the connection.
 *     Effect.catchTag("ConnectionError", (error) => {
 *       // It was sent, and nobody knows: look.
 *       if (error.outcome === "Unknown") return Effect.as(zk.get("/config"), "/config")
 *       // Nothing has happened: once more, where that can help.
 *       if (error.isRetryable) return Effect.delay(create, "1 second")
 *       return error.reason._tag === "SessionExpired" ? create : Effect.fail(error)
 *     })
 *   )
 *   return yield* created // => "/config"
 * })
 * ```
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
  /** The version that was given: of the data, or for `setAcl` of the ACL. */
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
 * Another change of the ensemble's configuration is under way (code -14).
 *
 * @category errors
 * @since 0.1.0
 */
export class ReconfigInProgress extends Schema.TaggedError<ReconfigInProgress>(`${TypeId}/ReconfigInProgress`)(
  "ReconfigInProgress",
  {}
) {
  override get message() {
    return "The ensemble is being reconfigured already: wait for that to end, read the configuration, and decide anew"
  }
}

/**
 * The servers of the new configuration that run and are up to date would be no
 * quorum of it (code -13). Start the joining servers first.
 *
 * @category errors
 * @since 0.1.0
 */
export class NewConfigNoQuorum extends Schema.TaggedError<NewConfigNoQuorum>(`${TypeId}/NewConfigNoQuorum`)(
  "NewConfigNoQuorum",
  {}
) {
  override get message() {
    return "No quorum of the new configuration is connected and in sync: start its servers first"
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
export class SessionExpired extends Schema.TaggedClass<SessionExpired>(reason("SessionExpired"))("SessionExpired", {
  /**
   * All servers refused us since they are behind what this client has seen: the
   * ensemble has lost data, or was restored from a backup. With `onExpiry:
   * "renew"` the client goes on in a new session and accepts the older state;
   * with `"end"` that decision is yours, by building the layer anew.
   */
  dataLoss: Schema.optionalKey(Schema.Struct({
    /** The zxid that this client has seen. */
    seen: Schema.BigInt,
    /** The newest zxid that any server has. */
    found: Schema.BigInt
  }))
}) {
  readonly isRetryable = false
  get message() {
    const loss = this.dataLoss === undefined
      ? ""
      : ` (the ensemble has lost data: it is at zxid 0x${this.dataLoss.found.toString(16)}, this client has seen`
        + ` 0x${this.dataLoss.seen.toString(16)})`
    return `the session has expired${loss}: redo in the new session what belonged to it`
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
  scheme: Schema.optionalKey(Schema.String),
  /** What exactly failed, where that is known. Never a credential. */
  detail: Schema.optionalKey(Schema.String)
}) {
  readonly isRetryable = false
  get message() {
    return `authentication failed${this.scheme === undefined ? "" : ` (scheme ${this.scheme})`}`
      + `${this.detail === undefined ? "" : `, ${this.detail}`}: build the layer anew`
      + " with credentials that the server accepts"
  }
}

/**
 * What is wrong with a TLS connection.
 *
 * | problem | what happened, and what to do |
 * | --- | --- |
 * | `"ExpiredCertificate"`, `"NotYetValidCertificate"` | the server's certificate, or one above it, is out of its time; or a clock is wrong |
 * | `"WrongHost"` | the certificate is not for the name in `hosts`: use a name that it has, or `servername` |
 * | `"UnknownAuthority"` | no certificate of `ca` vouches for the server's |
 * | `"BadCertificate"` | any other fault of the server's certificate |
 * | `"ClientCertificateRefused"` | the server wants a client certificate, or does not trust ours |
 * | `"PlainServer"` | the port does not speak TLS: use the server's `secureClientPort` |
 * | `"TlsServer"` | the port speaks TLS and we do not: give the option `tls` |
 * | `"NothingInCommon"` | no version or cipher that both allow: `minVersion`, `maxVersion`, `ciphers` |
 * | `"BadCredentials"` | our own key, certificate or `ca` cannot be read or used |
 * | `"Other"` | see `detail` |
 *
 * @category models
 * @since 0.1.0
 */
export const TlsProblem = Schema.Literals([
  "ExpiredCertificate",
  "NotYetValidCertificate",
  "WrongHost",
  "UnknownAuthority",
  "BadCertificate",
  "ClientCertificateRefused",
  "PlainServer",
  "TlsServer",
  "NothingInCommon",
  "BadCredentials",
  "Other"
])

/**
 * What is wrong with a TLS connection.
 *
 * @category models
 * @since 0.1.0
 */
export type TlsProblem = typeof TlsProblem.Type

const tlsProblems: { readonly [Problem in TlsProblem]: string } = {
  ExpiredCertificate: "the server's certificate has expired",
  NotYetValidCertificate: "the server's certificate is not valid yet",
  WrongHost: "the server's certificate is for another host",
  UnknownAuthority: "the server's certificate is from an authority that we do not trust (option ca)",
  BadCertificate: "the server's certificate is not acceptable",
  ClientCertificateRefused: "the server refuses our client certificate, or demands one (options cert and key)",
  PlainServer: "the server hung up on the TLS handshake: it seems to be a plain port",
  TlsServer: "the server speaks TLS on this port and we do not (option tls)",
  NothingInCommon: "there is no TLS version or cipher that both sides allow",
  BadCredentials: "our own key or certificates cannot be used",
  Other: "the TLS connection failed"
}

/**
 * No TLS connection to a server came about. The client goes on trying, after
 * growing pauses and with certificates read anew: a renewal needs no restart.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Tls extends Schema.TaggedClass<Tls>(reason("Tls"))("Tls", {
  problem: TlsProblem,
  /** In the words of the TLS library, or of the file system. */
  detail: Schema.String
}) {
  readonly isRetryable = true
  get message() {
    return `TLS: ${tlsProblems[this.problem]}${this.detail === "" ? "" : `: ${this.detail}`}`
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
 * The server was too busy and did not execute the request (code -127), and not
 * after the pauses of about two seconds either that the client gave it.
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
 * Why one attempt at one server failed.
 *
 * @category models
 * @since 0.1.0
 */
export const AttemptFailure = Schema.Union([
  ConnectionLoss,
  SessionExpired,
  SessionMoved,
  AuthFailed,
  AuthRequired,
  Tls,
  Closed,
  RequestTimeout,
  NotReadOnly,
  Throttled,
  Unimplemented,
  EphemeralOnLocalSession,
  TooLarge,
  Protocol,
  ServerError
])

/**
 * Why one attempt at one server failed.
 *
 * @category models
 * @since 0.1.0
 */
export type AttemptFailure = typeof AttemptFailure.Type

/**
 * No server could be reached within `connectTimeout`.
 *
 * @category reasons
 * @since 0.1.0
 */
export class Unreachable extends Schema.TaggedClass<Unreachable>(reason("Unreachable"))("Unreachable", {
  /** The hosts tried and what the last attempt at each said. */
  attempts: Schema.String,
  /** Why the last attempt at each host failed: to tell a bad certificate from a server that is down. */
  reasons: Schema.optionalKey(
    Schema.Array(Schema.Struct({
      server: Schema.String,
      reason: AttemptFailure
    }))
  ),
  /** The bound that passed, in milliseconds. */
  millis: Schema.Finite
}) {
  readonly isRetryable = true
  get message() {
    return `no server could be reached within ${this.millis} ms: ${this.attempts}`
  }
}

/**
 * Everything that can happen to a session or connection.
 *
 * @category models
 * @since 0.1.0
 */
export const Reason = Schema.Union([...AttemptFailure.members, Unreachable])

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
  | ReconfigInProgress
  | NewConfigNoQuorum
  | BadArguments
  | InvalidData
  | NoInstances
  | TransactionFailed
  | ConnectionError
