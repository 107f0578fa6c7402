/**
 * The numbers a server puts into the `err` field of a reply.
 *
 * A number that is not listed here is legal: newer servers may send it, and it
 * is kept as it is.
 *
 * @example
 * ```ts
 * import { describe, ErrorCode } from "effect-zookeeper/jute/ErrorCode"
 *
 * describe(ErrorCode.NoNode) // => "NoNode (-101)"
 * describe(-999) // => "unknown error (-999)"
 * ```
 *
 * @since 0.1.0
 */

/**
 * Every error code that ZooKeeper 3.4 to 3.10 sends or reserves.
 *
 * @see protocol: `org.apache.zookeeper.KeeperException.Code`
 * @category constants
 * @since 0.1.0
 */
export const ErrorCode = {
  Ok: 0,
  SystemError: -1,
  RuntimeInconsistency: -2,
  DataInconsistency: -3,
  ConnectionLoss: -4,
  MarshallingError: -5,
  Unimplemented: -6,
  OperationTimeout: -7,
  BadArguments: -8,
  InvalidState: -9,
  UnknownSession: -12,
  NewConfigNoQuorum: -13,
  ReconfigInProgress: -14,
  SslConnectionError: -15,
  ApiError: -100,
  NoNode: -101,
  NoAuth: -102,
  BadVersion: -103,
  NoChildrenForEphemerals: -108,
  NodeExists: -110,
  NotEmpty: -111,
  SessionExpired: -112,
  InvalidCallback: -113,
  InvalidAcl: -114,
  AuthFailed: -115,
  Closing: -116,
  Nothing: -117,
  SessionMoved: -118,
  NotReadOnly: -119,
  EphemeralOnLocalSession: -120,
  NoWatcher: -121,
  RequestTimeout: -122,
  ReconfigDisabled: -123,
  SessionClosedRequireAuth: -124,
  QuotaExceeded: -125,
  Throttled: -127
} as const

const names = new Map<number, string>(Object.entries(ErrorCode).map(([name, code]) => [code, name]))

/**
 * The name of a code for messages: `"NoNode (-101)"`, or `"unknown error (-999)"`.
 *
 * @category accessors
 * @since 0.1.0
 */
export const describe = (code: number): string => `${names.get(code) ?? "unknown error"} (${code})`
